"""Counts of the profiles that had fields to clear, by what became of them. Counts add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

ClearFate = Literal["cleared", "already_empty", "refused", "unknown"]
CLEAR_FATES: tuple[ClearFate, ...] = get_args(ClearFate)


@dataclass(frozen=True)
class ClearCounts:
    """Profiles with at least one field to clear: all of them, and by fate."""

    to_clear: int = 0
    cleared: int = 0
    already_empty: int = 0
    refused: int = 0
    unknown: int = 0

    @property
    def accounted(self) -> int:
        """Profiles whose fate is known, or known to be unknown."""
        return sum(getattr(self, fate) for fate in CLEAR_FATES)

    @property
    def balanced(self) -> bool:
        """Whether every profile that had something to clear is accounted for."""
        return self.to_clear == self.accounted

    def __add__(self, other: ClearCounts) -> ClearCounts:
        return ClearCounts(**{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(self)})
