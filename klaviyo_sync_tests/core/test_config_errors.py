"""The catalogue of configuration errors: each file in cases/config holds wrong files and the lines that must be said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from klaviyo_sync.config import load
from klaviyo_sync.core.errors import ConfigError

CASES = Path(__file__).parent.parent / "cases" / "config"
PROJECT = """
klaviyo:
  api_key: {env: KLAVIYO_API_KEY}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
"""
SYNC = """
connection: local
dataset: crm.members
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile: {email: email}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that errors name files without it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, project: str | None, syncs: dict[str, str]) -> None:
    """Writes a configuration."""
    if project is not None:
        (folder / "klaviyo_sync.yaml").write_text(project, encoding="utf-8")
    (folder / "syncs").mkdir()
    for name, text in syncs.items():
        (folder / "syncs" / f"{name}.yaml").write_text(text, encoding="utf-8")


def told(environ: dict[str, str] | None = None) -> list[str]:
    """The lines of the error."""
    with pytest.raises(ConfigError) as caught:
        load(environ=environ or {})
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_wrong_is_told(path: Path, folder: Path) -> None:
    """A wrong configuration is told line by line, as its case says, and nothing else is."""
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    write(folder, case.get("project", PROJECT), case["syncs"])
    lines = told(case.get("environ"))
    assert len(lines) == len(case["errors"]), lines
    for line, expected in zip(lines, case["errors"], strict=True):
        assert line.startswith(expected), case["rule"]


def test_no_configuration(folder: Path) -> None:
    """Where there is no configuration, the error says how to name one."""
    assert folder.is_dir()
    assert told() == ["klaviyo_sync.yaml: there is no such file: make it, or name another one in KLAVIYO_SYNC_CONFIG"]


def test_no_syncs(folder: Path) -> None:
    """Where there are no syncs, the error says where they are expected."""
    write(folder, PROJECT, {})
    assert told() == ["syncs: there are no syncs: expected a folder syncs beside klaviyo_sync.yaml, with one YAML file for each sync"]


def test_a_sync_that_would_be_overlooked(folder: Path) -> None:
    """A file that ends in .yml is not passed over in silence."""
    write(folder, PROJECT, {"members": SYNC})
    (folder / "syncs" / "others.yml").write_text(SYNC, encoding="utf-8")
    assert told() == ["syncs/others.yml: expected a file name that ends in .yaml: rename it to others.yaml"]


def test_bytes_that_are_no_text(folder: Path) -> None:
    """A file that is not UTF-8 is told as such."""
    write(folder, PROJECT, {"members": SYNC})
    (folder / "syncs" / "members.yaml").write_bytes(b"\xff\xfe\x00")
    assert told() == ["syncs/members.yaml: is not UTF-8 text"]


def test_no_word_of_pydantic(folder: Path) -> None:
    """Errors speak of the file, never of the library that found them."""
    write(
        folder,
        "klaviyo: []\nconnections: {local: 5}\nrejects: []",
        {"members": "profile: 5\nproperties: []\nstart: {}\nlist: []\nowners: 1"},
    )
    text = "\n".join(told())
    assert not any(word in text for word in ("pydantic", "Input should", "Field required", "valid dictionary", "Traceback"))
