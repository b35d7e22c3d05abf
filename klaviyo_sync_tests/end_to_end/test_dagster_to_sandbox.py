"""From a DuckDB file through Dagster into a local Klaviyo over HTTP, with nothing stood in for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from klaviyo_sync.sandbox import Sandbox, serve

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"), pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

KEY = dg.AssetKey(["klaviyo", "members"])
PROJECT = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}
connections: {local: {type: duckdb, path: warehouse.duckdb}}
rejects: REJECTS
"""
SYNC = """
connection: local
dataset: crm.members
modified_at: updated_at
frequency: daily
start: 2024-03-01
profile: {email: email, external_id: id, phone_number: phone}
properties: {Balance: balance}
"""
ROWS = """
CREATE SCHEMA crm;
CREATE TABLE crm.members (id VARCHAR, email VARCHAR, phone VARCHAR, balance DECIMAL(9, 2), updated_at TIMESTAMP);
INSERT INTO crm.members VALUES
  ('1', 'ada@example.com', NULL, 1.10, '2024-01-15 08:00'),
  ('2', 'bob@example.com', NULL, 2.20, '2024-03-01 08:00'),
  (NULL, NULL, NULL, 3.30, '2024-03-02 08:00'),
  ('4', 'dan@example.com', 'not a number', 4.40, '2024-03-02 09:00'),
  ('2', 'bob@example.com', NULL, 5.50, '2024-03-03 10:00'),
  ('6', 'eve@example.com', NULL, 6.60, NULL);
"""


@pytest.fixture
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    """A local Klaviyo whose jobs take a moment, and its address."""
    box = Sandbox(job_seconds=0.1)
    with serve(box) as server:
        yield box, server.url


@pytest.fixture
def defs(tmp_path: Path, sandbox: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.Definitions]:
    """The definitions of a project in a folder of its own, as Dagster loads them."""
    (tmp_path / "syncs").mkdir()
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT.replace("REJECTS", str(tmp_path / "rejects")), encoding="utf-8")
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(ROWS)
    for name, value in {
        "KLAVIYO_SYNC_CONFIG": str(tmp_path / "klaviyo_sync.yaml"),
        "KLAVIYO_API_KEY": "pk_sandbox_key",
        "KLAVIYO_BASE_URL": sandbox[1],
    }.items():
        monkeypatch.setenv(name, value)
    sys.modules.pop("klaviyo_sync.definitions", None)
    yield importlib.import_module("klaviyo_sync.definitions").defs
    sys.modules.pop("klaviyo_sync.definitions", None)


def test_a_backfill_of_three_days(defs: dg.Definitions, sandbox: tuple[Sandbox, str], tmp_path: Path) -> None:
    """History goes with the first window, the newest row wins, the row without an identifier stays behind in its own window."""
    box, _ = sandbox
    with dg.DagsterInstance.ephemeral() as instance:
        span = {"dagster/asset_partition_range_start": "2024-03-01", "dagster/asset_partition_range_end": "2024-03-03"}
        job = defs.resolve_job_def("klaviyo_members")
        assert job.execute_in_process(tags=span, instance=instance).success
        records = instance.fetch_materializations(KEY, limit=10).records
        held = {record.partition_key: record.asset_materialization.metadata for record in records if record.asset_materialization}
        parts = ("read", "imported", "superseded", "rejected")
        assert {key: [metadata[part].value for part in parts] for key, metadata in held.items()} == {
            "2024-03-01": [2, 1, 1, 0],
            "2024-03-02": [2, 1, 0, 1],
            "2024-03-03": [1, 1, 0, 0],
        }
        assert [metadata["undated_rows"].value for metadata in held.values()] == [1, 1, 1]
        rejects = Path(str(held["2024-03-02"]["rejects_file"].value))
        assert rejects.is_relative_to(tmp_path)
        assert len(rejects.read_text(encoding="utf-8").splitlines()) >= 2
        assert len(box.profiles) == 3


def test_a_refused_key(defs: dg.Definitions, sandbox: tuple[Sandbox, str]) -> None:
    """A key that Klaviyo does not know fails the run at once, says whose turn it is, and materializes nothing."""
    sandbox[0].keys = {}
    with dg.DagsterInstance.ephemeral() as instance:
        run = defs.resolve_job_def("klaviyo_members").execute_in_process(
            partition_key="2024-03-01", instance=instance, raise_on_error=False
        )
        assert not run.success
        [failure] = [event.step_failure_data for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
        assert failure.user_failure_data
        assert "Refused: " in (failure.user_failure_data.description or "")
        assert "Ask the owner of the API key" in (failure.user_failure_data.description or "")
        assert not instance.get_materialized_partitions(KEY)
