"""Present consent: what Klaviyo holds about some people, read a hundred at a time and only of those who are asked for.

https://developers.klaviyo.com/en/reference/get_profiles with `additional-fields[profile]=subscriptions`. What was imported or
changed a moment ago may be shown late (one to three minutes were seen).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from threading import Event
from typing import Literal, NamedTuple, get_args
from urllib.parse import quote

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.decisions import Present
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.klaviyo.answers import Answer, Json, Rejection, attributes, text
from klaviyo_sync.klaviyo.attribution import normal
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import PROFILES
from klaviyo_sync.klaviyo.presents import present, worse
from klaviyo_sync.klaviyo.side_by_side import side_by_side

Identifier = Literal["email", "phone_number", "external_id"]
Key = tuple[Identifier, str]

PER_CALL = 100
LONGEST_QUERY = 6_000  # bytes; servers on the way commonly take 8,000 for a whole address
WAITS = (2.0, 4.0, 8.0, 16.0, 30.0)
IDENTIFIERS: tuple[Identifier, ...] = get_args(Identifier)


class WithoutQuery(logging.Filter):
    """Cuts what follows the `?` out of urllib3's debug lines: filters hold e-mail addresses and phone numbers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(part.partition("?")[0] if isinstance(part, str) else part for part in record.args)
        return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(WithoutQuery())


class Shown(NamedTuple):
    """A profile as Klaviyo shows it: its id, its identifiers as they are compared, and its consent for some channels."""

    id: str
    identifiers: Mapping[Identifier, str]
    presents: Mapping[Channel, Present]


@dataclass
class Statuses:
    """What was read so far: by key the profiles that have it, each once, with their consent for the `channels`; and the number of requests.

    `unreadable` are keys that Klaviyo would not look up, or did not show everybody with.
    """

    channels: Collection[Channel] = CHANNELS
    people: dict[Key, dict[str, Shown]] = field(default_factory=dict)
    unreadable: set[Key] = field(default_factory=set)
    looked_up: set[Key] = field(default_factory=set)
    requests: int = 0

    def read(self, klaviyo: Klaviyo, keys: Iterable[Key], stop: Event | None = None, *, again: bool = False) -> None:
        """Looks up those of the keys that were not yet, one identifier after the other; with `again` also those without anybody shown.

        Whom another key has shown is looked up all the same: a second profile may have this one as well. E-mail addresses are looked for
        in small letters and as they are given, since Klaviyo does not document whether a search minds the case of letters. Errors as for
        `Klaviyo.request`.
        """
        wanted: dict[Identifier, set[str]] = {identifier: set() for identifier in IDENTIFIERS}
        for identifier, value in keys:
            key = identifier, normal(identifier, value)
            if key not in self.looked_up or (again and not self.asked(key)):
                wanted[identifier].update((value, key[1]))
        for identifier, values in wanted.items():
            self.looked_up.update((identifier, normal(identifier, value)) for value in values)
            parts = deque(cut(sorted(values)))
            for part, answer in side_by_side(partial(answered, klaviyo, identifier, stop), parts):
                parts.extend(self._take(identifier, part, answer))

    def _take(self, identifier: Identifier, part: list[str], answer: Answer | Rejection) -> list[list[str]]:
        """Takes in one answer; what of it is to be asked again in smaller parts."""
        self.requests += answer.attempts
        profiles = () if isinstance(answer, Rejection) else answer.resources
        for profile in profiles:
            self._add(text(profile.get("id")), attributes(profile))
        if unread(answer) and len(part) == 1:
            self.unreadable.add((identifier, normal(identifier, part[0])))
        return smaller(part, answer)

    def _add(self, id_: str, profile: Json) -> None:
        """Takes in a profile."""
        identifiers: dict[Identifier, str] = {
            identifier: normal(identifier, value) for identifier in IDENTIFIERS if (value := text(profile.get(identifier)))
        }
        presents: dict[Channel, Present] = {channel: present(profile.get("subscriptions"), channel) for channel in self.channels}
        shown = Shown(id_, identifiers, presents)
        for key in identifiers.items():
            self.people.setdefault(key, {})[id_] = shown

    def all_of(self, channel: Channel, key: Key) -> list[Present]:
        """What Klaviyo holds for a channel of everybody with this key; nobody's when no profile has it (or it was not read)."""
        if key in self.unreadable:
            return [Present()]
        return [shown.presents[channel] for shown in self.people.get(key, {}).values()]

    def of(self, channel: Channel, key: Key) -> Present | None:
        """The same as one answer: whatever speaks against a subscribe counts. None when no profile has the key (or it was not read)."""
        presents = self.all_of(channel, key)
        return reduce(worse, presents) if presents else None

    def asked(self, key: Key) -> bool:
        """Whether Klaviyo has shown somebody with this key, or would not show everybody with it."""
        return key in self.people or key in self.unreadable


def key_of(channel: Channel, identifiers: Mapping[str, str]) -> Key:
    """How a person is found for a channel."""
    identifier: Identifier = "email" if CHANNEL_IDENTIFIER[channel] == "email" else "phone_number"
    return identifier, normal(identifier, identifiers[identifier])


def as_given(channel: Channel, identifiers: Mapping[str, str]) -> Key:
    """The same with the address as it is given."""
    identifier: Identifier = "email" if CHANNEL_IDENTIFIER[channel] == "email" else "phone_number"
    return identifier, identifiers[identifier]


def keys_of(identifiers: Mapping[str, str]) -> list[Key]:
    """All ways to find a person."""
    return [(identifier, normal(identifier, identifiers[identifier])) for identifier in IDENTIFIERS if identifier in identifiers]


def unread(answer: Answer | Rejection) -> bool:
    """Whether an answer leaves people out who were asked for: it was refused, or had more pages than were followed."""
    return isinstance(answer, Rejection) or answer.next is not None


def smaller(part: list[str], answer: Answer | Rejection) -> list[list[str]]:
    """What is to be asked again: both halves of a part whose answer leaves people out; nothing for a single one."""
    return [part[: len(part) // 2], part[len(part) // 2 :]] if unread(answer) and len(part) > 1 else []


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
    """The request for some people's identifiers and consent, and for nothing else of them."""
    return Request(
        PROFILES,
        params={
            "filter": f"any({identifier},[{','.join(map(quoted, values))}])",
            "additional-fields[profile]": "subscriptions",
            "fields[profile]": ",".join((*IDENTIFIERS, "subscriptions")),
            "page[size]": str(PER_CALL),
        },
    )


def answered(klaviyo: Klaviyo, identifier: Identifier, stop: Event | None, values: Sequence[str]) -> Answer | Rejection:
    """Klaviyo's answer about some people, all of its pages together."""
    return klaviyo.whole(asking(identifier, values), stop)


def patiently(klaviyo: Klaviyo, statuses: Statuses, wanted: Mapping[Key, str], stop: Event | None = None) -> None:
    """Reads again those of some people whom Klaviyo does not show yet although they were just imported.

    `wanted` has their addresses as they were imported.
    """
    for wait in WAITS:
        missing = [key for key in wanted if not statuses.asked(key)]
        if not missing:
            return
        klaviyo.pause(wait, stop)
        statuses.read(klaviyo, ((key[0], wanted[key]) for key in missing), stop, again=True)
