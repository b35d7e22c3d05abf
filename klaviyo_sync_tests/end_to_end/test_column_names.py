"""Names of columns: whatever they are, and however often the YAML spells one, they change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_place import RunPlace

from how_many import examples
from klaviyo_sync.sandbox import Sandbox, serve

KEY = "2026-05-02"
NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "frequency": "daily",
    "start": "2026-05-01",
    "stop_above": {"rejected": None, "unsubscribes": None, "clears": None},
}
PLAIN = ("mail", "tier", "changed")
OURS = [
    *("content", "window_", "row_", "newest", "rivals", "ranked", "incoming", "__window__", "__key_email__", "key_0", "cell_0", "cell_1"),
    *(
        "window",
        "key",
        "wanted",
        "cells",
        "profile",
        "identities",
        "src",
        "c0",
        "rowid",
        "row",
        "undated",
        "future",
        "found",
        "email",
        "clears",
    ),
    *("select", 'the "mail"', "it's", " ", ".", "a.b", "\u200bmail", "\ufeffemail", "🎉", "%s", "{x}", "back\\slash", "$1", "?", "İ"),
]
NAMES = st.lists(
    st.sampled_from(OURS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5), min_size=3, max_size=3
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, str]]:
    """A sandbox that is emptied before each run."""
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0)
    with serve(box) as server:
        yield box, server.url


def imported(
    folder: Path, served: tuple[Sandbox, str], names: tuple[str, str, str], spelled: tuple[str, str, str], **more: Any
) -> list[Any]:
    """What a run makes of three rows of two people, whose table has these names and whose YAML spells them so."""
    box, url = served
    box.reset()
    mail, tier, changed = ('"' + name.replace('"', '""') + '"' for name in names)
    table = f"SET TimeZone = 'UTC'; CREATE OR REPLACE TABLE members ({mail} VARCHAR, {tier} VARCHAR, {changed} TIMESTAMPTZ)"
    where = RunPlace(folder, box, url, sync={**SYNC, "dataset": "members"}, table=table, now=NOW)
    moments = [
        f"('{person}@example.com', '{tier}', '{KEY} {hour}:00+00')"
        for person, tier, hour in (("a", "x", 10), ("a", "y", 11), ("b", "z", 10))
    ]
    where.fill(*moments)
    mail, tier, changed = spelled
    report = where.report(KEY, modified_at=changed, profile={"email": mail}, properties={"Tier": {"column": tier, "type": "text"}, **more})
    result = report.results[KEY]
    profiles = [json.dumps(box.profiles.attributes(number), sort_keys=True) for number in range(len(box.profiles))]
    return [result.read, result.imported, result.superseded, sorted(profiles)]


@given(names=NAMES.filter(lambda names: len({name.casefold() for name in names} | {name.lower() for name in names}) == len(names)))
@settings(max_examples=examples(40))
def test_any_names(tmp_path_factory: pytest.TempPathFactory, served: tuple[Sandbox, str], names: list[str]) -> None:
    """Columns with any names, our own internal ones among them, give what plain names give, also when rows are contested."""
    first, second, third = names
    folder = tmp_path_factory.mktemp("names")
    expected = imported(folder, served, PLAIN, PLAIN)

    assert imported(folder, served, (first, second, third), (first, second, third)) == expected
    assert expected[:3] == [3, 2, 1]


def test_one_column_in_two_spellings(tmp_path: Path, served: tuple[Sandbox, str]) -> None:
    """A YAML that spells one column in two ways reads it once; all its targets get it, also when rows are contested."""
    once = imported(tmp_path, served, PLAIN, PLAIN, Mail={"column": "mail"}, Seen={"column": "changed"})

    assert imported(tmp_path, served, PLAIN, ("MAIL", "Tier", "CHANGED"), Mail={"column": "mail"}, Seen={"column": "changed"}) == once
