"""A warehouse file, a rejects folder and a local Klaviyo over HTTP, and runs from one into the other."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox
from klaviyo_sync.sync_window import Report, sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

SPEED = 100.0
# A client without pace, for which time runs faster: half a second between two looks at a job is none that a test waits for.
FAST: dict[str, Any] = {
    "limits": LIMITS.scaled(1e6),
    "clock": lambda: time.monotonic() * SPEED,
    "sleep": lambda seconds: time.sleep(seconds / SPEED),
}


class RunPlace:
    """The place of one sync of one table, both given; `now` is the moment of every run that does not have its own."""

    def __init__(self, folder: Path, box: Sandbox, url: str, *, sync: Mapping[str, Any], table: str, now: datetime) -> None:
        self.file = folder / "warehouse.duckdb"
        self.rejects = Rejects(str(folder / "rejects"))
        self.box = box
        self.url = url
        self.sync = sync
        self.now = now
        self.write(table)

    def write(self, sql: str) -> None:
        """Changes the warehouse."""
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(sql)

    def fill(self, *rows: str) -> None:
        """Adds rows to the table `members`: each in brackets, or one SELECT."""
        self.write(f"INSERT INTO members {'' if rows[0].startswith('SELECT') else 'VALUES '}{', '.join(rows)}")

    def report(self, *keys: str, now: datetime | None = None, most: int = 10_000, **changes: Any) -> Report:
        """Runs the windows of these keys together. Everything is accounted for, and no log line holds an address."""
        sync = Sync.model_validate({**self.sync, **changes})
        logged: list[str] = []
        with closing(DuckDBWarehouse(self.file)) as warehouse, Klaviyo("pk_x", self.url, **FAST) as klaviyo:
            windows = [window(sync, key) for key in keys]
            try:
                report = sync_windows(
                    sync, windows, warehouse, klaviyo, now=now or self.now, rejects=self.rejects, log=logged.append, most=most
                )
            finally:
                assert not any("@" in line for line in logged), "a log line holds personal data"
        assert all(result.balanced for result in report.results.values())
        return report

    def rejected(self, key: str) -> list[dict[str, str]]:
        """The lines of a window's rejects file."""
        with Path(self.rejects.address("members", key)).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def lines(self, key: str) -> list[tuple[str, ...]]:
        """Row, column, code and outcome of each line of a window's rejects file, sorted."""
        return sorted((line["row"], line["column"], line["code"], line["outcome"]) for line in self.rejected(key))
