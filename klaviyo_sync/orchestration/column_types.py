"""Columns that changed their type between runs: Klaviyo keeps a property's first type, and segments that ask for it no longer match.

Each window stores the types that its run saw, and those that were others in the run before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from klaviyo_sync.core.column_types import ColumnType
from klaviyo_sync.orchestration.stored import Stored, newest
from klaviyo_sync.orchestration.verdicts import Verdict, counted

TYPES = "column_types"
CHANGED = "changed_column_types"

ByColumn = Mapping[str, tuple[str, str]]


def stored_types(instance: dg.DagsterInstance, key: dg.AssetKey) -> ByColumn:
    """The type and kind of each column, as the run saw them that stored a window last; empty before the first one that did."""
    for stored in newest(instance, key, 1).values():
        return {column: (type_name, kind) for column, type_name, kind in listed(stored, TYPES)}
    return {}


def metadata(types: Sequence[ColumnType], before: ByColumn) -> dict[str, dg.MetadataValue]:
    """The types of a run, and the columns whose kind is another one than `before`: a VARCHAR that became longer is no change."""
    changed = [
        [column.name, before[column.name][0], column.type]
        for column in types
        if column.name in before and before[column.name][1] != column.kind
    ]
    values: dict[str, list[list[str]]] = {TYPES: [list(column) for column in types], CHANGED: changed}
    return {name: dg.MetadataValue.json(value) for name, value in values.items() if value}


def judged(verdict: Verdict, stored: Stored) -> Verdict:
    """The verdict of the check `mapping`, amber at least when columns changed their type before this window."""
    changed = listed(stored, CHANGED)
    if not changed:
        return verdict
    said = "; ".join(f"{column} was {before} and is {after}" for column, before, after in changed)
    words = (
        f"{verdict.words} {counted(len(changed), 'column')} changed type since the run before: {said}. Klaviyo goes on with the type "
        "that a property had first; give the property a type, or a new name."
    )
    return replace(
        verdict, lost=verdict.lost + len(changed), words=words, metadata={**verdict.metadata, CHANGED: dg.MetadataValue.json(changed)}
    )


def listed(stored: Stored, name: str) -> list[tuple[str, str, str]]:
    """The triples that a window stores under a name."""
    materialization = stored.record.asset_materialization
    value = materialization.metadata.get(name) if materialization else None
    triples: Any = value.value if value is not None else []
    return [(first, second, third) for first, second, third in triples]
