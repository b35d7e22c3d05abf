"""What may be read: any name that a warehouse can give, tables, views and SELECTs; and what is said of what is not there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from backends import Logical, Place, located, make_table
from warehouse_reads import sync_of, taken

from klaviyo_sync.core.errors import ConfigError

KEY = "2026-01-02"
COLUMNS: dict[str, Logical] = {"id": "text", "changed": "wall"}
ROWS = [("x", "2026-01-02 12:00:00")]


def possible(place: Place, name: str) -> None:
    """Skips a name that the warehouse lets nobody give."""
    if re.search(place.impossible, name):
        pytest.skip("there are no such names in this warehouse")


@pytest.mark.parametrize(
    "name", ["with space", "it's", 'say "hi"', "a.b", "select", "MiXed", "größe", "🎉", "%s", "?", "lower", "src", "-- x"]
)
def test_awkward_column_names(place: Place, people: str, name: str) -> None:
    """Any name that the warehouse can give can be that of an identifier's column, and of a property's."""
    possible(place, name)
    dataset = make_table(place, people, {name: "text", "changed": "wall"}, ROWS)
    sync = sync_of(dataset, profile={"external_id": name}, properties={"P": name})
    assert taken(place, sync, KEY).ids == {KEY: ["x"]}


@pytest.mark.parametrize("name", ["plain_name", "With Space", "a.b", 'say "hi"', "it's", "select", "MiXed"])
@pytest.mark.parametrize("kind", ["table", "view"])
def test_awkward_datasets(place: Place, people: str, name: str, kind: str) -> None:
    """Tables and views are read alike, under any name that the warehouse can give."""
    possible(place, name)
    called = f"{name}{people}" if name.islower() and name.isidentifier() else f"{name} {people}"
    dataset = make_table(place, people if kind == "view" else called, COLUMNS, ROWS)
    if kind == "view":
        view = located(place, called)
        place.run(f"CREATE VIEW {view} AS SELECT * FROM {dataset}")
        dataset = view
    assert taken(place, sync_of(dataset), KEY).ids == {KEY: ["x"]}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, changed FROM {}",
        "select id, changed from {};",
        "SELECT id, changed FROM {} -- all of them",
        "WITH p AS (SELECT * FROM {}) SELECT * FROM p",
        "SELECT id, changed FROM {} WHERE id <> '?' AND id <> ':lower @lower $lower'",
        "SELECT MAX(id) AS id, changed FROM {} GROUP BY changed",
    ],
)
def test_selects(place: Place, people: str, query: str) -> None:
    """A SELECT is read like a table, as it was written."""
    dataset = make_table(place, people, COLUMNS, ROWS)
    assert taken(place, sync_of(None, query=query.format(dataset)), KEY).ids == {KEY: ["x"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modified_at": "chnged"}, "Did you mean changed?"),
        ({"profile": {"external_id": "idd"}}, "Did you mean id?"),
        ({"properties": {"P": "nothing like it"}}, "It has: id, changed"),
        ({"modified_at": "id"}, "expected a timestamp or a date"),
    ],
)
def test_missing_columns(place: Place, people: str, changes: dict[str, Any], said: str) -> None:
    """A column that is not there, or of the wrong type, is the configuration's fault; the nearest name is told."""
    dataset = make_table(place, people, COLUMNS, ROWS)
    with pytest.raises(ConfigError) as caught:
        taken(place, sync_of(dataset, **changes), KEY)
    assert said.casefold() in str(caught.value).casefold()


def test_a_missing_table(place: Place, people: str) -> None:
    """A table that is not there is the configuration's fault, and its name is told."""
    with pytest.raises(ConfigError) as caught:
        taken(place, sync_of(located(place, people)), KEY)
    assert people.casefold() in str(caught.value).casefold()


def test_a_wrong_query(place: Place, people: str) -> None:
    """A SELECT that names a column that is not there is the configuration's fault."""
    dataset = make_table(place, people, COLUMNS, ROWS)
    with pytest.raises(ConfigError, match=r"(?i)changedd"):
        taken(place, sync_of(None, query=f"SELECT id, changedd FROM {dataset}"), KEY)
