"""A Dagster that forgets what was imported is named before its history is gone: in the run's log and by `klaviyo-sync check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from orchestration_bench import Bench

from klaviyo_sync.cli import dagster_home
from klaviyo_sync.cli.connect_dagster import ask_dagster
from klaviyo_sync.orchestration.dagster_slots import Holder, instance_here, take
from klaviyo_sync.orchestration.guarantees import forgets
from klaviyo_sync.orchestration.import_slot import slot_key

STORED = "storage: {sqlite: {base_dir: kept}}\ntelemetry: {enabled: false}\n"
BARE = "telemetry: {enabled: false}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without a home of Dagster's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path


def test_a_run_of_an_instance_in_memory_warns(bench_of: Callable[..., Bench]) -> None:
    """Its log says that the history is lost, and what to do."""
    bench = bench_of()
    run = bench.run("2024-03-04-00:00")
    [line] = [entry.user_message for entry in bench.instance.all_logs(run.run_id) if "DAGSTER_HOME" in entry.user_message]
    assert "This Dagster instance is temporary" in line
    assert "every window then counts as missing" in line


def test_an_instance_in_a_temporary_home_warns(here: Path) -> None:
    """Dagster's commands make one where nothing says where the history is to be kept; where something does, it is kept."""
    temporary = here / ".tmp_dagster_home_x"
    temporary.mkdir()
    for settings, warns in ((BARE, True), (STORED, False)):
        (temporary / "dagster.yaml").write_text(settings, encoding="utf-8")
        with dg.DagsterInstance.from_config(str(temporary)) as instance:
            assert bool(forgets(instance)) is warns


@pytest.mark.parametrize(
    ("environ", "settings", "said"),
    [
        ({"DAGSTER_HOME": "/home/dagster"}, None, None),
        ({}, STORED, None),
        ({}, BARE, "has no `storage`"),
        ({}, None, "has no dagster.yaml"),
        ({}, "storage: [", "cannot be read"),
    ],
)
def test_check_says_when_history_would_be_lost(here: Path, environ: dict[str, str], settings: str | None, said: str | None) -> None:
    """It looks where Dagster looks: the home, else dagster.yaml in the working directory, if that names a storage."""
    if settings is not None:
        (here / "dagster.yaml").write_text(settings, encoding="utf-8")
    note = dagster_home.forgets(environ, here)
    assert note is None if said is None else note is not None and said in note


def test_check_connect_says_how_one_import_at_a_time_stands(here: Path) -> None:
    """Free or taken, and whether waiting runs are queued; without an instance that there is none."""
    assert "no Dagster instance here" in ask_dagster(here).said
    (here / "dagster.yaml").write_text(STORED, encoding="utf-8")
    assert (ask_dagster(here).good, "free; waiting runs occupy a process each" in ask_dagster(here).said) == (True, True)
    with instance_here(here) as instance:
        assert instance
        instance.event_log_storage.set_concurrency_slots("klaviyo", 1)
        assert take(instance.event_log_storage, slot_key(), Holder("0123456789abcdef", "elsewhere"))
    assert "taken by run 01234567; waiting runs stay queued" in ask_dagster(here).said


def test_check_connect_says_when_it_cannot_be_held(here: Path) -> None:
    """An event log without slots, and an instance that cannot be opened, are wrong answers in one line."""
    (here / "dagster.yaml").write_text(STORED, encoding="utf-8")
    with instance_here(here) as instance:
        assert instance
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("DROP TABLE concurrency_slots")
    assert (ask_dagster(here).good, "dagster instance migrate" in ask_dagster(here).said) == (False, True)
    (here / "dagster.yaml").write_text("nonsense: true\n", encoding="utf-8")
    assert (ask_dagster(here).good, "cannot be opened" in ask_dagster(here).said) == (False, True)
