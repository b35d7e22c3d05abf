"""Whatever is written, loading ends in a Project or a ConfigError."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.config import Project, load
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.sync import Sync

NOW = datetime(2026, 6, 1, tzinfo=UTC)
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
profile:
  email: email
"""


def outcome(project: str, sync: str) -> Project | ConfigError:
    """What loading these texts ends in; anything but a Project or a ConfigError is an error of ours."""
    with TemporaryDirectory() as name:
        try:
            folder = Path(name)
            (folder / "klaviyo_sync.yaml").write_text(project, encoding="utf-8")
            (folder / "syncs").mkdir()
            (folder / "syncs" / "members.yaml").write_text(sync, encoding="utf-8")
            return load(folder, {}, NOW)
        except ConfigError as error:
            return error


@given(st.text(max_size=200))
@settings(max_examples=examples(150), deadline=None)
def test_any_text_is_a_project_or_a_config_error(text: str) -> None:
    """Whatever stands in the files, loading ends in a Project or a ConfigError."""
    written = text.encode("utf-8", "ignore").decode("utf-8")
    assert isinstance(outcome(written, written), ConfigError)
    assert isinstance(outcome(PROJECT, SYNC + written), Project | ConfigError)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["email", "hourly", "1%", "0 0 * * *", "* * * * *", "99999999999d", "2026-01-01", "0000-00-00", "local", "list"]),
    st.fixed_dictionaries({"env": st.text(max_size=4)}),
)
MORE_KEYS = ("list", "column", "type", "country", "email", "phone_number", "email_marketing", "rejected", "api_key", "timezone")
KEYS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            *Sync.model_fields,
            *["list", "column", "type", "country", "email", "phone_number", "email_marketing", "rejected", "api_key", "timezone"],
        ]
    ),
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=8)


@given(project=DOCUMENTS, sync=DOCUMENTS)
@settings(max_examples=examples(200), deadline=None)
def test_any_document_is_a_project_or_a_config_error(project: dict[str, Any], sync: dict[str, Any]) -> None:
    """Documents of the right words in the wrong places, too, end in a Project or a ConfigError."""
    whole = yaml.safe_load(SYNC) | sync
    assert isinstance(outcome(yaml.safe_dump(project), yaml.safe_dump(sync)), ConfigError)
    assert isinstance(outcome(PROJECT, yaml.safe_dump(whole)), Project | ConfigError)
    assert isinstance(outcome(yaml.safe_dump({"klaviyo": project, "connections": {"a": project, "b": sync}}), SYNC), ConfigError)


# Documents that are made to break readers.
HOSTILE = (
    "a: &a [*a]",
    "&a {x: *a}",
    "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]),
    "[" * 2000,
    "a: " + "{b: " * 400 + "}" * 400,
    "? [a, b]\n: c",
    "? {a: b}\n: c",
    "<<: {a: b}",
    "--- a\n--- b",
    "%YAML 9.9\n---\na: b",
    "a: 1e400\nb: .inf\nc: 0x1F\nd: 0o7\ne: 1_000",
    "a: " + "9" * 5000,
    "start: 2026-01-01T99:99",
    "settle: " + "9" * 30 + "d",
    "frequency: '*/0 * * * *'",
    "frequency: '1-99999999 * * * *'",
    "frequency: '٣ * * * *'",
    "modified_at: {column: a, timezone: ../../etc/passwd}",
    "description: !!binary 'x'",
    "description: !!python/object/apply:os.getcwd []",
    "description: *nowhere",
    "query: " + "(" * 3000,
    'dataset: "a\\u0000b"',
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
def test_hostile_documents_are_config_errors(text: str) -> None:
    """Cycles, bombs, depths and tags are told like any other mistake."""
    assert isinstance(outcome(text, text), ConfigError)
    assert isinstance(outcome(PROJECT, SYNC + text), Project | ConfigError)
