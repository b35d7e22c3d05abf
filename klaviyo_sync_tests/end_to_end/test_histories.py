"""Random histories of people, over HTTP into the sandbox: no opt-out is missing in the end, and nobody is subscribed against one.

Households share phone numbers, addresses change and are recycled, change logs are sparse, dates are missing, days only, or without a zone,
and rows change at the same moment. The end state may differ by the order in which windows run where a subscribe is concerned: a window
that runs alone does not read older rows, so it neither sends what they state nor lets their subscribes outweigh its opt-outs. Of opt-outs
that no row outweighs it may not differ.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from run_place import RunPlace

from how_many import long_form
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox import Sandbox, serve

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(days=4, hours=5)
DAYS = [f"{BEGIN + timedelta(days=n):%Y-%m-%d}" for n in range(4)]
MAILS = ["ada@shop.example", "bo@shop.example", "cy@shop.example"]
PHONES = ["+4915123456789", "+4915123456788"]
DOUBT = timedelta(hours=14)
TABLE = (
    "CREATE TABLE members(id VARCHAR, mail VARCHAR, phone VARCHAR, e VARCHAR, e_at VARCHAR, s VARCHAR, s_at VARCHAR, changed TIMESTAMPTZ)"
)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-05",
    "profile": {"external_id": "id", "email": "mail", "phone_number": "phone"},
    "consent": {"email_marketing": {"column": "e", "timestamp": "e_at"}, "sms_marketing": {"column": "s", "timestamp": "s_at"}},
    "stop_above": {"rejected": None, "unsubscribes": None, "merged": None},
}


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

    def sql(self) -> str:
        """The row as a line of VALUES."""
        cells = [self.id, self.mail, self.phone]
        for said in (self.e, self.s):
            cells += [said and said.word, said and said.written]
        return f"({', '.join('NULL' if cell is None else repr(cell) for cell in (*cells, self.changed.isoformat()))})"


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


def history(chance: random.Random) -> list[Change]:
    """Some rows."""
    return [
        Change(
            chance.choice([None, "1", "2", "3"]),
            chance.choice([None, *MAILS]),
            chance.choice([None, None, *PHONES]),
            said(chance),
            said(chance),
            BEGIN + timedelta(hours=8 * chance.randint(0, 11)),
        )
        for _ in range(chance.randint(1, 8))
    ]


def standing(rows: Sequence[Change]) -> Iterator[tuple[Channel, str]]:
    """The addresses with an opt-out that no row's subscribe outweighs."""
    for row in rows:
        for channel, name, stated in (("email_marketing", "mail", "e"), ("sms_marketing", "phone", "s")):
            address, own = getattr(row, name), getattr(row, stated)
            if address and own and own.word == "Unsubscribed":
                others = [getattr(other, stated) for other in rows if getattr(other, name) == address]
                if not any(other and other.outweighs(own, row.changed) for other in others):
                    yield channel, address  # type: ignore[misc]


def orders(chance: random.Random) -> list[list[list[str]]]:
    """The ways to run all windows: in one range, one by one, in any order, and twice."""
    anyhow = [[day] for day in chance.sample(DAYS, len(DAYS))]
    return [[DAYS], [[day] for day in DAYS], anyhow, [*anyhow, DAYS]]


def test_no_opt_out_is_missing(tmp_path: Path) -> None:
    """In whatever order the windows run, every address with an opt-out that no row outweighs ends unsubscribed."""
    for seed in range(12 if long_form() else 3):
        chance = random.Random(seed)
        rows = history(chance)
        for number, runs in enumerate(orders(chance)):
            folder = tmp_path / f"{seed}-{number}"
            folder.mkdir()
            box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
            with serve(box) as server:
                place = RunPlace(folder, box, server.url, sync=SYNC, table=TABLE, now=NOW)
                place.fill(*(row.sql() for row in rows))
                for keys in runs:
                    place.report(*keys)
            for channel, address in standing(rows):
                assert box.consent(address).status(channel) == "UNSUBSCRIBED", (seed, runs, channel, address, rows)
