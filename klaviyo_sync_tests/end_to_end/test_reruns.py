"""Re-runs over append-only history: whatever is run again, in whatever order, nobody goes back in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window, windows
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=6)
SYNC: dict[str, Any] = {
    "name": "history",
    "connection": "local",
    "dataset": "history",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email", "external_id": "id"},
    "properties": {"Version": "version"},
}
SPEED = 1_000.0


class History:
    """An append-only table, and a Klaviyo."""

    def __init__(self, file: Path, box: Sandbox, url: str) -> None:
        self.file, self.box, self.url = file, box, url
        self.rejects = Rejects(str(file.parent / "rejects"))
        self.rows: list[tuple[str, str, int, datetime]] = []

    def append(self, *rows: tuple[int, int, datetime]) -> None:
        """Adds (person, version, moment)."""
        self.rows += [(f"p{person}", f"p{person}@shop.example", version, at) for person, version, at in rows]
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("CREATE OR REPLACE TABLE history (id VARCHAR, email VARCHAR, version BIGINT, updated_at TIMESTAMPTZ)")
            connection.executemany("INSERT INTO history VALUES (?, ?, ?, ?)", self.rows)

    def run(self, *keys: str, now: datetime = NOW, most: int = 7, **changes: Any) -> Report:
        """Runs these windows together; all that have closed when none is named."""
        sync = Sync.model_validate({**SYNC, **changes})
        chosen = [window(sync, key) for key in keys] or list(windows(sync, now))
        warehouse = DuckDBWarehouse(self.file)
        try:
            fast = {"clock": lambda: time.monotonic() * SPEED, "sleep": lambda seconds: time.sleep(seconds / SPEED)}
            with Klaviyo("pk_x", self.url, **fast) as klaviyo:
                report = sync_windows(sync, chosen, warehouse, klaviyo, now=now, rejects=self.rejects, log=lambda _: None, most=most)
        finally:
            warehouse.close()
        assert all(result.balanced and result.proven for result in report.results.values())
        return report

    def versions(self, name: str = "Version") -> dict[str, int]:
        """The version of everybody in Klaviyo."""
        with self.box.lock:
            self.box.settle()
            found = [self.box.profiles.attributes(number) for number in range(len(self.box.profiles))]
        return {one["external_id"]: one["properties"][name] for one in found if name in one.get("properties", {})}

    def newest(self, until: datetime = NOW) -> dict[str, int]:
        """The newest version of everybody, as of a moment."""
        return {id_: version for id_, _, version, at in sorted(self.rows, key=lambda row: row[3]) if at < until}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A place whose import jobs take a moment."""
    box = Sandbox(limits=False, job_seconds=(0.0, 0.02))
    with serve(box) as server:
        yield History(tmp_path / "warehouse.duckdb", box, server.url)


def changes(random: Random, many: int) -> list[tuple[int, int, datetime]]:
    """Random changes of few people, no two at one moment."""
    moments = random.sample(range(6 * 24 * 60), many)
    return [(random.randrange(12), version, START + timedelta(minutes=at)) for version, at in enumerate(moments)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
def test_any_windows_in_any_order(history: History, seed: int) -> None:
    """Old windows, ranges, overlaps, daily and hourly, again and again: at every moment each profile is at its newest row or not there."""
    random = Random(seed)
    history.append(*changes(random, 80))
    newest = history.newest()
    for _ in range(8):
        frequency = random.choice(["daily", "hourly"])
        closed = [one.key for one in windows(Sync.model_validate({**SYNC, "frequency": frequency}), NOW)]
        first = random.randrange(len(closed))
        keys = closed[first : first + random.choice([1, 2, 5, 40])]
        before = history.versions()
        history.run(*keys, frequency=frequency, overlap=random.choice(["0m", "90m", "2d"]))
        after = history.versions()
        assert after.items() <= newest.items()
        assert before.items() <= after.items()
    history.run()
    assert history.versions() == newest
    assert len(history.box.profiles) == len(newest)


def test_rows_that_come_late(history: History) -> None:
    """A row that arrives with an old date goes out when its window is run again, unless a newer one is there."""
    history.append((1, 1, START + timedelta(hours=5)), (2, 1, START + timedelta(days=2)))
    history.run()
    history.append((1, 2, START + timedelta(hours=6)), (2, 2, START + timedelta(days=1)), (3, 3, START + timedelta(hours=1)))
    again = history.run("2026-01-01", "2026-01-02")
    assert history.versions() == {"p1": 2, "p2": 1, "p3": 3}
    assert [result.superseded for result in again.results.values()] == [1, 1]


def test_the_mapping_changes(history: History) -> None:
    """Another property, and windows run again under it: the new one is right everywhere, the old one stays as it was."""
    history.append((1, 1, START + timedelta(hours=5)), (2, 2, START + timedelta(days=1)))
    history.run()
    history.append((1, 3, START + timedelta(days=3)))
    history.run(properties={"Level": "version"})
    assert history.versions("Level") == {"p1": 3, "p2": 2}
    assert history.versions() == {"p1": 1, "p2": 2}


@pytest.mark.parametrize("skew", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_clocks_that_differ(history: History, skew: timedelta) -> None:
    """With the warehouse's clock ahead or behind, rows around the window's end go out by the run of the window that they are dated in."""
    end = START + timedelta(days=1)
    history.append(*((person, person, end + skew + timedelta(minutes=person - 6)) for person in range(12)))
    history.run("2026-01-01", now=end + timedelta(minutes=5))
    assert history.versions() == {id_: version for id_, _, version, at in history.rows if at < end}
    history.run("2026-01-02", now=end + timedelta(days=1, minutes=5))
    assert history.versions() == history.newest()


def test_two_runs_at_once(history: History) -> None:
    """Two runs that nothing keeps apart, over windows that overlap, leave everybody at the newest row: both send only that one."""
    random = Random(3)
    history.append(*changes(random, 200))
    errors: list[BaseException] = []

    def guarded(*keys: str) -> None:
        try:
            history.run(*keys)
        except BaseException as error:  # noqa: BLE001 - shown in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=guarded), threading.Thread(target=guarded, args=("2026-01-02", "2026-01-03", "2026-01-04"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert history.versions() == history.newest()


def test_a_change_between_two_runs_is_not_overtaken(history: History) -> None:
    """A job of the first run that is still running is waited for: its older row does not land on the newer one."""
    history.box.jobs._seconds = (0.3, 0.3)
    history.append((1, 1, START + timedelta(hours=5)))
    first = threading.Thread(target=history.run, args=("2026-01-01",), kwargs={"now": START + timedelta(days=1)})
    first.start()
    while not history.box.requests["bulk_import_profiles", 202]:
        time.sleep(0.001)
    history.box.jobs._seconds = (0.0, 0.0)
    history.rows.append(("p1", "p1@shop.example", 2, START + timedelta(hours=30)))
    second = History(history.file.with_name("second.duckdb"), history.box, history.url)
    second.rows = history.rows
    second.append()
    second.run("2026-01-02")
    first.join()
    assert history.versions() == {"p1": 2}
