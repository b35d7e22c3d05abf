"""What the account holds of people's consent, channel by channel, and the suppressions of their e-mail addresses.

Klaviyo's rules: https://developers.klaviyo.com/en/docs/collect_email_and_sms_consent_via_api and
https://help.klaviyo.com/hc/en-us/articles/115005246108 (suppressions). What is our reading of them is listed in docs/sandbox.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from klaviyo_sync.core.sync import Channel

Status = Literal["NEVER_SUBSCRIBED", "SUBSCRIBED", "UNSUBSCRIBED"]

LIFTED = frozenset(("UNSUBSCRIBE", "SPAM_REPORT", "SPAM_COMPLAINT", "USER_SUPPRESSED"))
"""The suppressions that a subscribe takes away. A spam report has two names: one in prose, one in the schema of profiles."""

REASONS = LIFTED | {"HARD_BOUNCE", "INVALID_EMAIL"}

OLDEST = 631_152_000.0
"""1990-01-01, the oldest date that is kept: https://help.klaviyo.com/hc/en-us/articles/360037101072."""

TEXTS: Mapping[Channel, tuple[Channel, ...]] = {
    "sms_marketing": ("sms_marketing", "sms_transactional"),
    "sms_transactional": ("sms_marketing", "sms_transactional"),
}
"""The channels that a person's own opt-out from texts ends: both, as the same page says."""


@dataclass(frozen=True)
class How:
    """How consent was given or taken back, as the record of it tells."""

    method: str
    detail: str | None = None
    double_opt_in: bool = False


@dataclass(frozen=True)
class Record:
    """What is held of one channel of one person. Moments are POSIX times."""

    status: Status
    at: float
    updated: float
    created: float
    how: How
    phone_number: str | None = None


@dataclass
class Person:
    """What is held of one profile: nothing of a channel means never subscribed. Suppressions map reasons to moments."""

    channels: dict[Channel, Record] = field(default_factory=dict)
    suppressions: dict[str, float] = field(default_factory=dict)
    list_suppressions: dict[str, float] = field(default_factory=dict)

    def status(self, channel: Channel) -> Status:
        """The consent for a channel."""
        return self.channels[channel].status if channel in self.channels else "NEVER_SUBSCRIBED"

    def objection(self, channel: Channel, at: float) -> str | None:
        """Why a subscribe that is dated `at` is refused, in the words that were seen; None when it is not."""
        held = self.channels.get(channel)
        if held is None or held.status == "NEVER_SUBSCRIBED":
            return None
        if held.status == "UNSUBSCRIBED":
            return f"The consented_at of {channel} is before current unsubscription date." if at < held.at else None
        return f"The consented_at of {channel} is after current subscription date." if at > held.at else None


class Consents:
    """The consent of every profile, by its number."""

    def __init__(self) -> None:
        self._people: dict[int, Person] = {}

    def of(self, number: int) -> Person:
        """What is held of a profile; of one without any consent a blank person, who is not kept."""
        return self._people.get(number) or Person()

    def put(self, number: int, person: Person) -> None:
        """Replaces what is held of a profile."""
        self._people[number] = person

    def take(self, number: int) -> Person | None:
        """What was held of a profile, which is forgotten; None when nothing was."""
        return self._people.pop(number, None)

    def numbers(self) -> list[int]:
        """The profiles of which something is held."""
        return sorted(self._people)

    def subscribe(self, number: int, channel: Channel, at: float | None, now: float, how: How, *, phone_number: str | None = None) -> None:
        """Subscribes a profile since `at`, or now. Who is subscribed keeps the date; a dated subscribe that is refused does nothing."""
        person = self._people.setdefault(number, Person())
        if at is not None and person.objection(channel, at):
            return
        held = person.channels.get(channel)
        if held is None or held.status != "SUBSCRIBED":
            since = now if at is None else max(at, OLDEST)
            person.channels[channel] = Record("SUBSCRIBED", since, now, held.created if held else now, how, phone_number)
        self._lift(person, channel)

    def opt_in(self, number: int, channel: Channel, at: float, how: How) -> None:
        """Subscribes a profile as of `at`, whatever was before."""
        person = self._people.setdefault(number, Person())
        held = person.channels.get(channel)
        person.channels[channel] = Record("SUBSCRIBED", at, at, held.created if held else at, how)
        self._lift(person, channel)

    @staticmethod
    def _lift(person: Person, channel: Channel) -> None:
        if channel == "email_marketing":
            for reason in LIFTED & person.suppressions.keys():
                del person.suppressions[reason]
            person.list_suppressions.clear()

    def unsubscribe(self, number: int, channel: Channel, at: float, how: How, *, phone_number: str | None = None) -> None:
        """Unsubscribes a profile from a channel of all lists; an e-mail address is suppressed by it."""
        person = self._people.setdefault(number, Person())
        held = person.channels.get(channel)
        person.channels[channel] = Record("UNSUBSCRIBED", at, at, held.created if held else at, how, phone_number)
        if channel == "email_marketing":
            person.suppressions["UNSUBSCRIBE"] = at

    def leave(self, number: int, list_id: str, at: float) -> None:
        """Unsubscribes a profile from the e-mails to one list, and from no other."""
        self._people.setdefault(number, Person()).list_suppressions[list_id] = at

    def suppress(self, number: int, reason: str, at: float) -> None:
        """Suppresses a profile's e-mail address, whatever its consent is. Raises ValueError for a reason that does not exist."""
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not a reason. Reasons: {', '.join(sorted(REASONS))}.")
        self._people.setdefault(number, Person()).suppressions[reason] = at

    def lift(self, number: int) -> bool:
        """Takes a manual suppression away; whether there was one."""
        return number in self._people and self._people[number].suppressions.pop("USER_SUPPRESSED", None) is not None
