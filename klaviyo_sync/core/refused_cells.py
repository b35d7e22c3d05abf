"""Cells that Klaviyo refused, taken out of a profile's text so that the profile can be sent again without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Raw
from msgspec.json import Decoder, encode

RANK = ("id", "external_id", "email", "phone_number")
"""Klaviyo's rank of identifiers, strongest first: https://help.klaviyo.com/hc/en-us/articles/12902308138011."""

_members = Decoder(dict[str, Raw]).decode


class RefusedCell(NamedTuple):
    """A cell that an error of Klaviyo's names.

    `pointer` is its place inside `attributes` as the error has it, such as `location/city`, or `id`. `unfit` says that the error calls
    the value malformed, or taken by another profile. `detail` is what Klaviyo says, its code first.
    """

    pointer: str
    unfit: bool
    detail: str


class Trimmed(NamedTuple):
    """A profile's text without some cells, and what Klaviyo said of each, by the cell's name, such as `properties.Points`."""

    text: str
    cells: Mapping[str, str]


def trimmed(text: str, cells: Sequence[RefusedCell]) -> Trimmed | None:
    """A profile's text (with its comma) without the cells; None when it may not go out so.

    Every cell must be in the profile. An identifier is taken away only if it is unfit and a stronger one stays: so a profile is never
    left with a phone number alone. What stays is not touched, to the byte.
    """
    profile = _members(text.removesuffix(","))
    attributes = _members(profile["attributes"])
    identifiers = {name for name in RANK if name in (profile if name == "id" else attributes)}
    said: dict[str, str] = {}
    for cell in cells:
        place = _place(cell.pointer, identifiers, attributes)
        if place is None or (place[0] in RANK and not cell.unfit):
            return None
        said.setdefault(".".join(place), cell.detail)
    left = identifiers - said.keys()
    if not said or any(not any(RANK.index(other) < RANK.index(name) for other in left) for name in said.keys() & set(RANK)):
        return None
    kept = _without(attributes, said)
    return Trimmed(f"{encode({**profile, 'attributes': kept}).decode()},", said)


def _place(pointer: str, identifiers: Iterable[str], attributes: Mapping[str, Raw]) -> tuple[str, ...] | None:
    """Where a profile holds what a pointer names: an attribute, or `location` or `properties` and a name inside."""
    name, _, inner = pointer.partition("/")
    if name == "id" and "id" in identifiers:
        return ("id",)
    if name not in attributes:
        return None
    if name not in ("location", "properties") or not inner:
        return (name,)
    # How Klaviyo writes names with slashes is not known. A pointer may also lead further, into a list or an object.
    spellings = {inner, inner.replace("~1", "/").replace("~0", "~")}
    keys = [key for key in _members(attributes[name]) if any(given == key or given.startswith(f"{key}/") for given in spellings)]
    return (name, max(keys, key=len)) if keys else None


def _without(attributes: Mapping[str, Raw], names: Iterable[str]) -> dict[str, Any]:
    """The attributes less some, which are named as in `Trimmed`; an object with nothing left in it goes as well."""
    gone = set(names)
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in gone:
            continue
        inside = {key for key in gone if key.startswith(f"{name}.")} if name in ("location", "properties") else set()
        if not inside:
            kept[name] = value
            continue
        left = {key: item for key, item in _members(value).items() if f"{name}.{key}" not in inside}
        if left:
            kept[name] = left
    return kept
