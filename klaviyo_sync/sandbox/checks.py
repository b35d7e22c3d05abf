"""The checks that a profile must pass before anything is imported.

Rules: https://developers.klaviyo.com/en/reference/profiles_api_overview and the profile schema of
https://developers.klaviyo.com/en/reference/bulk_import_profiles. What is our reading of them is listed in docs/sandbox.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

import phonenumbers

from klaviyo_sync.sandbox.answers import problem
from klaviyo_sync.sandbox.nesting import value_problems

TEXTS = frozenset(
    ("email", "phone_number", "external_id", "_kx", "first_name", "last_name", "organization", "locale", "title", "image"),
)
PLACES = frozenset(("address1", "address2", "city", "country", "region", "zip", "timezone", "ip"))
DEGREES = frozenset(("latitude", "longitude"))
NESTED = frozenset(("location", "properties"))

_ATTRIBUTES = TEXTS | NESTED
_LOCATION = PLACES | DEGREES
_PROFILE = frozenset(("type", "id", "attributes", "meta"))
_META = frozenset(("patch_properties", "patch_identifiers"))
_PATCH = frozenset(("append", "unappend", "unset"))
_LOCATION_TYPES = frozenset((str, int, float, NoneType))

MAX_EMAIL = 100
MAX_PROFILE_BYTES = 100_000
_ATOM = r"[A-Za-z0-9!#$%&'*+\-=?^_`{|}~]+"
_LABEL = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?=[A-Za-z][A-Za-z0-9-]){_LABEL}")
_CALLING_CODES = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")

_is_email = _EMAIL.fullmatch
_is_phone = _PHONE.fullmatch


def long_integer(at: str) -> dict[str, Any]:
    """The error for an integer beyond 64 bits."""
    return problem("invalid", "Integers must fit in 64 bits.", at)


def email_in_order(value: object) -> bool:
    """Whether the value is an e-mail address that Klaviyo takes: ordinary syntax, at most 100 characters."""
    return isinstance(value, str) and len(value) <= MAX_EMAIL and _is_email(value) is not None


def phone_in_order(value: object) -> bool:
    """Whether the value is written in E.164 with a country code that exists."""
    return (
        isinstance(value, str)
        and _is_phone(value) is not None
        and (value[1] in _CALLING_CODES or value[1:3] in _CALLING_CODES or value[1:4] in _CALLING_CODES)
    )


def problems(profile: Any, at: str, *, sms: bool, needs_identifier: bool = True) -> list[dict[str, Any]]:
    """The errors of one profile, which stands at the JSON pointer `at`. Empty when it is in order.

    `sms`: whether the account may text, without which a phone number alone identifies nobody.
    `needs_identifier`: whether the profile must say who it is; an update of a known one need not.
    """
    if not isinstance(profile, dict):
        return [problem("invalid", "A profile must be an object.", at)]
    found = list(_envelope(profile, at))
    attributes = profile.get("attributes")
    if not isinstance(attributes, dict):
        return [*found, problem("invalid", "'attributes' is a required field for the resource 'profile'.", f"{at}/attributes")]
    found += _attributes(attributes, f"{at}/attributes")
    if found:
        return found
    return list(_identifiers(profile.get("id") or not needs_identifier, attributes, at, sms=sms))


def _envelope(profile: Mapping[str, Any], at: str) -> Iterator[dict[str, Any]]:
    if profile.get("type") != "profile":
        yield problem("invalid", "The resource type must be 'profile'.", f"{at}/type")
    if not isinstance(profile.get("id"), (str, NoneType)):
        yield problem("invalid", "The profile id must be a string.", f"{at}/id")
    for name in profile.keys() - _PROFILE:
        yield problem("invalid", f"'{name}' is not a valid field for the resource 'profile'.", f"{at}/{name}")
    yield from _meta(profile.get("meta"), f"{at}/meta")


def _meta(meta: Any, at: str) -> Iterator[dict[str, Any]]:
    if not isinstance(meta, (dict, NoneType)) or (meta and not meta.keys() <= _META):
        yield problem("invalid", "'meta' may hold patch_properties and patch_identifiers.", at)
        return
    patch = (meta or {}).get("patch_properties")
    if not isinstance(patch, (dict, NoneType)) or (patch and not patch.keys() <= _PATCH):
        yield problem("invalid", "'patch_properties' may hold append, unappend and unset.", f"{at}/patch_properties")
        return
    for name, value in (patch or {}).items():
        names = value if isinstance(value, list) else [value]
        fits = value is None or (all(isinstance(one, str) for one in names) if name == "unset" else isinstance(value, dict))
        if not fits:
            yield problem("invalid", f"Invalid value for '{name}'.", f"{at}/patch_properties/{name}")


def _attributes(attributes: Mapping[str, Any], at: str) -> Iterator[dict[str, Any]]:
    for name, value in attributes.items():
        if name not in _ATTRIBUTES:
            yield problem("invalid", f"'{name}' is not a valid field for the resource 'profile'.", f"{at}/{name}")
        elif name in TEXTS and not isinstance(value, (str, NoneType)):
            yield problem("invalid", f"Invalid value for '{name}': a string is expected.", f"{at}/{name}")
        elif name == "location":
            yield from _location(value, f"{at}/location")
        elif name == "properties" and not isinstance(value, (dict, NoneType)):
            yield problem("invalid", "Invalid value for 'properties': an object is expected.", f"{at}/properties")
        elif name == "properties" and isinstance(value, dict):
            for key, item in value.items():
                yield from value_problems(item, f"{at}/properties/{key}")
        else:
            yield from value_problems(value, f"{at}/{name}")


def _location(location: Any, at: str) -> Iterator[dict[str, Any]]:
    if not isinstance(location, dict):
        yield problem("invalid", "Invalid value for 'location': an object is expected.", at)
        return
    for name, value in location.items():
        if name not in _LOCATION:
            yield problem("invalid", f"'{name}' is not a valid field of a location.", f"{at}/{name}")
        elif name in PLACES and not isinstance(value, (str, NoneType)):
            yield problem("invalid", f"Invalid value for '{name}': a string is expected.", f"{at}/{name}")
        elif name in DEGREES and type(value) not in _LOCATION_TYPES:
            yield problem("invalid", f"Invalid value for '{name}': a string or a number is expected.", f"{at}/{name}")
        else:
            yield from value_problems(value, f"{at}/{name}")


def _identifiers(known: object, attributes: Mapping[str, Any], at: str, *, sms: bool) -> Iterator[dict[str, Any]]:
    email = attributes.get("email")
    phone = attributes.get("phone_number")
    if email is not None and not email_in_order(email):
        yield problem("invalid", "Invalid email address", f"{at}/attributes/email")
    elif phone is not None and not phone_in_order(phone) and not email:
        detail = "Invalid phone number format (Example of a valid format: +12345678901)"
        yield problem("invalid", detail, f"{at}/attributes/phone_number")
    elif not (known or email or phone or attributes.get("external_id")):
        yield problem("invalid", "One of id, email, phone_number or external_id is required.", f"{at}/attributes")
    elif phone and not sms and not (known or email or attributes.get("external_id")):
        detail = "SMS configuration is required for profiles identified by a phone number only."
        yield problem("invalid", detail, f"{at}/attributes/phone_number")
