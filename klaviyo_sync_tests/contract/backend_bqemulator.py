"""A second opinion on BigQuery: the PyPI package bqemulator, where another hand has read GoogleSQL.

It lives in an environment of its own (`make second-opinion` makes it): its sqlglot and DuckDB are older than those of the tests. It cannot
read the results of queries over the Storage Read API, so rows come over REST.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backend_bigquery import DATASET, BigQueryPlace

from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.warehouses.bigquery import open_bigquery
from shell import free_port

VARIABLE = "KLAVIYO_SYNC_TEST_BQEMULATOR"
PROJECT = "second-opinion"
STARTS_WITHIN = 60.0
NULL_LIST = "keeps a NULL array, where BigQuery stores an empty one"
NAMES = "refuses names of tables with a space, which BigQuery takes"


class BigQueryEmulator:
    """The emulator, started for the suite."""

    name = "bigquery-emulator"
    # Where it is known to differ from BigQuery: part of a test's name, and how.
    deviations: Mapping[str, str] = {
        "test_awkward_datasets[bigquery-emulator-table-With Space": NAMES,
        "test_awkward_datasets[bigquery-emulator-table-MiXed": NAMES,
        "test_awkward_datasets[bigquery-emulator-view-With Space": NAMES,
        "test_awkward_datasets[bigquery-emulator-view-MiXed": NAMES,
        "test_selects[bigquery-emulator-SELECT id, changed FROM {} WHERE id <> '?'": "takes @lower and $lower in a text for a parameter",
        "test_every_type[bigquery-emulator-null": NULL_LIST,
        "test_every_type[bigquery-emulator-least": NULL_LIST,
    }

    def missing(self) -> str | None:
        """The variable, when it is not set."""
        return None if os.environ.get(VARIABLE) else f"{VARIABLE} is not set: the path of the program bqemulator; see `make second-opinion`"

    @contextmanager
    def opened(self) -> Iterator[BigQueryPlace]:
        """An emulator of its own."""
        rest, rows = free_port(), free_port()
        command = [os.environ[VARIABLE], "start", "--rest-port", str(rest), "--grpc-port", str(rows), "--project", PROJECT]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(process, rest)
                keys = {"project": PROJECT, "location": "US", "api_endpoint": f"http://127.0.0.1:{rest}"}
                connection = BigQueryConnection.model_validate({"name": "bigquery", **keys})
                warehouse = open_bigquery(connection, "klaviyo_sync contract suite")
                try:
                    warehouse.client.query(f"CREATE SCHEMA {DATASET}").result()
                    yield BigQueryPlace(connection, DATASET, lambda sql: warehouse.client.query(sql).result())
                finally:
                    warehouse.close()
            finally:
                process.terminate()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Returns when the process listens. Raises RuntimeError when it ends before, or takes too long."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"bqemulator does not listen on port {port}; start it by hand to see why: {os.environ[VARIABLE]} start")
