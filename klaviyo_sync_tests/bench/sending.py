"""The table sent to a sandbox in a process of its own: prints rows, seconds, requests and peak memory as JSON.

Run as `python -m bench.sending WAY TABLE ROWS`. `ours` is a whole run; `official` is the klaviyo-api package with the same rows;
`limits` sends small batches under Klaviyo's real limits, time scaled, and says what share of the ceiling it reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.data import SYNC
from bench.preparing import NOW, START, frames, peak_megabytes, plain, present, profile_of

SERVER = """
import sys
from klaviyo_sync.sandbox import Sandbox, serve
box = Sandbox(limits=sys.argv[1] == "limits", time_scale=float(sys.argv[2]), job_seconds=0.2)
for number in range(int(sys.argv[3])):
    box.profiles.upsert(None, {"external_id": f"there{number}"}, 0.0)
with serve(box) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
KEY = "pk_bench"
SCALE = 5.0
JOBS = 450
PROFILES_PER_JOB = 20
PROFILES_PER_REQUEST = 6_000  # json.dumps writes longer bodies than ours: 5 MB hold fewer


@contextmanager
def sandbox(limits: str = "none", scale: float = 1.0, profiles: int = 0) -> Iterator[str]:
    """The address of a sandbox that runs in a process of its own and holds so many profiles."""
    command = [sys.executable, "-c", SERVER, limits, str(scale), str(profiles)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.communicate()


def ours(table: Path, rows: int, shared: str = "ask", profiles: int = 0) -> dict[str, Any]:
    """A whole run: read, prepared, sent, answered for. The account holds so many profiles before."""
    from klaviyo_sync.core.sync import Sync
    from klaviyo_sync.core.windows import Window
    from klaviyo_sync.klaviyo.client import Klaviyo
    from klaviyo_sync.klaviyo.limits import LIMITS
    from klaviyo_sync.rejects import Rejects
    from klaviyo_sync.sync_window import sync_window
    from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

    profile = {**SYNC["profile"], "phone_number": {"column": "phone", "country": "country", "shared": shared}}
    sync = Sync.model_validate({**SYNC, "profile": profile, "dataset": None, "query": f"SELECT * FROM profiles LIMIT {rows}"})
    window = Window("all", START, NOW, first=True)
    with sandbox(profiles=profiles) as url, Klaviyo(KEY, url, limits=LIMITS.scaled(1000)) as klaviyo:
        began = time.perf_counter()
        warehouse = DuckDBWarehouse(table, "256MB")
        result = sync_window(sync, window, warehouse, klaviyo, now=NOW, rejects=Rejects("memory://bench"), log=lambda _: None)
        seconds = time.perf_counter() - began
        warehouse.close()
    assert result.balanced
    return {"rows": result.imported, "seconds": seconds, "requests": result.requests, "phone_requests": result.phone_requests}


def unasked(table: Path, rows: int) -> dict[str, Any]:
    """The same with numbers that are sent unasked."""
    return ours(table, rows, "newest")


def asking(table: Path, rows: int) -> dict[str, Any]:
    """The same into an account that is too large to be listed, so that every number is asked about."""
    return ours(table, rows, "ask", 2_000)


def official(table: Path, rows: int) -> dict[str, Any]:
    """The official package's own client, 6,000 profiles a request, waiting for no job."""
    from klaviyo_api import KlaviyoAPI

    with sandbox() as url:
        client = KlaviyoAPI(KEY, max_delay=60, max_retries=3, test_host=url)
        began = time.perf_counter()
        requests = sent = 0
        for frame in frames(table, rows):
            records = json.loads(json.dumps([profile_of(row, present) for row in frame.to_dict("records")], default=plain))
            for start in range(0, len(records), PROFILES_PER_REQUEST):
                profiles = [{"type": "profile", "attributes": attributes} for attributes in records[start : start + PROFILES_PER_REQUEST]]
                body = {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}}
                client.Profiles.bulk_import_profiles(body)  # type: ignore[attr-defined] - the package makes its groups at run time
                requests, sent = requests + 1, sent + len(profiles)
        seconds = time.perf_counter() - began
    return {"rows": sent, "seconds": seconds, "requests": requests}


def limits(table: Path, rows: int) -> dict[str, Any]:  # small batches of its own
    """Import jobs under the real limits, SCALE times faster: the share of 150 a minute that is reached."""
    from klaviyo_sync.core.packing import Batch, import_envelope
    from klaviyo_sync.klaviyo.client import Klaviyo
    from klaviyo_sync.klaviyo.imports import import_batches
    from klaviyo_sync.klaviyo.jobs import Patience
    from klaviyo_sync.klaviyo.limits import LIMITS

    def batch(number: int) -> Batch:
        emails = [f"p{number}x{position}@example.com" for position in range(PROFILES_PER_JOB)]
        texts = [f'{{"type":"profile","attributes":{{"email":"{email}"}}}},' for email in emails]
        rows = pa.table({"window": pa.array([0] * len(emails), pa.int32()), "email": emails})
        return Batch(import_envelope(), pa.chunked_array([texts], pa.large_string()), rows)

    with sandbox("limits", SCALE) as url, Klaviyo(KEY, url, limits=LIMITS.scaled(SCALE)) as klaviyo:
        began = time.perf_counter()
        outcomes = list(import_batches(klaviyo, map(batch, range(JOBS)), patience=Patience().scaled(SCALE)))
        seconds = time.perf_counter() - began
    # The fastest that the limits allow: a full minute for every 150 jobs but the last, and those at ten a second.
    fastest = ((JOBS / 150 - 1) * 60 + 150 / 10) / SCALE
    done = sum(int((outcome.fates == 0).sum()) for outcome in outcomes)
    return {"rows": done, "seconds": seconds, "requests": JOBS, "share": fastest / seconds}


WAYS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "ours": ours,
    "unasked": unasked,
    "asking": asking,
    "official": official,
    "limits": limits,
}


def main(way: str, table: str, rows: str) -> None:
    """Runs the way and prints its figures."""
    sys.stdout.write(json.dumps({**WAYS[way](Path(table), int(rows)), "peak_mb": peak_megabytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
