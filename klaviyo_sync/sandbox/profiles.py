"""Profiles: kept as one JSON text each, found by their identifiers. One of 500 bytes takes about 1 KB, its identifiers included."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from klaviyo_sync.sandbox.merging import Merging, combined
from klaviyo_sync.sandbox.readings import Conflict, Readings

RANK = ("external_id", "email", "phone_number")
"""Which identifier finds a profile first, after `id`: https://help.klaviyo.com/hc/en-us/articles/12902308138011."""

Identifiers = tuple[str | None, str | None, str | None]

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class TakenError(Exception):
    """An identifier of the profile belongs to another profile already."""

    def __init__(self, identifier: str, owner: int) -> None:
        super().__init__(f"{identifier} belongs to another profile")
        self.identifier = identifier
        self.owner = owner


class UnknownProfileError(Exception):
    """No profile has this Klaviyo id."""


def _base32(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def identifiers(attributes: Mapping[str, Any]) -> Identifiers:
    """The identifiers of a profile, in the order of RANK, as they are compared; None for those that are not there."""
    email = attributes.get("email")
    return attributes.get("external_id") or None, email.lower() if email else None, attributes.get("phone_number") or None


def without_nulls(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes less every null, also those directly inside `location` and `properties`."""
    kept = {}
    for name, value in attributes.items():
        if value is None:
            continue
        nested = name in ("location", "properties") and isinstance(value, dict)
        kept[name] = {inner: item for inner, item in value.items() if item is not None} if nested else value
    return kept


def merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The old attributes with the new ones over them. A null clears; `location` and `properties` merge key by key."""
    result = dict(old)
    for name, value in new.items():
        if name in ("location", "properties") and isinstance(value, dict):
            value = {**result.get(name, {}), **value}  # noqa: PLW2901 - the merged value takes the place of the sent one
            value = {inner: item for inner, item in value.items() if item is not None}  # noqa: PLW2901 - likewise
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def patched(properties: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Custom properties after `meta.patch_properties`: append to lists, unappend from them, unset keys."""
    result = dict(properties)
    for name, value in (patch.get("append") or {}).items():
        held = result.get(name, [])
        result[name] = [*(held if isinstance(held, list) else [held]), *(value if isinstance(value, list) else [value])]
    for name, value in (patch.get("unappend") or {}).items():
        gone = value if isinstance(value, list) else [value]
        if isinstance(result.get(name), list):
            result[name] = [item for item in result[name] if item not in gone]
    unset = patch.get("unset") or []
    for name in [unset] if isinstance(unset, str) else unset:
        result.pop(name, None)
    return result


class Profiles:
    """Every profile of the account, numbered from 0 in the order of creation.

    `readings` gives how identifiers of two profiles are read now; `merging` is told of profiles that become one.
    """

    def __init__(self, merging: Merging, readings: Callable[[], Readings] = Readings) -> None:
        self._merging = merging
        self._readings = readings
        self._absorbed: dict[int, int] = {}
        self._texts: list[bytes] = []
        self._created = array("d")
        self._updated = array("d")
        self._owners: tuple[dict[str | None, int], ...] = tuple({} for _ in RANK)

    def __len__(self) -> int:
        return len(self._texts) - len(self._absorbed)

    def numbers(self) -> Sequence[int]:
        """The numbers of the profiles that are there, in the order of creation."""
        every = range(len(self._texts))
        return [number for number in every if number not in self._absorbed] if self._absorbed else every

    def current(self, number: int) -> int:
        """The number of the profile that this profile is now: its own, or that of the profile into which it was merged."""
        while number in self._absorbed:
            number = self._absorbed[number]
        return number

    def id(self, number: int) -> str:
        """The Klaviyo id of a profile: a ULID whose random part is its number."""
        return _base32(int(self._created[number] * 1000), 10) + _base32(number, 16)

    def number(self, id_: str) -> int:
        """The number of the profile with this Klaviyo id, or of the one into which that was merged. Raises UnknownProfileError."""
        number = 0
        for digit in id_[10:] if len(id_) == len("01GDDKASAP8TKDDA2GRZDSVP4H") else "":
            number = number << 5 | max(_DIGITS.find(digit), 0)
        if number >= len(self._texts) or self.id(number) != id_:
            raise UnknownProfileError
        return self.current(number)

    def attributes(self, number: int) -> dict[str, Any]:
        """What the profile holds, without what is empty."""
        return orjson.loads(self._texts[number])

    def times(self, number: int) -> tuple[float, float]:
        """When the profile was created and last updated, as POSIX times."""
        return self._created[number], self._updated[number]

    def find(self, identifier: str, value: str) -> int | None:
        """The number of the profile that has this identifier."""
        if identifier == "id":
            try:
                return self.number(value)
            except UnknownProfileError:
                return None
        return self._owners[RANK.index(identifier)].get(value.lower() if identifier == "email" else value)

    def upsert(self, id_: str | None, attributes: Mapping[str, Any], at: float, conflict: Conflict | None = None) -> tuple[int, bool]:
        """The number of the profile that was written, and whether it is new.

        The first identifier that is known decides which profile is meant: `id`, then RANK. A null clears. `conflict` says what
        happens when another identifier belongs to somebody else, None that the readings say so. Raises TakenError when that is
        refused, UnknownProfileError for an unknown `id`.
        """
        compared = identifiers(attributes)
        number = self._meant(id_, compared, conflict)
        if number is None:
            return self._add(bytes(memoryview(orjson.dumps(without_nulls(attributes)))), compared, at), True
        self._merge(number, attributes, at)
        return number, False

    def write(self, id_: str | None, text: bytes, compared: Identifiers, at: float) -> int:
        """The number of the profile that was written, as by `upsert`, from its attributes encoded without nulls, and their identifiers."""
        external_ids, emails, phones = self._owners
        external_id, email, phone = compared
        if id_ is None and external_id not in external_ids and email not in emails and phone not in phones:
            return self._add(text, compared, at)  # as nearly always; the long way would end here too
        number = self._meant(id_, compared, None)
        if number is None:
            return self._add(text, compared, at)
        if self._texts[number] != text:
            self._merge(number, orjson.loads(text), at)
        self._updated[number] = at
        return number

    def _add(self, text: bytes, compared: Identifiers, at: float) -> int:
        number = len(self._texts)
        self._texts.append(text)
        self._created.append(at)
        self._updated.append(at)
        for owners, value in zip(self._owners, compared, strict=True):
            if value is not None:
                owners[value] = number
        if compared[-1] in self._merging.parked:
            self._merging.rephoned(number, None, compared[-1])
        return number

    def _merge(self, number: int, attributes: Mapping[str, Any], at: float) -> None:
        old = self.attributes(number)
        self._write(number, old, merged(old, attributes))
        self._updated[number] = at

    def _meant(self, id_: str | None, compared: Identifiers, conflict: Conflict | None) -> int | None:
        number = self.number(id_) if id_ else None
        by_external_id = False
        taken: list[tuple[str, int]] = []
        for identifier, owners, value in zip(RANK, self._owners, compared, strict=True):
            owner = owners.get(value)
            if owner is None or owner == number:
                continue
            if number is None:
                number, by_external_id = owner, identifier == "external_id"
            else:
                taken.append((identifier, owner))
        if number is not None and taken:
            self._resolve(number, taken, conflict, by_external_id=by_external_id)
        return number

    def _resolve(self, number: int, taken: list[tuple[str, int]], conflict: Conflict | None, *, by_external_id: bool) -> None:
        """Makes the identifiers of others the profile's own. Raises TakenError, before anything changes, when one is refused."""
        readings = self._readings()
        chosen: list[tuple[str, int, Conflict]] = []
        for identifier, owner in taken:
            external_ids = {self.attributes(each).get("external_id") for each in (number, owner)} - {None}
            about_external_ids = by_external_id or identifier == "external_id" or len(external_ids) > 1
            how = conflict or (readings.external_id_conflict if about_external_ids else readings.conflict)
            if how == "refused":
                raise TakenError(identifier, owner)
            chosen.append((identifier, owner, how))
        for identifier, owner, how in chosen:
            if how == "merged" and owner not in self._absorbed:
                self._absorb(number, owner)
            elif how == "moved" and owner not in self._absorbed:
                held = self.attributes(owner)
                self._write(owner, held, {name: value for name, value in held.items() if name != identifier})

    def _absorb(self, number: int, other: int) -> None:
        kept, gone = self.attributes(number), self.attributes(other)
        for owners, value in zip(self._owners, identifiers(gone), strict=True):
            if value is not None:
                del owners[value]
        self._absorbed[other] = number
        self._merging.absorb(number, other, kept.get("phone_number"), gone.get("phone_number"))
        self._store(number, kept, combined(kept, gone))

    def replace(self, number: int, attributes: dict[str, Any], at: float) -> None:
        """Writes a profile anew, identifiers included."""
        self._write(number, self.attributes(number), attributes)
        self._updated[number] = at

    def _write(self, number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._store(number, old, new)
        before, after = old.get("phone_number"), new.get("phone_number")
        if before != after:
            self._merging.rephoned(number, before, after)

    def _store(self, number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._texts[number] = bytes(memoryview(orjson.dumps(new)))  # a copy of the right size: orjson's own keeps spare room
        before, after = identifiers(old), identifiers(new)
        if before != after:
            for owners, value in zip(self._owners, before, strict=True):
                if value is not None:
                    del owners[value]
            for owners, value in zip(self._owners, after, strict=True):
                if value is not None:
                    owners[value] = number
