"""Which address of Klaviyo a configuration comes to, and that its paths stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from klaviyo_sync.config import load
from klaviyo_sync.config.connections import DuckDBConnection
from klaviyo_sync.core.errors import ConfigError

PROJECT = (
    "klaviyo:\n  api_key: {env: KEY}\nconnections:\n  local: {type: duckdb, path: a.duckdb}\n  other: {type: duckdb, path: {env: B}}\n"
)
SYNC = "connection: local\ndataset: members\nmodified_at: updated_at\nfrequency: daily\nstart: 2026-01-01\nprofile: {email: email}\n"
SANDBOX = "http://127.0.0.1:8787"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration without base_url."""
    (tmp_path / "syncs").mkdir()
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    return write(tmp_path)


def write(folder: Path, base_url: str | None = None) -> Path:
    """The configuration with this base_url, or without any."""
    line = "" if base_url is None else f"  base_url: {base_url}\n"
    (folder / "klaviyo_sync.yaml").write_text(PROJECT.replace("connections:", f"{line}connections:"), encoding="utf-8")
    return folder


@pytest.mark.parametrize("base_url", [None, "https://a.klaviyo.com", "{env: KLAVIYO_BASE_URL}", "{env: OTHER}"])
def test_the_variable_counts_before_the_file(folder: Path, base_url: str | None) -> None:
    """KLAVIYO_BASE_URL is the address, whatever the file says; a note says so when another one loses."""
    project = load(write(folder, base_url), {"KLAVIYO_BASE_URL": f"{SANDBOX}/", "OTHER": "https://b.example"})
    loses = base_url not in (None, "{env: KLAVIYO_BASE_URL}")
    assert (project.klaviyo.base_url, any("takes the place of" in note for note in project.notes)) == (SANDBOX, loses)


@pytest.mark.parametrize("value", ["", " ", "https://a.klaviyo.com/api", "http://a.klaviyo.com", "https://a@b.example", "a.klaviyo.com"])
@pytest.mark.parametrize("base_url", [None, "https://a.klaviyo.com", "{env: KLAVIYO_BASE_URL}"])
def test_an_address_that_is_none_is_an_error(folder: Path, base_url: str | None, value: str) -> None:
    """An empty or malformed KLAVIYO_BASE_URL names itself in the error, and never comes to mean another address."""
    with pytest.raises(ConfigError, match="the environment variable KLAVIYO_BASE_URL: found"):
        load(write(folder, base_url), {"KLAVIYO_BASE_URL": value})


@pytest.mark.parametrize("environ", [{"OTHER": ""}, {"OTHER": "http://b.example"}])
def test_the_same_for_a_variable_of_ones_own(folder: Path, environ: dict[str, str]) -> None:
    """A variable that base_url names must hold an address when it is set."""
    with pytest.raises(ConfigError, match=r"klaviyo\.base_url: the environment variable OTHER: found"):
        load(write(folder, "{env: OTHER}"), environ)


def test_paths_stay_where_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that was named by a relative path reads the same files after the working directory has changed."""
    monkeypatch.chdir(folder.parent)
    project = load(None, {"KLAVIYO_SYNC_CONFIG": f"{folder.name}/klaviyo_sync.yaml"})
    monkeypatch.chdir("/")
    connections = [project.connections[name].resolved({"B": "b.duckdb"}) for name in ("local", "other")]
    paths = [connection.path for connection in connections if isinstance(connection, DuckDBConnection)]
    assert [*paths, project.rejects] == [str(folder / name) for name in ("a.duckdb", "b.duckdb", "rejects")]
