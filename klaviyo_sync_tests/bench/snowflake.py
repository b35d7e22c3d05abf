"""The table out of a local Snowflake in a process of its own, into request bodies: prints the figures as JSON.

Run as `python -m bench.snowflake TABLE [CHUNK_ROWS]`. The server shares the machine, and has run each query once before it is measured, as
Snowflake serves chunks that lie ready: rows per second of this process's own CPU time are what compares with other warehouses. `first`
is the time from nothing loaded to the first batch of rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data import SYNC
from bench.preparing import bodies, peak_megabytes

CHUNK_ROWS = 20_000
DATASET = "public.profiles"
SERVER = """
import json, sys
from snowflake_server import State, serve
state = State(keep_results=True, chunk_rows=int(sys.argv[2]))
state.attach(sys.argv[1])
with serve(state) as server:
    print(json.dumps({**server.connection(), "password": state.accounts["READER"].password}), flush=True)
    sys.stdin.read()
"""
WARM = "warm"


@contextmanager
def server(table: Path, chunk_rows: int) -> Iterator[dict[str, Any]]:
    """The keys of a connection to a server of the table, kept off this process's core."""
    cores = os.sched_getaffinity(0)
    started = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(table), str(chunk_rows)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    os.sched_setaffinity(started.pid, {min(cores)})
    assert started.stdout is not None
    try:
        keys = json.loads(started.stdout.readline())
        # In a process of its own, so that this one has nothing loaded.
        subprocess.run([sys.executable, "-m", "bench.snowflake", WARM, json.dumps(keys)], check=True, stdout=subprocess.DEVNULL)
        yield keys
    finally:
        started.communicate()


def read(keys: dict[str, Any]) -> dict[str, Any]:
    """Opens, reads, prepares: the figures."""
    began = time.perf_counter()
    from klaviyo_sync.config.connections import SnowflakeConnection
    from klaviyo_sync.config.env import Revealed
    from klaviyo_sync.warehouses.snowflake import open_snowflake

    connection = SnowflakeConnection.model_validate({"name": "bench", **keys, "password": Revealed(keys["password"])})
    warehouse = open_snowflake(connection, "klaviyo_sync bench")
    first, batches = [], warehouse.batches

    def noticed(query: Any) -> Iterator[Any]:
        for batch in batches(query):
            first.append(time.perf_counter() - began) if batch.num_rows > 1 and not first else None
            yield batch

    used = time.process_time()  # the driver is loaded; what that took is in `first`
    warehouse.batches = noticed  # a measuring point
    counts = list(bodies(warehouse, {**SYNC, "dataset": DATASET}))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    warehouse.close()
    return {"rows": sum(counts), "seconds": seconds, "cpu": cpu, "first": first[0], "requests": len(counts), "peak_mb": peak_megabytes()}


def main(table: str, chunk_rows: str = str(CHUNK_ROWS)) -> None:
    """Prints the figures, or only has the server make its results ready."""
    if table == WARM:
        read(json.loads(chunk_rows))
        return
    with server(Path(table), int(chunk_rows)) as keys:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        sys.stdout.write(json.dumps(read(keys)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
