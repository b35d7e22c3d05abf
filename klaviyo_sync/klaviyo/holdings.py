"""Holdings: which of some fields Klaviyo's profiles hold a value in, read a hundred profiles at a time. No value is kept.

https://developers.klaviyo.com/en/reference/get_profiles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from klaviyo_sync.core.attributes import PROPERTY
from klaviyo_sync.klaviyo.answers import Answer, Json, Rejection, attributes, text
from klaviyo_sync.klaviyo.attribution import normal
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import PROFILES
from klaviyo_sync.klaviyo.side_by_side import side_by_side
from klaviyo_sync.klaviyo.statuses import PER_CALL, WAITS, cut, quoted, smaller, unread

# Which identifier finds a profile first: https://help.klaviyo.com/hc/en-us/articles/12902308138011.
RANK = ("id", "external_id", "email", "phone_number")
Key = tuple[str, str]
UNSAID = object()


def shown(profile: Json, path: str) -> object:
    """What the attributes of a profile show at a path: a value, None for an empty field, UNSAID when they do not speak of it.

    Klaviyo names the custom properties that a profile has, and all parts of a place, empty ones as null.
    """
    group, _, name = path.partition(".")
    held = profile.get(group, UNSAID)
    if not name or not isinstance(held, dict):
        return held
    return held.get(name, None if path.startswith(PROPERTY) else UNSAID)


def keys_of(identifiers: Mapping[str, str]) -> list[Key]:
    """All ways to find a profile, the first one first."""
    return [(name, normal(name, identifiers[name])) for name in RANK if name in identifiers]


class Holdings:
    """What was read so far: a bit per field for each key, set unless Klaviyo shows that the field is empty."""

    def __init__(self, klaviyo: Klaviyo, fields: Sequence[str]) -> None:
        self.requests = 0
        self._klaviyo = klaviyo
        self._fields = fields
        self._held: dict[Key, int] = {}

    def of(self, keys: Iterable[Key]) -> int | None:
        """The bits of whoever has one of the keys; None when Klaviyo shows nobody.

        A key that Klaviyo does not look up, or of which it does not show everybody, may hold anything.
        """
        found = [self._held[key] for key in keys if key in self._held]
        return None if not found else _either(found)

    def mask(self, paths: Iterable[str]) -> int:
        """The bits of some fields."""
        return sum(1 << self._fields.index(path) for path in paths)

    def read_all(self, people: Sequence[Mapping[str, str]]) -> None:
        """Reads about everybody, given their identifiers: by the first of each, again while Klaviyo does not show them, then by all.

        E-mail addresses are looked for in small letters, then also as they were imported: whether a search minds the case is not
        documented. Errors as for `Klaviyo.request`.
        """
        missing = {keys_of(one)[0]: one for one in people}
        self._read(missing)
        for wait in WAITS:
            missing = {key: one for key, one in missing.items() if key not in self._held}
            if not missing:
                return
            self._klaviyo.pause(wait)
            self._read([*missing, *((name, one[name]) for (name, _), one in missing.items())])
        unseen = [one for key, one in missing.items() if key not in self._held]
        self._read(key for one in unseen for key in (*keys_of(one), *one.items()))

    def _read(self, keys: Iterable[Key]) -> None:
        wanted: dict[str, set[str]] = {}
        for identifier, value in keys:
            wanted.setdefault(identifier, set()).add(value)
        for identifier, values in wanted.items():
            parts = deque(cut(sorted(value for value in values if (identifier, normal(identifier, value)) not in self._held)))
            for part, answer in side_by_side(partial(self._answer, identifier), parts):
                parts.extend(self._take(identifier, part, answer))

    def _answer(self, identifier: str, values: Sequence[str]) -> Answer | Rejection:
        # Places one by one could be asked for as well, but how they are then shown is not documented.
        groups = ["properties" if path.startswith(PROPERTY) else path.partition(".")[0] for path in self._fields]
        asked = {
            "filter": f"any({identifier},[{','.join(map(quoted, values))}])",
            "fields[profile]": ",".join(dict.fromkeys((*RANK[1:], *groups))),
            "page[size]": str(PER_CALL),
        }
        return self._klaviyo.whole(Request(PROFILES, params=asked))

    def _take(self, identifier: str, part: list[str], answer: Answer | Rejection) -> list[list[str]]:
        """Takes in one answer; what of it is to be asked again in smaller parts."""
        self.requests += answer.attempts
        if unread(answer) and len(part) == 1:
            self._held[identifier, normal(identifier, part[0])] = (1 << len(self._fields)) - 1
        found = () if isinstance(answer, Rejection) else answer.resources
        for profile in found:
            self._add(profile)
        return smaller(part, answer)

    def _add(self, profile: Json) -> None:
        """Takes in a profile. When several share an identifier, each field counts that any of them may hold."""
        own = attributes(profile)
        bits = self.mask(path for path in self._fields if shown(own, path) is not None)
        for identifier in RANK:
            if value := text(profile.get("id") if identifier == "id" else own.get(identifier)):
                key = identifier, normal(identifier, value)
                self._held[key] = self._held.get(key, 0) | bits


def _either(bits: Iterable[int]) -> int:
    found = 0
    for one in bits:
        found |= one
    return found
