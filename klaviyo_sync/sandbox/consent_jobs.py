"""Consent that is on its way: accepted at once, seen a little later; and that which waits for the person to confirm it.

https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles. These jobs have no id, and nobody can ask how they stand.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox.consents import Consents, How
from klaviyo_sync.sandbox.profiles import RANK, Profiles, TakenError
from klaviyo_sync.sandbox.readings import Readings

REPEATED = 30 * 60.0
"""For how long, in sandbox seconds, a second subscribe of one person is ignored."""

Join = Callable[[str, int, float], None]
"""Adds a profile, by its number, to the list with this id, as of a POSIX time."""


@dataclass(frozen=True)
class Asked:
    """What a call asks for one person. `channels` have the dates of consent, None for now; `list_id` is the list of the call."""

    id: str | None
    identifiers: Mapping[str, str]
    channels: Mapping[Channel, float | None]
    how: How
    list_id: str | None = None


def owner(profiles: Profiles, identifiers: Mapping[str, str], id_: str | None = None) -> int | None:
    """The number of the profile that is meant: that of the first identifier that is known."""
    given = (("id", id_), *((name, identifiers.get(name)) for name in RANK))
    found = (profiles.find(name, value) for name, value in given if value)
    return next((number for number in found if number is not None), None)


def reached(profiles: Profiles, asked: Asked, channel: Channel) -> int | None:
    """The number of the profile whose consent for this channel is meant: consent belongs to the address it was given for."""
    identifier = CHANNEL_IDENTIFIER[channel]
    own = profiles.find(identifier, asked.identifiers[identifier]) if identifier in asked.identifiers else None
    return owner(profiles, asked.identifiers, asked.id) if own is None else own


class ConsentJobs:
    """Consent that was accepted and cannot be seen yet."""

    def __init__(self, profiles: Profiles, consents: Consents, join: Join, readings: Callable[[], Readings]) -> None:
        self._profiles = profiles
        self._consents = consents
        self._join = join
        self._readings = readings
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._accepted = 0
        self._recent: dict[tuple[str, str | int], float] = {}
        self.pending: list[Asked] = []
        self.ignored = 0

    def later(self, at: float, change: Callable[[], None]) -> None:
        """Carries out a change at a sandbox time."""
        self._accepted += 1
        heapq.heappush(self._due, (at, self._accepted, change))

    def settle(self, at: float) -> None:
        """Carries out the changes whose time has come, in their order."""
        while self._due and self._due[0][0] <= at:
            heapq.heappop(self._due)[2]()

    def first(self, people: Iterable[Asked], at: float) -> Iterator[Asked]:
        """Those who were not subscribed within the last 30 minutes before a sandbox time. The others are counted as ignored."""
        for asked in people:
            keys: list[tuple[str, str | int]] = [
                (name, value.lower() if name == "email" else value) for name, value in asked.identifiers.items()
            ]
            number = owner(self._profiles, asked.identifiers, asked.id)
            if number is not None:
                keys.append(("number", number))
            if any(at - self._recent[key] < REPEATED for key in keys if key in self._recent):
                self.ignored += 1
                continue
            self._recent.update(dict.fromkeys(keys, at))
            yield asked

    def confirm(self, person: str | None, now: float) -> int:
        """How many were subscribed by their confirmation: those with this e-mail address or phone number, or everybody."""
        wanted = [asked for asked in self.pending if person is None or _is(asked, person)]
        self.pending = [asked for asked in self.pending if asked not in wanted]
        for asked in wanted:
            self.subscribe(replace(asked, how=replace(asked.how, double_opt_in=True)), now)
        return len(wanted)

    def subscribe(self, asked: Asked, now: float) -> None:
        """Writes the profile, gives the consent, and adds the profile to the list."""
        self._write(asked, now)
        for channel, at in asked.channels.items():
            number = reached(self._profiles, asked, channel)
            if number is not None:
                self._consents.subscribe(number, channel, at, now, asked.how, phone_number=_phone(asked, channel))
                if asked.list_id is not None:
                    self._join(asked.list_id, number, now)

    def unsubscribe(self, asked: Asked, now: float, members: Mapping[int, float] | None) -> None:
        """Takes the consent back. `members`: those of the list of the call, who leave that list only; None without a list."""
        if self._readings().unknown_opt_out != "profile" and owner(self._profiles, asked.identifiers, asked.id) is None:
            return
        self._write(asked, now)
        for channel in asked.channels:
            number = reached(self._profiles, asked, channel)
            if number is None:
                continue
            if asked.list_id is not None and members is not None and number in members and channel == "email_marketing":
                self._consents.leave(number, asked.list_id, now)
            else:
                self._consents.unsubscribe(number, channel, now, asked.how, phone_number=_phone(asked, channel))

    def _write(self, asked: Asked, now: float) -> None:
        """Makes the profile, or gives it the identifiers it lacks. Identifiers of two profiles are treated as the readings say."""
        number = owner(self._profiles, asked.identifiers, asked.id)
        held = {} if number is None else self._profiles.attributes(number)
        merges = self._readings().consent_conflict == "merged"
        owners = {self._profiles.find(name, value) for name, value in asked.identifiers.items()}
        if any(name not in held for name in asked.identifiers) or (merges and owners - {None, number}):
            try:
                self._profiles.upsert(asked.id, asked.identifiers, now, None if merges else "refused")
            except TakenError:
                return


def _is(asked: Asked, person: str) -> bool:
    return any(value.lower() == person.lower() for value in asked.identifiers.values())


def _phone(asked: Asked, channel: Channel) -> str | None:
    return asked.identifiers.get("phone_number") if CHANNEL_IDENTIFIER[channel] == "phone_number" else None
