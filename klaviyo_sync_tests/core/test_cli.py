"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from klaviyo_sync.cli import main
from klaviyo_sync.config.schema import SCHEMAS
from klaviyo_sync.sandbox import Sandbox, serve

PROJECT = """
klaviyo:
  api_key: {env: KLAVIYO_API_KEY}
  base_url: {env: KLAVIYO_BASE_URL}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
  snow: {type: snowflake, account: {env: NOT_SET}, user: SYNC, password: {env: NOT_SET}}
"""
SYNC = """
connection: local
dataset: members
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile: {email: email}
properties: {Tier: tier}
list: Y6nRLr
"""
TABLE = "CREATE TABLE members (email VARCHAR, tier VARCHAR, updated_at TIMESTAMPTZ)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration of one sync, and its warehouse."""
    monkeypatch.chdir(tmp_path)
    for name in ("KLAVIYO_SYNC_CONFIG", "KLAVIYO_API_KEY", "KLAVIYO_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "syncs").mkdir()
    write_sync(tmp_path, SYNC)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(TABLE)
    return tmp_path


@pytest.fixture
def klaviyo() -> Iterator[dict[str, str]]:
    """The variables of a running sandbox."""
    with serve(Sandbox()) as server:
        yield {"KLAVIYO_API_KEY": "pk_test", "KLAVIYO_BASE_URL": server.url}


def write_sync(folder: Path, text: str) -> None:
    """Writes the only sync."""
    (folder / "syncs" / "members.yaml").write_text(text, encoding="utf-8")


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    """What a command did."""
    return CliRunner(env=env).invoke(main, arguments, catch_exceptions=False)


def words(result: Result) -> str:
    """Everything on standard output, on one line."""
    return " ".join(result.stdout.split())


def test_check_shows_what_is_configured(folder: Path) -> None:
    """A right configuration is shown as a table, with status 0 and no word on standard error."""
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "members members local daily" in words(result)
    assert words(result).endswith("klaviyo_sync.yaml: 1 sync, nothing wrong")
    assert run("--config", str(folder), "check").exit_code == 0


def test_check_tells_what_is_wrong(folder: Path) -> None:
    """A wrong configuration is told on standard error, one whole line for each problem, with status 1."""
    write_sync(folder, SYNC + "on_nul: keep\nsettle: soon\n" + "x" * 300 + ": 1\n")
    result = run("check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        *(["syncs/members.yaml:10:1", "on_nul"], ["syncs/members.yaml:11:1", "settle"], ["syncs/members.yaml:12:1", "x" * 300]),
    ]


def test_notes_are_shown(folder: Path) -> None:
    """What is worth knowing is shown, and is no fault."""
    write_sync(folder, SYNC + "consent: {email_marketing: tier, undated: resubscribe}\n")
    result = run("check")
    assert result.exit_code == 0
    assert "note: members: undated: resubscribe brings back people who opted out" in words(result)


def test_check_connect_asks_both_sides(folder: Path, klaviyo: dict[str, str]) -> None:
    """With --connect warehouse and Klaviyo answer; a connection that no sync uses is not asked, nor its variables."""
    assert folder.is_dir()
    result = run("check", "--connect", env=klaviyo)
    assert result.exit_code == 0, result.output
    assert "3 columns found, and rows can be read" in words(result)
    assert "list Y6nRLr (members) Newsletter, double opt in" in words(result)
    assert "snow" not in result.output


def test_check_connect_tells_what_is_missing(folder: Path, klaviyo: dict[str, str]) -> None:
    """Missing columns and lists are told, each with its answer, with status 1."""
    write_sync(folder, SYNC.replace("Tier: tier", "Tier: teir, Other: other").replace("Y6nRLr", "AAAAAA"))
    result = run("check", "--connect", env=klaviyo)
    assert result.exit_code == 1
    assert "members: teir wrong: syncs/members.yaml:8: column 'teir' does not exist in members. Did you mean tier?" in words(result)
    assert "members: other wrong: syncs/members.yaml:8: column 'other' does not exist" in words(result)
    assert "list AAAAAA (members) wrong: syncs/members.yaml:9: The Klaviyo account has no list" in words(result)


def test_check_connect_prints_placeholders(folder: Path, klaviyo: dict[str, str]) -> None:
    """A shop's own number is printed as a line of klaviyo_sync.yaml; once it is there, nothing is printed."""
    write_sync(folder, SYNC.replace("{email: email}", "{email: email, phone_number: {column: tier, default_country: DE}}"))
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("INSERT INTO members SELECT 'p' || i || '@example.com', '030 901820', '2026-01-02' FROM range(6) t(i)")
    lines = run("check", "--connect", env=klaviyo).stdout.splitlines()
    printed = lines[lines.index("placeholders:") :][:2]
    assert printed == ["placeholders:", '  - "030 901820"  # tier, beside 6 values of email']
    (folder / "klaviyo_sync.yaml").write_text("\n".join((PROJECT, *printed)), encoding="utf-8")
    again = run("check", "--connect", env=klaviyo)
    assert again.exit_code == 0
    assert "placeholders:" not in again.stdout.splitlines()


def test_check_connect_refuses_types_that_do_not_fit(folder: Path, klaviyo: dict[str, str]) -> None:
    """A modified_at that is no moment is told."""
    write_sync(folder, SYNC.replace("modified_at: updated_at", "modified_at: tier"))
    result = run("check", "--connect", env=klaviyo)
    assert result.exit_code == 1
    assert "expected a timestamp or a date" in words(result)


def test_check_connect_without_key_or_warehouse(folder: Path, klaviyo: dict[str, str]) -> None:
    """What cannot be reached is told, and the other side is asked all the same."""
    (folder / "warehouse.duckdb").unlink()
    result = run("check", "--connect", env={"KLAVIYO_BASE_URL": klaviyo["KLAVIYO_BASE_URL"]})
    assert result.exit_code == 1
    assert "local credentials wrong:" in words(result)
    assert "the environment variable KLAVIYO_API_KEY is not set" in words(result)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_prints_one_schema(name: str) -> None:
    """A schema is printed as JSON and nothing else."""
    assert json.loads(run("schema", name).stdout) == SCHEMAS[name]()


def test_schema_writes_both(tmp_path: Path) -> None:
    """With --write the files are made as they are committed."""
    assert run("schema", "--write", str(tmp_path / "new")).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["klaviyo_sync.schema.json", "sync.schema.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["chek"],
        ["check", "--conect"],
        ["schema", "other"],
        ["preview"],
        ["preview", "membrs", "--window", "2026-01-01"],
        ["sandbox", "--port", "x"],
        ["sandbox", "--api-key", "secret"],
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str]) -> None:
    """Wrong usage has status 2."""
    assert folder.is_dir()
    assert run(*arguments).exit_code == 2


