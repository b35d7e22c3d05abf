"""A warehouse with consent columns, a local Klaviyo over HTTP whose clock tests move, and runs from one into the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from run_place import FAST

from klaviyo_sync.core.sync import CHANNELS, Channel, Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [("email", pa.string()), ("phone", pa.string()), ("born", pa.string())]
    + [column for channel in CHANNELS for column in ((channel, pa.string()), (f"{channel}_at", MOMENT))]
    + [("changed", MOMENT)]
)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "people",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email", "phone_number": "phone"},
    "stop_above": {"rejected": None, "unsubscribes": None},
}


def mail(number: int) -> str:
    """The e-mail address of a person."""
    return f"p{number}@shop.example"


def phone(number: int) -> str:
    """The phone number of a person."""
    return f"+49151{10_000_000 + number}"


def day(moment: datetime) -> str:
    """The key of the daily window that holds a moment."""
    return f"{moment:%Y-%m-%d}"


class Place:
    """The warehouse, the local Klaviyo `box` at `url`, and the moment that it is there: `now`."""

    def __init__(self, folder: Path, now: datetime, **box: Any) -> None:
        self.file = folder / "warehouse.duckdb"
        self.rejects = Rejects(str(folder / "rejects"))
        self.now = now
        self.url = ""
        options = {"limits": False, "job_seconds": 0.0, "consent_seconds": 0.0, "opt_in_process": "single_opt_in", **box}
        self.box = Sandbox(clock=self._clock, **options)

    def _clock(self) -> float:
        return self.now.timestamp()

    def fill(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Puts rows (of the columns of SCHEMA, NULL where they are left out) into the table, in the place of those that were there."""
        table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("given", table)
            connection.execute("CREATE OR REPLACE TABLE people AS SELECT * FROM given")

    def run(self, keys: Sequence[str], channels: Iterable[Channel] = CHANNELS, *, frequency: str = "daily", **consent: Any) -> Report:
        """Runs the windows of these keys together; every row and statement is accounted for, and no log line names anybody."""
        columns = {channel: {"column": channel, "timestamp": f"{channel}_at"} for channel in channels}
        sync = Sync.model_validate({**SYNC, "frequency": frequency, "consent": {**columns, **consent}})
        warehouse = DuckDBWarehouse(self.file)
        lines: list[str] = []
        try:
            with Klaviyo("pk_x", self.url, **FAST) as klaviyo:
                windows = [window(sync, key) for key in keys]
                report = sync_windows(sync, windows, warehouse, klaviyo, now=self.now, rejects=self.rejects, log=lines.append)
        finally:
            warehouse.close()
        assert not any("@" in line for line in lines)
        assert all(result.balanced for result in report.results.values())
        return report

    def status(self, number: int, channel: Channel = "email_marketing") -> str:
        """What Klaviyo holds of a person for a channel."""
        return self.box.consent(mail(number) if channel == "email_marketing" else phone(number)).status(channel)


@contextmanager
def placed(folder: Path, now: datetime, **box: Any) -> Iterator[Place]:
    """A place whose Klaviyo is served."""
    place = Place(folder, now, **box)
    with serve(place.box) as server:
        place.url = server.url
        yield place


def days(first: datetime, count: int) -> list[str]:
    """The keys of so many daily windows."""
    return [day(first + timedelta(days=number)) for number in range(count)]


START = datetime(2026, 1, 1, tzinfo=UTC)
