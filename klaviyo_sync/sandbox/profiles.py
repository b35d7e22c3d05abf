"""Profiles: kept as one JSON text each, found by their identifiers. One of 500 bytes takes about 1 KB, its identifiers included."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import orjson

RANK = ("external_id", "email", "phone_number")
"""Which identifier finds a profile first, after `id`: https://help.klaviyo.com/hc/en-us/articles/12902308138011."""

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
        self._owners: dict[str, dict[str, int]] = {identifier: {} for identifier in RANK}

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
        return self._owners[identifier].get(value.lower() if identifier == "email" else value)

    def upsert(self, id_: str | None, attributes: Mapping[str, Any], at: float, text: bytes | None = None) -> tuple[int, bool]:
        """The number of the profile that was written, and whether it is new.

        The first identifier that is known decides which profile is meant: `id`, then RANK. A null clears.
        `text` is `attributes` encoded, when the caller has it already; it must hold no null then.
        Raises TakenError when another identifier belongs to somebody else, UnknownProfileError for an unknown `id`.
        """
        number = self._meant(id_, attributes)
        if number is None:
            number = len(self._texts)
            self._texts.append(text or bytes(memoryview(orjson.dumps(without_nulls(attributes)))))
            self._created.append(at)
            self._updated.append(at)
            for identifier, value in self._identifiers(attributes):
                self._owners[identifier][value] = number
            return number, True
        if self._texts[number] != text:
            old = self.attributes(number)
            self._write(number, old, merged(old, attributes))
        self._updated[number] = at
        return number, False

    def _meant(self, id_: str | None, attributes: Mapping[str, Any]) -> int | None:
        number = self.number(id_) if id_ else None
        taken: TakenError | None = None
        for identifier, value in self._identifiers(attributes):
            owner = self._owners[identifier].get(value)
            if owner is None or owner == number:
                continue
            if number is None:
                number = owner
            elif taken is None:
                taken = TakenError(identifier, owner)
        if taken is not None:
            raise taken
        return number

    @staticmethod
    def _identifiers(attributes: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The identifiers that are there, in the order of RANK, as they are compared."""
        found = []
        if value := attributes.get("external_id"):
            found.append(("external_id", value))
        if value := attributes.get("email"):
            found.append(("email", value.lower()))
        if value := attributes.get("phone_number"):
            found.append(("phone_number", value))
        return found

    def replace(self, number: int, attributes: dict[str, Any], at: float) -> None:
        """Writes a profile anew, identifiers included."""
        self._write(number, self.attributes(number), attributes)
        self._updated[number] = at

    def _write(self, number: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._texts[number] = bytes(memoryview(orjson.dumps(new)))  # a copy of the right size: orjson's own keeps spare room
        before, after = self._identifiers(old), self._identifiers(new)
        if before != after:
            for identifier, value in before:
                del self._owners[identifier][value]
            for identifier, value in after:
                self._owners[identifier][value] = number
