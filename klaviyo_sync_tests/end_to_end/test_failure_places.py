"""Failed runs name the file and line that somebody must correct, also through Dagster; a missing thing is never tried again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
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
"""
SYNC = """connection: local
dataset: members
modified_at: updated_at
frequency: daily
start: 2024-03-01
profile:
  email: email
  external_id: {column: id}
properties:
  Balance: balance
consent:
  email_marketing: {column: consent, timestamp: consent_at}
  list: Y6nRLr
"""
TABLE = """CREATE TABLE members AS SELECT '1' AS id, 'ada@example.com' AS email, 1.5::DOUBLE AS balance, 'Subscribe' AS consent,
TIMESTAMP '2024-03-01' AS consent_at, TIMESTAMP '2024-03-01 08:00' AS updated_at, 'x'::BLOB AS bytes"""

Failing = Callable[[str], str]


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """Runs a window of a sync with this text, and gives the description of its failure."""
    (tmp_path / "syncs").mkdir()
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KLAVIYO_SYNC_CONFIG", raising=False)
    with serve(Sandbox(job_seconds=0.1)) as server, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("KLAVIYO_API_KEY", "pk_sandbox_key")
        monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)

        def failure(sync: str) -> str:
            (tmp_path / "syncs" / "members.yaml").write_text(sync, encoding="utf-8")
            sys.modules.pop("klaviyo_sync.definitions", None)
            defs = importlib.import_module("klaviyo_sync.definitions").defs
            job = defs.resolve_implicit_global_asset_job_def()
            run = job.execute_in_process(partition_key="2024-03-01", instance=instance, raise_on_error=False)
            kinds = [event.event_type_value for event in run.all_events]
            assert "STEP_UP_FOR_RETRY" not in kinds
            [data] = [event.step_failure_data for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
            assert data.user_failure_data
            return data.user_failure_data.description or ""

        yield failure
    sys.modules.pop("klaviyo_sync.definitions", None)


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("dataset: members", "dataset: memberz", 2, "Table with name memberz does not exist"),
        ("dataset: members", "query: SELECT * FROM 'members.csv'", 2, "members.csv"),
        ("modified_at: updated_at", "modified_at: updatedat", 3, "Did you mean updated_at?"),
        ("modified_at: updated_at", "modified_at: email", 3, "expected a timestamp or a date"),
        ("  email: email", "  email: mail", 7, "column 'mail' does not exist"),
        ("{column: id}", "{column: bytes}", 8, "which JSON cannot hold"),
        ("Balance: balance", "Balance: balanc", 10, "Did you mean balance?"),
        ("timestamp: consent_at", "timestamp: consented", 12, "column 'consented' does not exist"),
        ("list: Y6nRLr", "list: NOPE01", 13, "no list 'NOPE01'"),
    ],
)
def test_what_is_not_there(failing: Failing, right: str, wrong: str, line: int, said: str) -> None:
    """A missing table, file, column or list, or a wrong type, fails the run at once, with the line of the key that names it."""
    assert right in SYNC
    text = failing(SYNC.replace(right, wrong))
    assert f"ConfigError: syncs/members.yaml:{line}: " in text
    assert said in text
    assert "Correct the configuration" in text
    assert "bug" not in text


def test_a_warehouse_that_is_not_there(failing: Failing) -> None:
    """The line of the connection in klaviyo_sync.yaml."""
    Path("warehouse.duckdb").unlink()
    text = failing(SYNC)
    assert "ConfigError: klaviyo_sync.yaml:3: connections.local: DuckDB file " in text


def test_a_key_that_klaviyo_refuses(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the key, and nothing of the key itself."""
    monkeypatch.setenv("KLAVIYO_API_KEY", "sk_wrong_key")
    text = failing(SYNC)
    assert "Refused: klaviyo_sync.yaml:2: klaviyo.api_key: Klaviyo refused GET /api/accounts with 401" in text
    assert "sk_wrong_key" not in text
