"""Present consent: what Klaviyo holds about some people, read a hundred at a time and only of those who are asked for.

https://developers.klaviyo.com/en/reference/get_profiles with `additional-fields[profile]=subscriptions`. What was imported or
changed a moment ago may be shown late (one to three minutes were seen).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from threading import Event
from typing import Literal, get_args
from urllib.parse import quote

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.decisions import Present, Status, Suppression
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.klaviyo.answers import Json, Rejection, attributes, mapping, text
from klaviyo_sync.klaviyo.attribution import normal
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import PROFILES

Identifier = Literal["email", "phone_number"]
People = dict[tuple[Identifier, str], dict[Channel, Present]]

PER_CALL = 100
LONGEST_QUERY = 6_000  # bytes; servers on the way commonly take 8,000 for a whole address
WAITS = (2.0, 4.0, 8.0, 16.0, 30.0)
IDENTIFIERS: tuple[Identifier, ...] = get_args(Identifier)
WORST_FIRST: tuple[Status, ...] = ("UNSUBSCRIBED", "unknown", "NEVER_SUBSCRIBED", "SUBSCRIBED")
STATUSES: dict[str, Status] = {status: status for status in WORST_FIRST}


class WithoutQuery(logging.Filter):
    """Cuts what follows the `?` out of urllib3's debug lines: filters hold e-mail addresses and phone numbers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(part.partition("?")[0] if isinstance(part, str) else part for part in record.args)
        return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(WithoutQuery())


@dataclass
class Statuses:
    """What was read so far: presents by identifier and channel, identifiers that Klaviyo refused to look up, and the requests."""

    people: People = field(default_factory=dict)
    unreadable: set[tuple[Identifier, str]] = field(default_factory=set)
    requests: int = 0

    def read(self, klaviyo: Klaviyo, identifier: Identifier, values: Iterable[str], stop: Event | None = None) -> None:
        """Reads those of the values (as `key_of` gives them) that are not known yet. Errors as for `Klaviyo.request`."""
        parts = cut([value for value in dict.fromkeys(values) if not self.asked(identifier, value)])
        while parts:
            part = parts.pop()
            answer = klaviyo.request(asking(identifier, part), stop)
            self.requests += answer.attempts
            found = () if isinstance(answer, Rejection) else answer.resources
            cut_short = isinstance(answer, Rejection) or (answer.next is not None and len(found) >= PER_CALL and len(part) < PER_CALL)
            if cut_short and len(part) > 1:
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
            elif isinstance(answer, Rejection):
                self.unreadable.add((identifier, part[0]))
            for profile in found:
                self._add(attributes(profile))

    def _add(self, profile: Json) -> None:
        """Takes in a profile. When several share an identifier, whatever speaks against sending counts."""
        for identifier in IDENTIFIERS:
            if value := text(profile.get(identifier)):
                held = self.people.setdefault((identifier, normal(identifier, value)), {})
                for channel in CHANNELS:
                    if CHANNEL_IDENTIFIER[channel] == identifier:
                        here = present(mapping(profile.get("subscriptions")), channel)
                        held[channel] = worse(held[channel], here) if channel in held else here

    def of(self, channel: Channel, value: str) -> Present | None:
        """What Klaviyo holds for a channel of the person with this identifier; None when no profile has it (or it was not read)."""
        key = key_of(channel, value)
        return Present() if key in self.unreadable else self.people.get(key, {}).get(channel)

    def asked(self, identifier: Identifier, value: str) -> bool:
        """Whether Klaviyo has shown somebody with this identifier, or refused to look it up."""
        return (identifier, value) in self.people or (identifier, value) in self.unreadable


def key_of(channel: Channel, value: str) -> tuple[Identifier, str]:
    """How people are found for a channel."""
    identifier: Identifier = "email" if CHANNEL_IDENTIFIER[channel] == "email" else "phone_number"
    return identifier, normal(identifier, value)


def quoted(value: str) -> str:
    """The value as a literal of Klaviyo's filters (https://developers.klaviyo.com/en/docs/filtering_)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def cut(values: Sequence[str]) -> list[list[str]]:
    """The values in parts of at most PER_CALL, and at most LONGEST_QUERY bytes as they stand in an address."""
    parts: list[list[str]] = []
    size = LONGEST_QUERY
    for value in values:
        own = len(quote(f"{quoted(value)},", safe=""))
        if size + own > LONGEST_QUERY or len(parts[-1]) == PER_CALL:
            parts.append([])
            size = 0
        parts[-1].append(value)
        size += own
    return parts


def asking(identifier: Identifier, values: Sequence[str]) -> Request:
    """The request for some people's consent, and for nothing else of them."""
    return Request(
        PROFILES,
        params={
            "filter": f"any({identifier},[{','.join(map(quoted, values))}])",
            "additional-fields[profile]": "subscriptions",
            "fields[profile]": "email,phone_number,subscriptions",
            "page[size]": str(PER_CALL),
        },
    )


def present(subscriptions: Json, channel: Channel) -> Present:
    """What the `subscriptions` of a profile say of a channel. One that it does not name was never subscribed.

    An opt-out counts from the latest date beside it, a subscribe from the date of the consent itself.
    """
    medium, _, purpose = channel.partition("_")
    held = mapping(mapping(subscriptions.get(medium)).get(purpose))
    said = text(held.get("consent")) or "NEVER_SUBSCRIBED"
    status = STATUSES.get(said, "unknown")
    consented, updated = moment(held.get("consent_timestamp")), moment(held.get("last_updated"))
    at = max((date for date in (consented, updated) if date), default=None) if status == "UNSUBSCRIBED" else consented
    listed = held.get("suppression")
    reasons = [mapping(one) for one in listed] if isinstance(listed, list) else []
    return Present(status, at, tuple(Suppression(text(one.get("reason")), moment(one.get("timestamp"))) for one in reasons))


def worse(one: Present, other: Present) -> Present:
    """Of two profiles' presents the one that speaks more against sending, with the suppressions of both."""
    first = min(one, other, key=lambda held: WORST_FIRST.index(held.status))
    return first._replace(suppressions=one.suppressions + other.suppressions)


def moment(value: object) -> datetime | None:
    """A date of Klaviyo's, in UTC; None for none, or one that cannot be read."""
    try:
        found = datetime.fromisoformat(text(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)


def patiently(klaviyo: Klaviyo, statuses: Statuses, wanted: Mapping[Identifier, Iterable[str]], stop: Event | None = None) -> None:
    """Reads again those of some people whom Klaviyo does not show yet although they were just imported."""
    for wait in WAITS:
        missing: dict[Identifier, list[str]] = {
            identifier: [value for value in values if not statuses.asked(identifier, value)] for identifier, values in wanted.items()
        }
        if not any(missing.values()):
            return
        klaviyo.pause(wait, stop)
        for identifier, values in missing.items():
            statuses.read(klaviyo, identifier, values, stop)
