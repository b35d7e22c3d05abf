"""A place of one sync of people with e-mail consent, whose windows may stop themselves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from run_place import FAST, RunPlace

from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.stopping import Changes, Stop
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.sandbox import Sandbox
from klaviyo_sync.sync_window import Report, sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 1, 20, tzinfo=UTC)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email", "first_name": "email", "title": {"column": "title", "on_null": "clear"}},
    "consent": {"email_marketing": "word"},
}
TABLE = "CREATE TABLE members (email VARCHAR, title VARCHAR, word VARCHAR, updated_at TIMESTAMPTZ)"


class StopPlace(RunPlace):
    """People are named by their day and number: `1-0@example.com` is the first of 1 January."""

    def __init__(self, folder: Path, box: Sandbox, url: str) -> None:
        super().__init__(folder, box, url, sync=SYNC, table=TABLE, now=NOW)

    def day(self, day: int, rows: int, *, leaving: int = 0, joining: int = 0, nobody: int = 0, title: str | None = "Dr") -> None:
        """Adds the rows of a day: the first ones opt out, the next ones subscribe, and the last ones have no address."""
        written = "NULL" if title is None else f"'{title}'"
        word = f"CASE WHEN n < {leaving} THEN 'Unsubscribed' WHEN n < {leaving + joining} THEN 'Subscribe' END"
        address = f"CASE WHEN n < {rows - nobody} THEN '{day}-' || n || '@example.com' END"
        self.fill(f"SELECT {address}, {written}, {word}, TIMESTAMPTZ '{key(day)} 10:00Z' FROM range({rows}) AS _(n)")

    def run(
        self, *days: int, before: Sequence[Changes] = (), let_through: bool = False, most: int = 10_000, **changes: Any
    ) -> tuple[Report | None, dict[str, Stop]]:
        """Runs days together: the report, None when all of them stopped themselves, and those that did."""
        sync = Sync.model_validate({**self.sync, **changes})
        windows = [window(sync, key(day)) for day in days]
        with closing(DuckDBWarehouse(self.file)) as warehouse, Klaviyo("pk_x", self.url, **FAST) as klaviyo:
            try:
                report = sync_windows(
                    sync,
                    windows,
                    warehouse,
                    klaviyo,
                    now=self.now,
                    rejects=self.rejects,
                    log=lambda _: None,
                    most=most,
                    before=before,
                    let_through=let_through,
                )
            except HaltedError as error:
                return None, error.stopped
        assert all(result.balanced for result in report.results.values())
        return report, dict(report.stopped)

    def status(self, day: int, person: int) -> str:
        """What Klaviyo holds of somebody's e-mail consent."""
        return self.box.consent(f"{day}-{person}@example.com").status("email_marketing")

    def unsubscribed(self, day: int, people: int) -> int:
        """How many of the first people of a day are unsubscribed in Klaviyo."""
        return sum(self.status(day, person) == "UNSUBSCRIBED" for person in range(people))

    def hold(self, day: int, people: int) -> None:
        """Has Klaviyo know the first people of a day, each with a title."""
        with self.box.lock:
            for person in range(people):
                self.box.profiles.upsert(None, {"email": f"{day}-{person}@example.com", "title": "Dr"}, self.box.now())

    def imported(self, day: int) -> int:
        """How many people of a day were imported: only an import knows their first name."""
        with self.box.lock:
            self.box.settle()
            everybody = map(self.box.profiles.attributes, range(len(self.box.profiles)))
            return sum(one.get("first_name", "").startswith(f"{day}-") for one in everybody)


def key(day: int) -> str:
    """The window of a day in January."""
    return f"2026-01-{day:02}"
