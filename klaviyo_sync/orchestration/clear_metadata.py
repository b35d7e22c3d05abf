"""Counts of cleared profiles as metadata, numbers that plot and are read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import dagster as dg

from klaviyo_sync.core.clear_counts import CLEAR_FATES, ClearCounts

# The key of each count beside the counts of rows.
KEYS = {part.name: part.name if part.name == "to_clear" else f"clears_{part.name}" for part in fields(ClearCounts)}


def clear_metadata(counts: ClearCounts) -> dict[str, dg.MetadataValue]:
    """A number for each count; nothing when no profile had fields to clear."""
    return {key: dg.MetadataValue.int(getattr(counts, part)) for part, key in KEYS.items()} if counts != ClearCounts() else {}


def read_clears(held: Mapping[str, Any]) -> ClearCounts:
    """The counts that `clear_metadata` wrote down."""
    return ClearCounts(**{part: held.get(key, 0) for part, key in KEYS.items()})


def clear_equation(counts: ClearCounts) -> str:
    """`12 to clear = 10 cleared + 2 already empty`, less the parts that are zero."""
    parts = " + ".join(f"{getattr(counts, fate):,} {fate.replace('_', ' ')}" for fate in CLEAR_FATES if getattr(counts, fate)) or "0"
    return f"{counts.to_clear:,} to clear {'=' if counts.balanced else '≠'} {parts}"
