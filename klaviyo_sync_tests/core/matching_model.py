"""A model of matching in plain Python: which rows go out with which identifiers, and which superseded rows are reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

RANK = ("id", "external_id", "email", "phone_number")
STRONG = RANK[:3]


class Person(NamedTuple):
    """A row: when it was changed, and its identifiers in their final form."""

    moment: int
    identifiers: Mapping[str, str]

    def strongest(self) -> str:
        """Its strongest identifier."""
        return next(path for path in RANK if path in self.identifiers)


class Expected(NamedTuple):
    """What rows become, by their positions: the identifiers that each row goes out with, and the superseded rows that are reported."""

    sent: dict[int, dict[str, str]]
    reported: set[int]


def matched_by(person: Person, matching: Collection[str]) -> set[tuple[str, str]]:
    """What a row shares with the rows of the same profile: identifiers that match; without any, its strongest one."""
    strong = {(path, value) for path, value in person.identifiers.items() if path in matching}
    path = person.strongest()
    return strong or {(f"only {path}", person.identifiers[path])}


def expected(people: Sequence[Person], matching: Collection[str], *, phone_alone: bool = False) -> Expected:
    """What the rows become. Each has an identifier, and all moments differ."""
    shares = [matched_by(person, matching) for person in people]
    newest = [
        row
        for row, person in enumerate(people)
        if not any(other.moment > person.moment and shares[row] & shares[place] for place, other in enumerate(people))
    ]
    sent: dict[int, dict[str, str]] = {
        row: {path: value for path, value in people[row].identifiers.items() if path in matching} for row in newest
    }
    for path in STRONG:
        if path not in matching:
            give(path, sent, people)
    sent = {row: left for row, left in sent.items() if left or people[row].strongest() == "phone_number"}
    give("phone_number", sent, people, {row for row in sent if not phone_alone or people[row].strongest() == "phone_number"})
    sent = {row: left for row, left in sent.items() if left}
    known = {(path, value) for left in sent.values() for path, value in left.items()}
    lost: dict[tuple[str, str], int] = {}
    for row in sorted(range(len(people)), key=lambda row: people[row].moment):
        for path, value in people[row].identifiers.items():
            if path in STRONG and (path, value) not in known:
                lost[path, value] = row
    return Expected(sent, {*lost.values(), *(set(newest) - set(sent))})


def give(path: str, sent: dict[int, dict[str, str]], people: Sequence[Person], who: Collection[int] | None = None) -> None:
    """Gives each value of an identifier to the newest of the rows that have it, among those that go out, or `who` of them."""
    owners: dict[str, int] = {}
    for row in sorted(sent if who is None else who, key=lambda row: people[row].moment):
        if path in people[row].identifiers:
            owners[people[row].identifiers[path]] = row
    for value, row in owners.items():
        sent[row][path] = value
