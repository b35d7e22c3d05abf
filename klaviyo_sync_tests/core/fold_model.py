"""A model of the fold in plain Python: every row is compared with every other, by the rules that docs/consent.md gives."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Channel = Literal["email_marketing", "sms_marketing"]
CHANNELS: tuple[Channel, ...] = ("email_marketing", "sms_marketing")
KIND: dict[Channel, str] = {"email_marketing": "mail", "sms_marketing": "phone"}
DOUBT = timedelta(hours=14)


class Said(NamedTuple):
    """A usable statement. `at` is the moment to send (of an opt-out the latest possible), None without a date."""

    joins: bool
    at: datetime | None
    zoneless: bool = False


@dataclass(eq=False)
class Row:
    """A contested row: what it is about and states, the window it is in (-1: a later one), its place among all rows, and what it keeps."""

    ext: str | None
    mail: str | None
    phone: str | None
    said: dict[Channel, Said]
    changed: datetime
    window: int
    place: int = 0
    newest: bool = False
    keeps_phone: bool = False

    def keeps(self, kind: str) -> bool:
        """Whether the row goes out in this run with its address of a kind."""
        return self.newest and self.window >= 0 and (kind == "mail" or self.keeps_phone)

    @property
    def phone_alone(self) -> bool:
        """Whether the row has nothing but a phone number."""
        return self.ext is None and self.mail is None


class Going(NamedTuple):
    """A statement that goes out: for an address, from a row, or from another address of the row's person (`own` is false then)."""

    joins: bool
    at: datetime | None
    window: int
    row: Row
    own: bool


@dataclass
class Folded:
    """What goes out with rows, by place and channel; alone, by window and owner's place; and the statements that do not, counted."""

    net: dict[tuple[int, Channel], tuple[bool, datetime | None]] = field(default_factory=dict)
    alone: dict[tuple[int, int], dict[Channel, tuple[str, datetime | None]]] = field(default_factory=lambda: defaultdict(dict))
    asides: Counter[tuple[int, Channel, str, str]] = field(default_factory=Counter)


