"""Matching: which of the rows that share identifiers are about the same profile, and which of them goes out.

Rows that share an identifier of `match_on` are about the same profile, also through a third row. The newest of them goes out. A row
without any such identifier is matched by the strongest that it has, with rows that have nothing stronger either: so a phone number
alone joins rows that have nothing but a phone number.

An identifier that does not match may be shared by several profiles. In Klaviyo it identifies one: the newest of the rows that go out
keeps it, and the others go without it. A row that is left with nothing, or with a phone number after it had more, is superseded.

The newest row of a strong identifier counts as merged when it is superseded and no row that goes out has that identifier: who was known
by it is known by something else from now on. Older rows with the same identifiers are not reported, as the versions of a person in a
change log are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from klaviyo_sync.core.attributes import STRONG_IDENTIFIERS

RANK = (*STRONG_IDENTIFIERS, "phone_number")
SHORT = {"phone_number": "phone"}
SAME_PROFILE = "same_profile"

# Columns of `ranked`, numbered by the identifiers of a plan, as the keys of `rivals` are.
KEEPS, WINNER = "keeps_{}", "winner_{}"
ROWS = 2**32  # below a row's place in the order of change stands its rowid: the greatest such mark among rows is the newest of them


def same(path: str) -> str:
    """The code of rows that a newer row with the same identifier supersedes."""
    return f"same_{SHORT.get(path, path)}"


def shared(path: str) -> str:
    """The code of cells that a row goes without, since a newer row of another profile has the same."""
    return f"shared_{SHORT.get(path, path)}"


def path_of(code: str) -> str:
    """The identifier that a code of a superseded row is about."""
    return next(path for path in RANK if same(path) == code)


@dataclass(frozen=True)
class Matching:
    """How rows match: the identifiers of a plan in its order, and those that match.

    With `phone_alone` only rows with nothing stronger go out with their phone number.
    """

    paths: Sequence[str]
    matching: Sequence[str]
    phone_alone: bool = False

    def number(self, path: str) -> int:
        """The number of an identifier in the names of columns."""
        return self.paths.index(path)

    def ranked(self, *, matching: bool) -> list[int]:
        """The numbers of the identifiers that match, or of those that do not, strongest first."""
        return [self.number(path) for path in RANK if path in self.paths and (path in self.matching) == matching]

    @property
    def sharing(self) -> tuple[str, ...]:
        """The identifiers that do not match, strongest first."""
        return tuple(self.paths[number] for number in self.ranked(matching=False))

    def ranking(self, modified_at: str, content: str) -> str:
        """SQL that fills `ranked` from `rivals`, given its columns and the expression that order rows.

        `row_` is the rowid in `rivals`, `window_` the row's window, `newest` whether it goes out, `why` the code of its supersession
        (SAME_PROFILE for one that is not merged), `next_` the row_ of a newer row by which it is superseded. For the identifier numbered N,
        `winner_N` is the row_ of the newest row that has the same, and `keeps_N` whether a row keeps an identifier that does not match.
        """
        keys = [f"key_{number}" for number in range(len(self.paths))]
        identified = " OR ".join(f"{key} IS NOT NULL" for key in keys)
        mark = f"row_number() OVER (ORDER BY {modified_at} NULLS FIRST, content, row_) * {ROWS} + row_ AS mark"
        narrow = f"SELECT rowid AS row_, window_, {', '.join(keys)}, {modified_at}, {content} AS content FROM rivals WHERE {identified}"  # noqa: S608
        marked = f"SELECT window_, {', '.join(keys)}, {mark} FROM ({narrow})"  # noqa: S608
        newest = [f"CASE WHEN {key} IS NOT NULL THEN max(mark) OVER (PARTITION BY {key}) END" for key in keys]
        won = ", ".join(f"{mark} AS won_{number}" for number, mark in enumerate(newest))
        rows = f"SELECT window_, mark, {won} FROM ({marked})"  # noqa: S608
        for step in (self._alone, self._best, self._alive, self._strong_owners, self._left_with_more, self._phone_owner, self._left):
            if columns := step():
                rows = f"SELECT *, {', '.join(columns)} FROM ({rows})"  # noqa: S608
        return f"CREATE TEMP TABLE ranked AS SELECT {', '.join(self._shown())} FROM ({rows})"  # noqa: S608

    def _alone(self) -> list[str]:
        """Whether an identifier that does not match is the strongest of a row without any that matches."""
        columns = []
        stronger = [f"won_{number} IS NULL" for number in self.ranked(matching=True)]
        for number in self.ranked(matching=False):
            columns.append(f"({' AND '.join([*stronger, f'won_{number} IS NOT NULL'])}) AS alone_{number}")
            stronger.append(f"won_{number} IS NULL")
        return columns

    def _best(self) -> list[str]:
        """The newest of the rows that such an identifier matches."""
        return [newest_of(number, f"alone_{number}", f"best_{number}") for number in self.ranked(matching=False)]

    def _alive(self) -> list[str]:
        """Whether a row is the newest of its profile."""
        matched = [f"(won_{number} IS NULL OR won_{number} = mark)" for number in self.ranked(matching=True)]
        alone = [f"(NOT alone_{number} OR best_{number} = mark)" for number in self.ranked(matching=False)]
        return [f"({' AND '.join([*matched, *alone])}) AS alive"]

    def _strong(self) -> list[int]:
        return [number for number in self.ranked(matching=False) if self.paths[number] != "phone_number"]

    def _strong_owners(self) -> list[str]:
        """The row that keeps each strong identifier that does not match."""
        return [newest_of(number, "alive", f"owner_{number}") for number in self._strong()]

    def _left_with_more(self) -> list[str]:
        """Whether a row is left with more than a phone number, or never had more."""
        left = [f"won_{number} IS NOT NULL" for number in self.ranked(matching=True)]
        left += [f"coalesce(owner_{number} = mark, false)" for number in self._strong()]
        left += [f"alone_{number}" for number in self.ranked(matching=False) if self.paths[number] == "phone_number"]
        return [f"(alive AND ({' OR '.join(left)})) AS identified"]

    def _phone_owner(self) -> list[str]:
        """The row that keeps each phone number."""
        if "phone_number" not in self.paths:
            return []
        number = self.number("phone_number")
        may_keep = f"identified AND alone_{number}" if self.phone_alone else "identified"
        return [newest_of(number, may_keep, f"owner_{number}")]

    def _left(self) -> list[str]:
        """Whether a row goes out."""
        if "phone_number" not in self.paths:
            return ["identified AS newest"]
        number = self.number("phone_number")
        return [f"(identified AND (NOT alone_{number} OR owner_{number} = mark)) AS newest"]

    def _shown(self) -> list[str]:
        """The columns of `ranked`."""
        reasons = [(f"won_{number} <> mark", number, f"won_{number}") for number in self.ranked(matching=True)]
        reasons += [(f"alone_{number} AND best_{number} <> mark", number, f"best_{number}") for number in self.ranked(matching=False)]
        reasons += [(f"owner_{number} <> mark", number, f"owner_{number}") for number in self.ranked(matching=False)]
        lost = [f"won_{number} = mark" for number in self.ranked(matching=True)]
        lost += [f"(won_{number} = mark AND owner_{number} IS NULL)" for number in self._strong()]
        merged = " OR ".join(f"coalesce({part}, false)" for part in ["alive", *lost])
        codes = " ".join(f"WHEN {when} THEN '{same(self.paths[number])}'" for when, number, _ in reasons)
        nexts = " ".join(f"WHEN {when} THEN {column}" for when, _, column in reasons)
        return [
            f"mark % {ROWS} AS row_",
            "window_",
            "newest",
            f"CASE WHEN newest THEN NULL WHEN NOT ({merged}) THEN '{SAME_PROFILE}' {codes} END AS why",
            f"CASE WHEN newest THEN NULL {nexts} END % {ROWS} AS next_",
            *(f"won_{number} % {ROWS} AS {WINNER.format(number)}" for number in range(len(self.paths))),
            *(f"coalesce(newest AND owner_{number} = mark, false) AS {KEEPS.format(number)}" for number in self.ranked(matching=False)),
        ]


def newest_of(number: int, which: str, name: str) -> str:
    """The newest of certain rows with the same identifier, as a column; NULL for rows that have none."""
    return f"CASE WHEN won_{number} IS NOT NULL THEN max(mark) FILTER ({which}) OVER (PARTITION BY won_{number}) END AS {name}"


# The merged rows of the windows, each with a newer row; then, over and over, with the row by which that one is superseded.
MERGED = f"CREATE TEMP TABLE merged AS SELECT row_, why, next_ FROM ranked WHERE why <> '{SAME_PROFILE}' AND window_ <> $later"  # noqa: S608
FOLLOWED = "UPDATE merged SET next_ = ranked.next_ FROM ranked WHERE ranked.row_ = merged.next_ AND NOT ranked.newest"


def instead(keys: Sequence[str]) -> str:
    """SQL that fills `instead` from `merged`: row_, why, and the keys of the row that goes out in place of each (`by_N`)."""
    columns = ", ".join(f"rivals.{key} AS by_{number}" for number, key in enumerate(keys))
    return f"CREATE TEMP TABLE instead AS SELECT row_, why, {columns} FROM merged JOIN rivals ON rivals.rowid = merged.next_"  # noqa: S608
