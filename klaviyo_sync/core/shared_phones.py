"""Shared phone numbers: who holds a number in Klaviyo, and rows that go out without a number that is somebody else's.

Identifiers that are sent together belong to one person: Klaviyo merges their profiles, and a merge cannot be undone
(https://help.klaviyo.com/hc/en-us/articles/12902308138011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.attributes import STRONG_IDENTIFIERS
from klaviyo_sync.core.cleaning.cells import Flag
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.frames import Mask, arrow, frame_with, keep_where, true_at
from klaviyo_sync.core.issue_frames import issue_frame, joined_issues
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Mapped, Plan
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.sync import Channel

PHONE = "phone_number"


class Holder(NamedTuple):
    """A profile of Klaviyo's that has a number, by its other identifiers; an empty text stands for none."""

    id: str
    external_id: str
    email: str

    def is_nobody(self) -> bool:
        """Whether the profile has no other identifier than its number: whoever comes with the number takes it over."""
        return not self.external_id and not self.email

    def is_same(self, identifiers: Mapping[str, str]) -> bool:
        """Whether a row's identifiers are those of this profile: any of them is enough. Letter case counts, except in e-mail addresses."""
        own = self._asdict() | {"email": self.email.strip().lower()}
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
    """The rows, those at these positions without their number, for which they have an issue of this code.

    The number is kept beside them, in `left_out`, for opt-outs alone: a subscribe for it states nothing any more.
    """
    if not len(positions):
        return rows
    mapped = rows.mapped
    where = np.zeros(len(rows.frame), dtype=bool)
    where[positions] = True
    numbers = arrow(mapped.profiles[PHONE])
    earlier = pa.nulls(len(numbers), numbers.type) if mapped.left_out is None else mapped.left_out
    profiles = {path: arrow(mapped.profiles[path]) for path in mapped.profiles.columns}
    statements, flags = opt_outs_only(mapped, plan, where)
    column = next(target.column for target in plan.identifiers if target.path == PHONE)
    issues = issue_frame([(positions, column, code), *((np.flatnonzero(true_at(flag.where)), name, flag.code) for name, flag in flags)])
    changed = replace(
        mapped,
        profiles=frame_with(profiles | {PHONE: keep_where(pa.array(~where), numbers)}),
        left_out=pc.if_else(pa.array(where), numbers, earlier),
        statements=statements,
        issues=joined_issues(mapped.issues, issues),
    )
    return rows._replace(mapped=changed)


def opt_outs_only(mapped: Mapped, plan: Plan, where: Mask) -> tuple[dict[Channel, Statements], list[tuple[str, Flag]]]:
    """The statements without the subscribes for the numbers of some rows, and the flags of those that are lost."""
    statements = dict(mapped.statements)
    lost: list[tuple[str, Flag]] = []
    for target in plan.consents:
        if CHANNEL_IDENTIFIER[target.channel] == PHONE and target.channel in statements:
            stated = statements[target.channel]
            subscribes = pc.and_(pc.fill_null(pc.equal(stated.meaning, "subscribe"), fill_value=False), pa.array(where))
            if not pc.any(subscribes).as_py():
                continue
            flag = (target.named, Flag("consent_without_identifier", subscribes))
            lost.append(flag)
            keeps = pc.invert(subscribes)
            statements[target.channel] = Statements(
                keep_where(keeps, stated.meaning), keep_where(keeps, stated.at), pc.and_(keeps, stated.zoneless), (*stated.flags, flag)
            )
    return statements, lost
