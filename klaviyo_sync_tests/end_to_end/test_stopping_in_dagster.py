"""Hourly windows through Dagster into a local Klaviyo: one in which nearly everybody is unsubscribed stops itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.schedules import asked_for
from klaviyo_sync.sandbox import Sandbox, serve

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"), pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

KEY = dg.AssetKey(["klaviyo", "members"])
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY - timedelta(days=2)
PROJECT = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}
connections: {local: {type: duckdb, path: warehouse.duckdb}}
rejects: REJECTS
"""
SYNC = """
connection: local
dataset: members
modified_at: updated_at
frequency: hourly
start: START
profile: {email: email}
consent: {email_marketing: word}
"""
# 30 small green hours, then 390 people of whom 388 are unsubscribed, then another green one
ROWS = """
CREATE TABLE members (email VARCHAR, word VARCHAR, updated_at TIMESTAMP);
INSERT INTO members SELECT h || '-' || n || '@example.com', CASE WHEN n = 0 THEN 'Unsubscribed' END, TIMESTAMP 'START' + INTERVAL (h) HOUR
FROM range(32) AS _(h), range(10) AS _(n) WHERE h <> 30;
INSERT INTO members SELECT '30-' || n || '@example.com', CASE WHEN n < 388 THEN 'Unsubscribed' END, TIMESTAMP 'START' + INTERVAL 30 HOUR
FROM range(390) AS _(n);
"""


def hour(number: int) -> str:
    """The key of an hour since the start."""
    return f"{DAY + timedelta(hours=number):%Y-%m-%d-%H:%M}"


@pytest.fixture
def box() -> Iterator[tuple[Sandbox, str]]:
    """A local Klaviyo without limits, and its address."""
    sandbox = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0)
    with serve(sandbox) as server:
        yield sandbox, server.url


@pytest.fixture
def defs(tmp_path: Path, box: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.Definitions]:
    """The definitions of a project in a folder of its own, as Dagster loads them."""
    (tmp_path / "syncs").mkdir()
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT.replace("REJECTS", str(tmp_path / "rejects")), encoding="utf-8")
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC.replace("START", f"{DAY:%Y-%m-%d}"), encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(ROWS.replace("START", f"{DAY:%Y-%m-%d %H:%M}"))
    monkeypatch.setenv("KLAVIYO_SYNC_CONFIG", str(tmp_path / "klaviyo_sync.yaml"))
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_sandbox_key")
    monkeypatch.setenv("KLAVIYO_BASE_URL", box[1])
    sys.modules.pop("klaviyo_sync.definitions", None)
    yield importlib.import_module("klaviyo_sync.definitions").defs
    sys.modules.pop("klaviyo_sync.definitions", None)


def unsubscribed(box: Sandbox, number: int, people: int) -> int:
    """How many of the first people of an hour are unsubscribed in Klaviyo."""
    return sum(box.consent(f"{number}-{person}@example.com").status("email_marketing") == "UNSUBSCRIBED" for person in range(people))


@pytest.mark.parametrize("history", [True, False], ids=["after green windows", "first window"])
def test_an_hour_that_unsubscribes_nearly_everybody(defs: dg.Definitions, box: tuple[Sandbox, str], *, history: bool) -> None:
    """It stops itself whatever came before it, its neighbour goes on, and each tick tries it alone until somebody lets it through."""
    job = defs.resolve_job_def("klaviyo_members")
    sync = Sync.model_validate(
        {
            "name": "members",
            "connection": "local",
            "dataset": "members",
            "modified_at": "updated_at",
            "frequency": "hourly",
            "start": f"{DAY:%Y-%m-%d}",
            "profile": {"email": "email"},
        }
    )
    with dg.DagsterInstance.ephemeral() as instance:

        def run(first: int, last: int, *, let_through: bool = False) -> bool:
            span = {"dagster/asset_partition_range_start": hour(first), "dagster/asset_partition_range_end": hour(last), "user": "Kim"}
            config = {"ops": {"klaviyo__members": {"config": {"let_through": let_through}}}}
            return job.execute_in_process(config, tags=span, instance=instance, raise_on_error=False).success

        if history:
            assert run(0, 19)
            assert run(20, 29)
        assert not run(30, 31)
        assert instance.get_materialized_partitions(KEY) == {hour(number) for number in (*(range(30) if history else ()), 31)}
        assert [unsubscribed(box[0], number, people) for number, people in ((30, 390), (31, 10))] == [0, 1]

        asked = asked_for(sync, DAY + timedelta(hours=32, minutes=5), instance)
        assert isinstance(asked, list)
        assert asked[-1].partition_key == hour(30)
        assert len(asked) == (1 if history else 2)
        assert not run(30, 30)
        assert unsubscribed(box[0], 30, 390) == 0

        assert run(30, 30, let_through=True)
        assert unsubscribed(box[0], 30, 390) == 388
        [record] = instance.fetch_materializations(dg.AssetRecordsFilter(KEY, asset_partitions=[hour(30)]), limit=1).records
        assert record.asset_materialization
        let_through = record.asset_materialization.metadata["let_through"].value
        assert isinstance(let_through, dict)
        assert let_through["asked_by"] == "Kim"
        assert let_through["over"] == ["388 of 390 rows newly unsubscribe for email_marketing, and stop_above.unsubscribes is 50%"]
