"""Profiles: kept as one JSON text each, found by their identifiers. One of 500 bytes takes about 1 KB, its identifiers included."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import orjson

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
    """Every profile of the account, numbered from 0 in the order of creation."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._created = array("d")
        self._updated = array("d")
        self._owners: tuple[dict[str | None, int], ...] = tuple({} for _ in RANK)

    def __len__(self) -> int:
        return len(self._texts)

    def id(self, number: int) -> str:
        """The Klaviyo id of a profile: a ULID whose random part is its number."""
        return _base32(int(self._created[number] * 1000), 10) + _base32(number, 16)

    def number(self, id_: str) -> int:
        """The number of the profile with this Klaviyo id. Raises UnknownProfileError."""
        number = 0
        for digit in id_[10:] if len(id_) == len("01GDDKASAP8TKDDA2GRZDSVP4H") else "":
            number = number << 5 | max(_DIGITS.find(digit), 0)
        if number >= len(self) or self.id(number) != id_:
            raise UnknownProfileError
        return number

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

    def upsert(self, id_: str | None, attributes: Mapping[str, Any], at: float) -> tuple[int, bool]:
        """The number of the profile that was written, and whether it is new.

        The first identifier that is known decides which profile is meant: `id`, then RANK. A null clears.
        Raises TakenError when another identifier belongs to somebody else, UnknownProfileError for an unknown `id`.
        """
        compared = identifiers(attributes)
        number = self._meant(id_, compared)
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
        number = self._meant(id_, compared)
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
        return number

    def _merge(self, number: int, attributes: Mapping[str, Any], at: float) -> None:
        old = self.attributes(number)
        self._write(number, old, merged(old, attributes))
        self._updated[number] = at

    def _meant(self, id_: str | None, compared: Identifiers) -> int | None:
        number = self.number(id_) if id_ else None
        taken: TakenError | None = None
        for identifier, owners, value in zip(RANK, self._owners, compared, strict=True):
            owner = owners.get(value)
            if owner is None or owner == number:
                continue
            if number is None:
                number = owner
            elif taken is None:
                taken = TakenError(identifier, owner)
        if taken is not None:
            raise taken
        return number

    def replace(self, number: int, attributes: dict[str, Any], at: float) -> None:
        """Writes a profile anew, identifiers included."""
        self._write(number, self.attributes(number), attributes)
        self._updated[number] = at

    def _write(self, number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._texts[number] = bytes(memoryview(orjson.dumps(new)))  # a copy of the right size: orjson's own keeps spare room
        before, after = identifiers(old), identifiers(new)
        if before != after:
            for owners, value in zip(self._owners, before, strict=True):
                if value is not None:
                    del owners[value]
            for owners, value in zip(self._owners, after, strict=True):
                if value is not None:
                    owners[value] = number
