"""No command ends in a traceback: what is wrong is told in words, with status 1, and no cell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import duckdb
import pytest
from click.testing import CliRunner

from klaviyo_sync.cli import main
from klaviyo_sync.cli.commands import Commands
from klaviyo_sync.sandbox import Sandbox, serve

CELL = "anna@example.com"
PROJECT = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}
connections: {local: {type: duckdb, path: warehouse.duckdb}}
"""
SYNC = """connection: local
query: QUERY
modified_at: updated_at
frequency: daily
start: 2026-11-20
profile: {email: email, external_id: id}
"""
ROWS = f"CREATE TABLE members AS SELECT '1' AS id, '{CELL}' AS email, TIMESTAMP '2026-11-20 08:00' AS updated_at"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of a project in the working directory, with a sandbox."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KLAVIYO_SYNC_CONFIG", raising=False)
    (tmp_path / "syncs").mkdir()
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(ROWS)
    with serve(Sandbox()) as server:
        yield {"KLAVIYO_API_KEY": "pk_test", "KLAVIYO_BASE_URL": server.url}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_parquet('/nowhere/members/*.parquet')",
        "SELECT * FROM members WHERE email = ?",
        "SELECT * FROM 'members.csv'",
        "SELECT id, email, updated_at FROM memberz",
    ],
)
@pytest.mark.parametrize("command", [["check", "--connect"], ["preview", "members", "--window", "2026-11-20", "--ask", "0"]])
def test_queries_that_break(environ: dict[str, str], query: str, command: list[str]) -> None:
    """A query that DuckDB refuses ends with a sentence and status 1, before anything is sent."""
    Path("syncs/members.yaml").write_text(SYNC.replace("QUERY", query), encoding="utf-8")
    result = CliRunner(env=environ).invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert CELL not in result.output
    assert "DuckDB" in result.output or "query has the parameter ?" in result.output


@pytest.mark.parametrize("column", ["error(email)", "email::INTEGER", "strptime(email, '%Y')"])
def test_cells_that_break_a_query(environ: dict[str, str], column: str) -> None:
    """A cell that a query cannot work with ends a preview with a sentence, and is not repeated."""
    query = f"SELECT {column} AS id, email, updated_at FROM members"
    Path("syncs/members.yaml").write_text(SYNC.replace("QUERY", query), encoding="utf-8")
    command = ["preview", "members", "--window", "2026-11-20", "--ask", "0"]
    result = CliRunner(env=environ).invoke(main, command, catch_exceptions=False)
    assert (result.exit_code, CELL in result.output) == (1, False)
    assert "run it in DuckDB to see which" in result.stderr


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_what_nobody_foresaw(debug: list[str]) -> None:
    """An error of another kind is told by type and place, without its text; the traceback comes where --debug asks for it."""

    @click.group(cls=Commands)
    @click.option("--debug", is_flag=True)
    def group(*, debug: bool) -> None:
        del debug

    @group.command()
    def breaks() -> None:
        raise ValueError(CELL)

    result = CliRunner().invoke(group, [*debug, "breaks"])
    if debug:
        assert isinstance(result.exception, ValueError)
    else:
        assert (result.exit_code, CELL in result.output) == (1, False)
        assert "builtins.ValueError (text withheld, it may quote a cell) at " in result.stderr
        assert "in breaks" in result.stderr


def test_a_view_of_the_present_time_is_told(environ: dict[str, str]) -> None:
    """`check --connect` tells a modified_at that is the present time."""
    rows = "SELECT id, email, now() AS updated_at FROM members UNION ALL SELECT '2', NULL, now()"
    Path("syncs/members.yaml").write_text(SYNC.replace("QUERY", rows), encoding="utf-8")
    result = CliRunner(env=environ).invoke(main, ["check", "--connect"], catch_exceptions=False)
    assert "2 rows have the present time as updated_at whenever they are read" in " ".join(result.output.split())
