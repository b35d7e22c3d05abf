"""Counts of the statements of one channel by what became of them. Counts add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from klaviyo_sync.core.sync import CHANNELS, Channel

ConsentFate = Literal["sent", "already", "guarded", "skipped", "refused", "rejected", "nothing", "unknown"]
CONSENT_FATES: tuple[ConsentFate, ...] = get_args(ConsentFate)
OF_OPT_OUTS: tuple[ConsentFate, ConsentFate] = ("sent", "refused")
"""The fates of which the opt-outs are counted apart: as `unsubscribed` and as `opt_outs_refused`."""


@dataclass(frozen=True)
class ConsentCounts:
    """Statements of one channel: all of them, and by fate.

    `unsubscribed` is the part of `sent` that are opt-outs, `opt_outs_refused` that of `refused`. `confirmed` is the part of `sent` that
    Klaviyo shows by the end of the run, `opt_outs_opposed` the part that it shows as subscribed although it took the opt-out.
    """

    stated: int = 0
    sent: int = 0
    already: int = 0
    guarded: int = 0
    skipped: int = 0
    refused: int = 0
    rejected: int = 0
    nothing: int = 0
    unknown: int = 0
    unsubscribed: int = 0
    opt_outs_refused: int = 0
    # What Klaviyo shows depends on how fast it is: two runs that did the same are equal.
    confirmed: int = field(default=0, compare=False)
    opt_outs_opposed: int = field(default=0, compare=False)

    @property
    def accounted(self) -> int:
        """Statements whose fate is known, or known to be unknown."""
        return sum(getattr(self, fate) for fate in CONSENT_FATES)

    @property
    def balanced(self) -> bool:
        """Whether every statement is accounted for."""
        parts = self.unsubscribed <= self.sent and self.opt_outs_refused <= self.refused
        return self.stated == self.accounted and parts and self.confirmed + self.opt_outs_opposed <= self.sent

    @property
    def subscribed(self) -> int:
        """The part of `sent` that are subscribes."""
        return self.sent - self.unsubscribed

    def __add__(self, other: ConsentCounts) -> ConsentCounts:
        return ConsentCounts(**{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(self)})

    def __mul__(self, number: int) -> ConsentCounts:
        return ConsentCounts(**{part.name: getattr(self, part.name) * number for part in fields(self)})


CONSENT_PARTS: tuple[str, ...] = tuple(part.name for part in fields(ConsentCounts))


def added(one: Mapping[Channel, ConsentCounts], other: Mapping[Channel, ConsentCounts]) -> dict[Channel, ConsentCounts]:
    """The counts of both, by channel in the catalogue's order."""
    nothing = ConsentCounts()
    return {channel: one.get(channel, nothing) + other.get(channel, nothing) for channel in CHANNELS if channel in one or channel in other}
