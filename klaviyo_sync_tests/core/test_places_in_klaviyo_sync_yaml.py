"""What is wrong with the account, a connection or the rejects folder is told with its line of klaviyo_sync.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from klaviyo_sync.cli import main
from klaviyo_sync.config import load
from klaviyo_sync.core.errors import ConfigError, Refused, Unavailable
from klaviyo_sync.sandbox import Sandbox, serve

PROJECT = """klaviyo:
  api_key: {env: KLAVIYO_API_KEY}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
rejects: rejects
"""
SYNC = "connection: local\ndataset: members\nmodified_at: updated_at\nfrequency: daily\nstart: 2026-01-01\nprofile: {email: email}\n"
ROWS = "CREATE TABLE members AS SELECT 'ada@example.com' AS email, TIMESTAMP '2026-01-01 10:00' AS updated_at"
CHECK = ["check", "--connect"]
PREVIEW = ["preview", "members", "--window", "2026-01-01"]


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of a project in the working directory, with a sandbox that takes one key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KLAVIYO_SYNC_CONFIG", raising=False)
    (tmp_path / "syncs").mkdir()
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(ROWS)
    with serve(Sandbox(limits=False)) as server:
        yield {"KLAVIYO_API_KEY": "pk_test", "KLAVIYO_BASE_URL": server.url}


def no_file() -> None:
    """The warehouse is not where the file says."""
    Path("warehouse.duckdb").unlink()


def a_folder() -> None:
    """A folder is in its place."""
    no_file()
    Path("warehouse.duckdb").mkdir()


def another_file() -> None:
    """Something else is in its place."""
    Path("warehouse.duckdb").write_text("email,updated_at\n" * 1000, encoding="utf-8")


@pytest.mark.parametrize("command", [CHECK, PREVIEW], ids=["check", "preview"])
@pytest.mark.parametrize("happens", [no_file, a_folder, another_file])
def test_a_connection_that_does_not_open(environ: dict[str, str], happens: Callable[[], None], command: list[str]) -> None:
    """The line of the connection, and its name."""
    happens()
    assert "klaviyo_sync.yaml:4: connections.local: DuckDB file" in told(environ, command)


@pytest.mark.parametrize("command", [CHECK, PREVIEW], ids=["check", "preview"])
def test_a_key_that_klaviyo_refuses(environ: dict[str, str], command: list[str]) -> None:
    """The line that names the key's variable."""
    assert "klaviyo_sync.yaml:2: klaviyo.api_key: Klaviyo refused GET /api/accounts with 401" in told(
        {**environ, "KLAVIYO_API_KEY": "wrong"}, command
    )


@pytest.mark.parametrize("command", [["check"], CHECK], ids=["check", "check --connect"])
def test_an_address_for_rejects_that_nothing_opens(environ: dict[str, str], command: list[str]) -> None:
    """The line of `rejects`, said once."""
    file = Path("klaviyo_sync.yaml")
    file.write_text(PROJECT.replace("rejects: rejects", "rejects: s4://acme/rejects"), encoding="utf-8")
    assert "klaviyo_sync.yaml:5: rejects: 's4://acme/rejects' cannot be opened" in told(environ, command)


@pytest.mark.parametrize("kind", [ConfigError, Refused, Unavailable])
def test_each_kind_keeps_its_kind(environ: dict[str, str], kind: type[Exception]) -> None:
    """The place comes before the text; who must act stays as it was, and a text with a place gets no second one."""
    project = load(Path("klaviyo_sync.yaml"), environ)
    for text in ("no answer", "klaviyo_sync.yaml:4: connections.local: no answer", "connections.local: no answer"):
        with pytest.raises(kind, match=r"^klaviyo_sync\.yaml:4: connections\.local: no answer$"), project.at("connections", "local"):
            raise kind(text)


def told(environ: dict[str, str], command: list[str]) -> str:
    """All that a command says, in one line; it fails, without a traceback."""
    result = CliRunner(env=environ).invoke(main, command, catch_exceptions=False)
    assert (result.exit_code, "Traceback" in result.output) == (1, False), result.output
    return re.sub(r"\s+", " ", result.output)