def test_preview_names_the_nearest(folder: Path) -> None:
    """A sync that does not exist names the nearest one; a window that does not exist is the data's fault."""
    assert folder.is_dir()
    assert "did you mean members?" in run("preview", "membrs", "--window", "2026-01-01").stderr
    result = run("preview", "members", "--window", "2026-01-01-00:00")
    assert (result.exit_code, "nearest: " in result.stderr) == (1, True)


def test_preview_counts_and_sends_nothing(folder: Path) -> None:
    """The preview counts what would be sent, set aside and rejected, with reasons. Too many rejects are status 1."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(
            "INSERT INTO members VALUES ('ann@example.com', 'gold', '2026-01-01 10:00:00Z'), "
            "('ann@example.com', 'old', '2026-01-01 09:00:00Z'), "
            "('not an address', NULL, '2026-01-01 11:00:00Z'), ('bob@example.com', 'tin', '2026-01-02 11:00:00Z'), "
            "('eve@example.com', NULL, NULL)"
        )
    result = run("preview", "members", "--window", "2026-01-01", "--examples", "--ask", "0")
    counted = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert "1 of 3 rows would be rejected, more than tolerance.rejected (1%) allows" in result.stdout
    for line in (
        ["read", "3"],
        ["would", "be", "sent", "1"],
        ["superseded", "by", "a", "newer", "row", "1"],
        ["rejected", "1"],
        ["requests", "1"],
    ):
        assert line in counted
    assert "missing_identifier" in result.stdout
    assert "rows without modified_at, in no window" in result.stdout
    assert '{"type":"profile","attributes":{"email":"ann@example.com","properties":{"Tier":"gold"}}}' in result.stdout
    assert run("preview", "members", "--window", "2026-01-02", "--ask", "0").exit_code == 0


def test_preview_of_a_column_that_is_missing(folder: Path) -> None:
    """A column that the dataset lacks is named with the nearest one, before anything is read."""
    write_sync(folder, SYNC.replace("tier}", "tyer}"))
    result = run("preview", "members", "--window", "2026-01-01", "--ask", "0")
    assert (result.exit_code, "Did you mean tier?" in result.stderr) == (1, True)


def test_a_port_that_is_taken(klaviyo: dict[str, str]) -> None:
    """The sandbox says when its port is in use."""
    result = run("sandbox", "--port", klaviyo["KLAVIYO_BASE_URL"].rpartition(":")[2])
    assert (result.exit_code, "cannot be used" in result.stderr) == (1, True)


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Code in a process of its own, where nothing has been imported."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=os.environ.copy(), capture_output=True, text=True, check=False)


def test_commands_that_need_no_driver_load_none(folder: Path) -> None:
    """`check` and `schema` start fast: neither Dagster, nor a driver, nor pandas is imported."""
    heavy = ("dagster", "snowflake.connector", "google.cloud.bigquery", "pandas", "pyarrow", "duckdb", "requests")
    code = (
        "import sys; from klaviyo_sync.cli import main\n"
        "for command in (['check'], ['schema']): main(command, standalone_mode=False)\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = python(folder, code)
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "[]")


def test_variables_are_read_from_the_env_file(folder: Path) -> None:
    """`.env` in the working directory is read, as `dagster dev` reads it."""
    write_sync(folder, SYNC.replace("list: Y6nRLr", "list: {env: KLAVIYO_LIST}"))
    code = "from klaviyo_sync.cli import main; main(['check'])"
    assert python(folder, code).returncode == 1
    (folder / ".env").write_text("KLAVIYO_LIST=Y6nRLr\n", encoding="utf-8")
    assert python(folder, code).returncode == 0


def test_the_command_is_installed() -> None:
    """The entry point is there, and says what it is."""
    done = subprocess.run([Path(sys.executable).parent / "klaviyo-sync", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("klaviyo-sync, version ")
