"""Random histories of households as rows of one dataset: disjoint people, so that one run carries thousands of histories.

Households share phone numbers, addresses change and are recycled, change logs are sparse, dates are missing, days only, or without a zone,
and rows change at the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from klaviyo_sync.core.sync import Channel

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(days=4, hours=5)
DAYS = [f"{BEGIN + timedelta(days=n):%Y-%m-%d}" for n in range(4)]
DOUBT = timedelta(hours=14)
TABLE = (
    "CREATE TABLE members(id VARCHAR, mail VARCHAR, phone VARCHAR, e VARCHAR, e_at VARCHAR, s VARCHAR, s_at VARCHAR, changed TIMESTAMPTZ)"
)
SYNC: dict[str, Any] = {
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-05",
    "profile": {"external_id": "id", "email": "mail", "phone_number": "phone"},
    "consent": {"email_marketing": {"column": "e", "timestamp": "e_at"}, "sms_marketing": {"column": "s", "timestamp": "s_at"}},
    "stop_above": {"rejected": None, "unsubscribes": None, "merged": None},
    "tolerance": {"rejected": "100%", "failed": "100%", "merged": "100%"},
}
Address = tuple[Channel, str]


class Said(NamedTuple):
    """A statement: what it says, its date as written, and the moments between which it was made."""

    word: str
    written: str | None
    first: datetime | None
    last: datetime | None

    def outweighs(self, other: Said, changed: datetime) -> bool:
        """Whether a subscribe outweighs another row's opt-out, that row being as old as `changed`."""
        if self.word != "Subscribe" or self.first is None:
            return False
        zoneless = [said.written is not None and not said.written.endswith("Z") for said in (self, other)]
        return self.first - (DOUBT if any(zoneless) else timedelta(0)) > min(other.last or changed, NOW)


class Change(NamedTuple):
    """A row of the warehouse."""

    id: str | None
    mail: str | None
    phone: str | None
    e: Said | None
    s: Said | None
    changed: datetime

    @property
    def cells(self) -> list[str | None]:
        """The row as the columns of the table."""
        dated = [cell for said in (self.e, self.s) for cell in (said and said.word, said and said.written)]
        return [self.id, self.mail, self.phone, *dated, self.changed.isoformat()]

    @property
    def stated(self) -> Iterator[tuple[Address, Said]]:
        """What the row states about its addresses."""
        if self.mail and self.e:
            yield ("email_marketing", self.mail), self.e
        if self.phone and self.s:
            yield ("sms_marketing", self.phone), self.s


def said(chance: random.Random) -> Said | None:
    """Some statement, or none."""
    word = chance.choice([None, None, "Subscribe", "Unsubscribed"])
    moment = BEGIN + timedelta(hours=8 * chance.randint(-6, 11))
    how = chance.choice(["none", "zoned", "zoned", "zoneless", "day"])
    if word is None:
        return None
    if how == "none":
        return Said(word, None, None, None)
    if how == "day":
        start = moment.replace(hour=0)
        return Said(word, f"{start:%Y-%m-%d}", start, start + timedelta(days=1, microseconds=-1))
    return Said(word, f"{moment:%Y-%m-%dT%H:%M:%SZ}" if how == "zoned" else f"{moment:%Y-%m-%d %H:%M:%S}", moment, moment)


def household(seed: int) -> list[Change]:
    """The history of one household."""
    chance = random.Random(seed)
    mails = [f"{name}.{seed}@shop.example" for name in ("ada", "bo", "cy")]
    phones = [f"+49151{10_000_000 + 2 * seed + number}" for number in (0, 1)]
    return [
        Change(
            chance.choice([None, f"{seed}-1", f"{seed}-2", f"{seed}-3"]),
            chance.choice([None, *mails]),
            chance.choice([None, None, *phones]),
            said(chance),
            said(chance),
            BEGIN + timedelta(hours=8 * chance.randint(0, 11)),
        )
        for _ in range(chance.randint(1, 8))
    ]


def standing(rows: Sequence[Change]) -> set[Address]:
    """The addresses with an opt-out that no row's subscribe outweighs."""
    stated = [(address, own, row.changed) for row in rows for address, own in row.stated]
    return {
        address
        for address, own, changed in stated
        if own.word == "Unsubscribed" and not any(other.outweighs(own, changed) for there, other, _ in stated if there == address)
    }


def subscribed(rows: Sequence[Change]) -> set[Address]:
    """The addresses that any row subscribes."""
    return {address for row in rows for address, own in row.stated if own.word == "Subscribe"}


def addresses(rows: Sequence[Change]) -> set[Address]:
    """All addresses, with the channel that they are for."""
    mails: set[Address] = {("email_marketing", row.mail) for row in rows if row.mail}
    numbers: set[Address] = {("sms_marketing", row.phone) for row in rows if row.phone}
    return mails | numbers


def orders(seed: int) -> dict[str, list[list[str]]]:
    """The ways to run all windows: in one range, one by one, in any order, and twice."""
    anyhow = [[day] for day in random.Random(seed).sample(DAYS, len(DAYS))]
    return {"one range": [DAYS], "one by one": [[day] for day in DAYS], "any order": anyhow, "twice": [*anyhow, DAYS]}
