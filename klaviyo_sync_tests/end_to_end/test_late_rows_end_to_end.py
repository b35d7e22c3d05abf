"""Rows that arrive after their window ran, from DuckDB through Dagster into a local Klaviyo: taken by an overlap, or named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from klaviyo_sync.config import load
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.orchestration.resources import OpenKlaviyo, OpenWarehouse
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"), pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

KEY = dg.AssetKey(["klaviyo", "members"])
CHECK = dg.AssetCheckKey(KEY, "completeness")
SYNC = {
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "hourly",
    "start": "2024-03-04",
    "profile": {"external_id": "id"},
}
NOW = datetime(2024, 3, 4, 4, 30, tzinfo=UTC)
WINDOWS = [f"2024-03-04-0{hour}:00" for hour in range(4)]


def run_windows(sync: Sync, windows: Sequence[Window], warehouse: OpenWarehouse, klaviyo: OpenKlaviyo, **rest: Any) -> Report:
    """The real import, as klaviyo_sync/definitions.py chooses it."""
    with warehouse("late rows") as opened, klaviyo() as client:
        return sync_windows(sync, windows, opened, client, **rest)


class Place:
    """A table, a local Klaviyo, and Dagster around one sync that reads the one and fills the other."""

    def __init__(self, folder: Path, box: Sandbox, url: str, instance: dg.DagsterInstance) -> None:
        self.folder, self.box, self.url, self.instance = folder, box, url, instance
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            connection.execute("CREATE TABLE members (id VARCHAR, updated_at TIMESTAMP)")

    def insert(self, **rows: str) -> None:
        """Rows by their id, with the time of day at which they were changed."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            connection.executemany("INSERT INTO members VALUES (?, ?)", [(name, f"2024-03-04 {time}") for name, time in rows.items()])

    def job(self, **changes: str) -> dg.JobDefinition:
        """Everything in one job, for a sync with these changes."""
        environ = {"KEY": "pk_sandbox_key", "URL": self.url}
        (self.folder / "syncs").mkdir(exist_ok=True)
        (self.folder / "syncs" / "members.yaml").write_text(yaml.safe_dump({**SYNC, **changes}), encoding="utf-8")
        project = self.folder / "klaviyo_sync.yaml"
        settings = {"api_key": {"env": "KEY"}, "base_url": {"env": "URL"}}
        text = {"klaviyo": settings, "connections": {"local": {"type": "duckdb", "path": "warehouse.duckdb"}}}
        project.write_text(yaml.safe_dump(text), encoding="utf-8")
        importing = Importing(run_windows, lambda: Rejects(str(self.folder / "rejects")), lambda: NOW)
        return build_definitions(load(project, environ), importing, environ).resolve_implicit_global_asset_job_def()

    def run(self, *windows: str, **changes: str) -> None:
        """Imports windows, each in a run of its own."""
        job = self.job(**changes).get_subset(asset_selection={KEY})
        for window in windows:
            assert job.execute_in_process(instance=self.instance, partition_key=window).success

    def late(self, **changes: str) -> dict[str, int]:
        """The windows that the check names when it is executed alone, with the rows that came late."""
        job = self.job(**changes).get_subset(asset_selection=set(), asset_check_selection={CHECK})
        [evaluation] = job.execute_in_process(instance=self.instance).get_asset_check_evaluations()
        assert "could not be counted" not in (evaluation.description or "")
        found: Any = evaluation.metadata.get("late_rows_by_window")
        return dict(found.value) if found else {}

    def people(self) -> set[str]:
        """The profiles that Klaviyo holds, by their external id."""
        return {str(self.box.profiles.attributes(number)["external_id"]) for number in range(len(self.box.profiles))}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place of the test's own."""
    box = Sandbox(job_seconds=0.0, limits=False)
    with serve(box) as server, dg.DagsterInstance.ephemeral() as instance:
        yield Place(tmp_path, box, server.url, instance)


def test_late_rows_are_named_until_their_windows_run_again(place: Place) -> None:
    """Without an overlap they stay behind, the check names their window, and running that window again takes them."""
    place.insert(a="00:10", b="01:10", c="02:10")
    place.run(*WINDOWS)
    assert place.late() == {}
    place.insert(late="01:59", also="01:00", older="00:30")
    assert place.late() == {WINDOWS[0]: 1, WINDOWS[1]: 2}
    place.run(WINDOWS[1])
    assert place.people() == {"a", "b", "c", "late", "also"}
    assert place.late() == {WINDOWS[0]: 1}
    place.run(WINDOWS[0])
    assert place.late() == {}
    assert place.people() == {"a", "b", "c", "late", "also", "older"}


def test_overlap_takes_late_rows(place: Place) -> None:
    """With an overlap the next window takes them, and the check says nothing; what came later than that is named."""
    place.insert(a="00:10", b="01:10")
    place.run(*WINDOWS[:2], overlap="30m")
    place.insert(late="01:45", early="01:15")
    place.run(*WINDOWS[2:], overlap="30m")
    assert place.people() == {"a", "b", "late"}
    assert place.late(overlap="30m") == {WINDOWS[1]: 1}
    place.insert(tail="03:45", between="02:40")
    assert place.late(overlap="30m") == {WINDOWS[1]: 1, WINDOWS[3]: 1}
    place.run(WINDOWS[1], WINDOWS[3], overlap="30m")
    assert place.late(overlap="30m") == {}
    assert place.people() == {"a", "b", "late", "early", "tail", "between"}


def test_rows_that_changed_again_are_not_late(place: Place) -> None:
    """A row that moves into a later window leaves its old one, which holds fewer rows then."""
    place.insert(a="00:10", b="00:20")
    place.run(*WINDOWS)
    with duckdb.connect(str(place.folder / "warehouse.duckdb")) as connection:
        connection.execute("UPDATE members SET updated_at = '2024-03-04 04:10' WHERE id = 'a'")
    assert place.late() == {}
