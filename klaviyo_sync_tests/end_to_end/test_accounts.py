"""The account that a key must open: nothing is sent into another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from klaviyo_sync.cli.connect import ask_klaviyo, open_klaviyo
from klaviyo_sync.config import Project, load
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.windows import window
from klaviyo_sync.orchestration.resources import KLAVIYO
from klaviyo_sync.orchestration.resources import klaviyo as klaviyo_resource
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 1, 10, tzinfo=UTC)
SYNC = """
connection: local
dataset: members
modified_at: changed
frequency: daily
start: 2026-01-01
profile: {email: email}
"""
FILE = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: URL, account: {env: KLAVIYO_ACCOUNT}}
connections: {local: {type: duckdb, path: warehouse.duckdb}}
"""


@pytest.fixture
def shop() -> Iterator[tuple[Sandbox, str]]:
    """A local Klaviyo whose account is AbC123, and its address."""
    box = Sandbox(limits=False, job_seconds=0.0, account="AbC123")
    with serve(box) as server:
        yield box, server.url


def project(folder: Path, url: str, account: str) -> Project:
    """A project of one sync, for this account."""
    (folder / "syncs").mkdir(exist_ok=True)
    (folder / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    (folder / "klaviyo_sync.yaml").write_text(FILE.replace("URL", url), encoding="utf-8")
    return load(folder / "klaviyo_sync.yaml", {"KLAVIYO_ACCOUNT": account})


def run(project: Project, folder: Path) -> Report:
    """One window with one row, through the resource that Dagster's runs use."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE members AS SELECT 'ada@example.com' AS email, TIMESTAMP '2026-01-02 08:00' AS changed")
    [sync] = project.syncs
    resource = klaviyo_resource(project.klaviyo, {"KLAVIYO_API_KEY": "pk_x"})
    with (
        closing(DuckDBWarehouse(folder / "warehouse.duckdb")) as warehouse,
        dg.build_resources({KLAVIYO: resource}) as resources,
        getattr(resources, KLAVIYO)() as client,
    ):
        rejects = Rejects(str(folder / "rejects"))
        return sync_windows(sync, [window(sync, "2026-01-02")], warehouse, client, now=NOW, rejects=rejects, log=lambda _: None)


def test_a_run_into_the_account_that_is_named(shop: tuple[Sandbox, str], tmp_path: Path) -> None:
    """It imports, and reports the account, which its result counts for."""
    report = run(project(tmp_path, shop[1], "AbC123"), tmp_path)
    assert report.results["2026-01-02"].imported == 1
    assert report.account is not None
    assert (report.account.id, report.account.name) == ("AbC123", "Klaviyo sandbox")


def test_a_run_with_the_key_of_another_account_sends_nothing(shop: tuple[Sandbox, str], tmp_path: Path) -> None:
    """It says both accounts and what to do, before anything is read or sent."""
    with pytest.raises(ConfigError, match=r"opens the Klaviyo account AbC123 \(Klaviyo sandbox\), and klaviyo.account says XyZ789"):
        run(project(tmp_path, shop[1], "XyZ789"), tmp_path)
    assert dict(shop[0].requests) == {("get_accounts", 200): 1}


@pytest.mark.parametrize(("account", "good"), [("AbC123", True), ("XyZ789", False)])
def test_check_connect_compares_the_account(
    shop: tuple[Sandbox, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: str, *, good: bool
) -> None:
    """`check --connect` says when the key opens another account than the one that is named."""
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_x")
    [finding] = ask_klaviyo(project(tmp_path, shop[1], account), open_klaviyo)
    assert finding.good == good
    assert "AbC123" in finding.said


def test_an_account_whose_variable_is_not_set_is_an_error(tmp_path: Path) -> None:
    """It is not taken for any account."""
    with pytest.raises(ConfigError, match=r"klaviyo.account: .*KLAVIYO_ACCOUNT"):
        project(tmp_path, "http://127.0.0.1:9", "")


def test_the_sandbox_is_an_account_of_its_own() -> None:
    """Nobody's windows are done by what went into it."""
    assert Sandbox().account == "SANDBX"
