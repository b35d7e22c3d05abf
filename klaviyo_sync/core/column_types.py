"""The types of the columns that a sync reads, as the warehouse names them and as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from klaviyo_sync.core.dialects import Dialect, Kind
from klaviyo_sync.core.query import Column, find_column
from klaviyo_sync.core.sync import Sync

# What Klaviyo tells apart less finely than a warehouse does.
IN_KLAVIYO: dict[Kind, str] = {"integer": "number", "decimal": "number", "float": "number", "instant": "datetime", "wall": "datetime"}


class ColumnType(NamedTuple):
    """A column of a sync, the warehouse's name of its type, and what kind of value Klaviyo gets of it."""

    name: str
    type: str
    kind: str


def column_types(sync: Sync, columns: Sequence[Column], dialect: Dialect) -> tuple[ColumnType, ...]:
    """Each column that the sync reads, under the name that the sync gives it."""
    named = [(name, find_column(name, columns, sync.dataset or "the query").type) for name in sync.columns()]
    return tuple(ColumnType(name, type_name, klaviyo_kind(dialect.kind(type_name))) for name, type_name in named)


def klaviyo_kind(kind: Kind | None) -> str:
    """The kind of value that Klaviyo gets."""
    return "none" if kind is None else IN_KLAVIYO.get(kind, kind)
