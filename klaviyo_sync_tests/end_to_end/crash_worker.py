"""A worker that runs windows as often as it is told, each time in a process of its own that may be killed.

`python crash_worker.py FOLDER URL MOST` (profiles in a request) reads lines `NOW DIES WINDOW...`; for each it prints the process id,
waits for the process to end, and prints how it ended and how much happened in it. With DIES above 0 the process kills itself at the
so-manyth event that Python audits (files opened, renamed, removed; connections; https://docs.python.org/3/library/audit_events.html).
Forking spares the imports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sync_window import sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

SPEED = 100.0
WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "socket.connect", "tempfile.mkdtemp", "shutil.rmtree")


def events_until_death(dies: int) -> list[int]:
    """A counter of audited events; the process is killed at number `dies`."""
    seen = [0]

    def watch(event: str, _: tuple[Any, ...]) -> None:
        if event in WATCHED:
            seen[0] += 1
            if seen[0] == dies:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return seen


def run(folder: Path, url: str, most: int, now: datetime, names: list[str]) -> None:
    """One run, as a run of Dagster's does it."""
    sync = Sync.model_validate({"name": "people", **yaml.safe_load((folder / "people.yaml").read_text(encoding="utf-8"))})
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    client = Klaviyo("pk_crash", url, clock=lambda: time.monotonic() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED))
    try:
        with client as klaviyo:
            windows = [window(sync, name) for name in names]
            report = sync_windows(
                sync, windows, warehouse, klaviyo, now=now, rejects=Rejects(str(folder / "rejects")), log=lambda _: None, most=most
            )
    finally:
        warehouse.close()
    if not all(result.proven and result.balanced for result in report.results.values()):
        raise SystemExit(f"not proven: {report.results}")


def tell(*words: object) -> None:
    """A line on the standard output."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: Path, url: str, most: int) -> None:
    """Runs what the lines of the standard input say."""
    for line in sys.stdin:
        now, dies, *names = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                seen = events_until_death(int(dies))
                run(folder, url, most, datetime.fromisoformat(now), names)
                os.write(writing, str(seen[0]).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        tell(child)
        _, ended = os.waitpid(child, 0)
        tell(os.waitstatus_to_exitcode(ended), os.read(reading, 100).decode() or 0)
        os.close(reading)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
