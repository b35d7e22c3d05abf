"""Shared phone numbers: who holds a number in Klaviyo, and rows that go out without a number that is somebody else's.

Identifiers that are sent together belong to one person: Klaviyo merges their profiles, and a merge cannot be undone
(https://help.klaviyo.com/hc/en-us/articles/12902308138011).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.attributes import STRONG_IDENTIFIERS
from klaviyo_sync.core.frames import arrow, true_at
from klaviyo_sync.core.left_out import PHONE, leave_out
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.reading import Rows


class Holder(NamedTuple):
    """A profile of Klaviyo's that has a number, by its other identifiers: an empty text for none, None where the answer did not say."""

    id: str
    external_id: str | None
    email: str | None

    def is_nobody(self) -> bool:
        """Whether the profile has no other identifier than its number: whoever comes with the number takes it over."""
        return self.external_id == "" and self.email == ""

    def is_same(self, identifiers: Mapping[str, str]) -> bool:
        """Whether a row's identifiers are those of this profile: any of them is enough. Letter case counts, except in e-mail addresses."""
        own = self._asdict() | {"email": (self.email or "").strip().lower()}
        return any(own[path] == (value.strip().lower() if path == "email" else value) for path, value in identifiers.items())


def may_take(identifiers: Mapping[str, str], holders: Sequence[Holder]) -> bool:
    """Whether a row with these stronger identifiers may go out with a number that these profiles hold."""
    return all(holder.is_nobody() or holder.is_same(identifiers) for holder in holders)


class Numbers(NamedTuple):
    """The rows whose number stands beside a stronger identifier: positions in their frame, numbers, stronger identifiers."""

    positions: np.ndarray
    numbers: list[str]
    identifiers: list[dict[str, str]]

    def distinct(self) -> list[str]:
        """Each number once."""
        return list(dict.fromkeys(self.numbers))

    def of_others(self, holders: Mapping[str, Sequence[Holder]]) -> np.ndarray:
        """The positions of the rows whose number somebody else holds, given the holders of each number."""
        mine = zip(self.numbers, self.identifiers, strict=True)
        free = [may_take(identifiers, holders.get(number, ())) for number, identifiers in mine]
        return self.positions[~np.array(free, dtype=bool)]

    def among(self, some: Collection[str]) -> np.ndarray:
        """The positions of the rows whose number is one of some."""
        return self.positions[np.array([number in some for number in self.numbers], dtype=bool)]


def numbers_beside(rows: Rows, plan: Plan) -> Numbers:
    """The numbers beside a stronger identifier among the rows that are not held."""
    paths = [target.path for target in plan.identifiers]
    stronger = [path for path in STRONG_IDENTIFIERS if path in paths]
    if PHONE not in paths or not stronger:
        return Numbers(np.zeros(0, np.int64), [], [])
    cells = {path: arrow(rows.mapped.profiles[path]) for path in (PHONE, *stronger)}
    some = np.zeros(len(rows.frame), dtype=bool)
    for path in stronger:
        some |= true_at(cells[path].is_valid())
    positions = np.flatnonzero(some & true_at(cells[PHONE].is_valid()) & ~rows.held)
    columns = {path: cell.take(pa.array(positions)).to_pylist() for path, cell in cells.items()}
    identifiers = [
        {path: value for path, value in zip(stronger, values, strict=True) if value is not None}
        for values in zip(*(columns[path] for path in stronger), strict=True)
    ]
    return Numbers(positions, columns[PHONE], identifiers)


def without_numbers(rows: Rows, plan: Plan, positions: np.ndarray, code: str = "shared_phone") -> Rows:
    """The rows, those at these positions without their number, for which they have an issue of this code (`leave_out`)."""
    where = np.zeros(len(rows.frame), dtype=bool)
    where[positions] = True
    return rows._replace(mapped=leave_out(rows.mapped, plan, PHONE, where, code))
