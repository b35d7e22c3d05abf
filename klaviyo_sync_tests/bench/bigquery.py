"""The table out of a local BigQuery in a process of its own, into request bodies: prints the figures as JSON.

Run as `python -m bench.bigquery WAY TABLE`, WAY being `storage` or `rest`. The server shares the machine: rows per second of this
process's own CPU time are what compares with other warehouses. `first` is the time from nothing loaded to the first batch of rows.
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

# Real messages hold about this many rows of such a table; the server's own JSON is exact, and slow.
SERVER = """
import json, sys
from bigquery_server import State, serve
with serve(State(sys.argv[1], exact_json=False), message_rows=5_000) as server:
    print(json.dumps(server.connection(rest=sys.argv[2] == "rest")), flush=True)
    sys.stdin.read()
"""


@contextmanager
def server(table: Path, way: str) -> Iterator[dict[str, Any]]:
    """The keys of a connection to a server of the table, kept off this process's core."""
    cores = os.sched_getaffinity(0)
    started = subprocess.Popen([sys.executable, "-c", SERVER, str(table), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(started.pid, {min(cores)})
    assert started.stdout is not None
    try:
        yield json.loads(started.stdout.readline())
    finally:
        started.communicate()


def main(way: str, table: str) -> None:
    """Opens, reads, prepares; prints the figures."""
    with server(Path(table), way) as keys:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        began = time.perf_counter()
        from klaviyo_sync.config.connections import BigQueryConnection
        from klaviyo_sync.warehouses.bigquery import open_bigquery

        warehouse = open_bigquery(BigQueryConnection(name="bench", **keys), "klaviyo_sync bench")
        first, read = [], warehouse.batches

        def noticed(query: Any) -> Iterator[Any]:
            for batch in read(query):
                first.append(time.perf_counter() - began) if batch.num_rows > 1 and not first else None
                yield batch

        used = time.process_time()  # Google's libraries are loaded; what they took is in `first`
        warehouse.batches = noticed  # a measuring point
        counts = list(bodies(warehouse, {**SYNC, "dataset": "main.profiles"}))
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        warehouse.close()
    figures = {"rows": sum(counts), "seconds": seconds, "cpu": cpu, "first": first[0], "requests": len(counts), "peak_mb": peak_megabytes()}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:3])