class Model:
    """The fold of some rows."""

    def __init__(self, rows: Sequence[Row], undated: str, now: datetime) -> None:
        self.rows = rows
        self.undated = undated
        self.now = now

    def with_address(self, kind: str, address: object) -> list[Row]:
        """The rows with an address."""
        return [row for row in self.rows if getattr(row, kind) == address]

    def carrier(self, kind: str, address: object) -> Row | None:
        """The row that goes out with an address."""
        return max((row for row in self.with_address(kind, address) if row.keeps(kind)), key=lambda row: row.place, default=None)

    def owner(self, kind: str, address: object) -> Row:
        """The row that has an address."""
        return self.carrier(kind, address) or max(self.with_address(kind, address), key=lambda row: row.place)

    def counts(self, row: Row, channel: Channel) -> bool:
        """Whether a subscribe of a row has weight."""
        if KIND[channel] == "mail":
            return True
        owner = self.owner("phone", row.phone)
        shares = any(getattr(row, name) is not None and getattr(row, name) == getattr(owner, name) for name in ("ext", "mail"))
        return owner is row or shares or (owner.phone_alone and row.phone_alone)

    def since(self, row: Row, channel: Channel) -> datetime:
        """When a row opted out."""
        return row.said[channel].at or min(row.changed, self.now)

    def outweighs(self, other: Row, row: Row, channel: Channel) -> bool:
        """Whether the subscribe of one row outweighs the opt-out of another."""
        joined = other.said.get(channel)
        if joined is None or not joined.joins or not self.counts(other, channel):
            return False
        if joined.at is None:
            return self.undated == "resubscribe" and other.changed > row.changed
        doubted = joined.zoneless and not row.said[channel].zoneless
        return joined.at - (DOUBT if doubted else timedelta(0)) > self.since(row, channel)

    def stands_at(self, address: object, row: Row, channel: Channel) -> bool:
        """Whether the opt-out of a row stands at an address."""
        return not any(self.outweighs(other, row, channel) for other in self.with_address(KIND[channel], address))

    def new_address(self, row: Row, kind: str) -> object:
        """The newest address of a superseded row's person; None where it is the row's own, or somebody else's by now."""
        here: Row | None = row
        last = row
        while here is not None:
            last, here = here, self.step(here, row, kind)
        address = getattr(last, kind)
        return address if last is not row and address != getattr(row, kind) and self.owner(kind, address) is last else None

    def step(self, here: Row, first: Row, kind: str) -> Row | None:
        """The next newer row of the same person that has an address."""
        for name in ("ext", "mail", "phone"):
            value = getattr(here, name)
            if value is None or (name == "phone" and not here.phone_alone):
                continue
            with_it = [row for row in self.rows if getattr(row, name) == value and getattr(row, kind) is not None]
            newest = max((row for row in with_it if name != "phone" or row.phone_alone), key=lambda row: row.place, default=None)
            if newest and newest.place > here.place and self.same(here, newest) and self.same(first, newest):
                return newest
        return None

    @staticmethod
    def same(one: Row, other: Row) -> bool:
        """Whether two rows are not certainly about two customers."""
        return one.ext is None or other.ext is None or one.ext == other.ext

    def going(self, channel: Channel, address: object) -> tuple[Going | None, bool]:
        """The statement that counts for an address; and whether the address opts out."""
        kind = KIND[channel]
        stating = [row for row in self.rows if channel in row.said]
        leaving = [row for row in stating if not row.said[channel].joins and self.stands_at(getattr(row, kind), row, channel)]
        own = [row for row in leaving if getattr(row, kind) == address]
        found = [Going(joins=False, at=row.said[channel].at, window=row.window, row=row, own=True) for row in own]
        found += [
            Going(joins=False, at=row.said[channel].at, window=row.window, row=row, own=False)
            for row in leaving
            if row.window >= 0 and not row.newest and self.new_address(row, kind) == address and self.stands_at(address, row, channel)
        ]
        if found:
            best = max(found, key=lambda one: (self.since(one.row, channel), one.at is None, one.own, one.row.place))
            return best._replace(at=self.undoubted(best, channel, address)), True
        joining = [row for row in stating if row.said[channel].joins and self.counts(row, channel) and getattr(row, kind) == address]
        dated = [row for row in joining if row.said[channel].at]
        undated = [row for row in joining if not row.said[channel].at]

        def moment(row: Row) -> tuple[datetime, int]:
            said = row.said[channel]
            assert said.at
            return said.at - (DOUBT if said.zoneless else timedelta(0)), row.place

        best_dated = max(dated, key=moment, default=None)
        best_undated = max(undated, key=lambda row: row.place, default=None)
        chosen = best_dated or best_undated
        if best_dated and best_undated and self.undated == "resubscribe":
            newest = max(row.changed for row in undated)
            outs = [row for row in stating if not row.said[channel].joins and getattr(row, kind) == address]
            needed = any(not any(self.outweighs(other, row, channel) for other in dated) for row in outs)
            moved = max((row for row in dated if moment(row)[0] == moment(best_dated)[0]), key=lambda row: row.changed).changed
            chosen = best_undated if needed or newest > moved else best_dated
        if chosen is None:
            return None, False
        return Going(joins=True, at=chosen.said[channel].at, window=chosen.window, row=chosen, own=True), False

    def undoubted(self, going: Going, channel: Channel, address: object) -> datetime | None:
        """The date of an opt-out: that of a subscribe without a zone, where it stands against it in doubt."""
        if going.at is None:
            return None
        others = [row.said[channel] for row in self.with_address(KIND[channel], address) if channel in row.said]
        since = self.since(going.row, channel)
        doubtful = [said.at for said in others if said.joins and said.zoneless and said.at and going.at < said.at <= since + DOUBT]
        return max(doubtful, default=going.at)

    def fold(self) -> Folded:
        """All of it."""
        folded = Folded()
        for channel in CHANNELS:
            kind = KIND[channel]
            for address in {getattr(row, kind) for row in self.rows} - {None}:
                going, opted_out = self.going(channel, address)
                carrier, owner = self.carrier(kind, address), self.owner(kind, address)
                sent = going if going and going.window >= 0 else None
                if sent and sent.joins and carrier is None:
                    sent = None
                if sent and carrier and (sent.joins or carrier.window == sent.window):
                    folded.net[carrier.place, channel] = sent.joins, sent.at
                elif sent:
                    folded.alone[sent.window, owner.place][channel] = str(address), sent.at
                for row in self.with_address(kind, address):
                    said = row.said.get(channel)
                    if said and row.window >= 0 and not (sent and sent.own and sent.row is row):
                        code, fate = "consent_outweighed", "skipped"
                        if said.joins and not opted_out and (carrier is None or not self.counts(row, channel)):
                            code = "consent_superseded"
                        if said.joins and said.at is None and self.undated == "ignore":
                            code, fate = "", "nothing"
                        folded.asides[row.window, channel, fate, code] += 1
        return folded
