"""The quick way into an import job: bodies with nothing unusual in them, as nearly all are, in a third of the time.

What is not plain may still be in order: it is read again, by `checks`, which has the last word and names the errors.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder

from klaviyo_sync.sandbox.checks import DEGREES, MAX_PROFILE_BYTES, PLACES, TEXTS, email_in_order, phone_in_order
from klaviyo_sync.sandbox.jobs import AROUND_ATTRIBUTES, Row
from klaviyo_sync.sandbox.long_numbers import may_hold_long_numbers
from klaviyo_sync.sandbox.nesting import may_break_limits

_ESCAPE = b"\\u"
"""What is sent as an escape is kept as what it stands for: that needs another text than the one sent."""

_NULL = Raw(b"null")


class _NotPlainError(Exception):
    """A profile that must be looked at."""


_TEXT: Any = str | UnsetType
_DEGREE: Any = str | float | UnsetType

Location: Any = defstruct(
    "Location",
    [*((name, _TEXT, UNSET) for name in sorted(PLACES)), *((name, _DEGREE, UNSET) for name in sorted(DEGREES))],
    forbid_unknown_fields=True,
    gc=False,
)
"""The shape of `location` without nulls."""

Attributes: Any = defstruct(
    "Attributes",
    [
        *((name, _TEXT, UNSET) for name in sorted(TEXTS)),
        ("location", Location | UnsetType, UNSET),
        ("properties", dict[str, Raw], {}),
    ],
    forbid_unknown_fields=True,
    gc=False,
)
"""The shape of a profile's attributes without nulls."""


class Profile(Struct, forbid_unknown_fields=True, gc=False):
    """A profile, its attributes still unread."""

    type: Literal["profile"]
    attributes: Raw


class Profiles(Struct, gc=False):
    """The relationship that holds the profiles."""

    data: list[Profile]


class JobAttributes(Struct, gc=False):
    """The attributes of a job."""

    profiles: Profiles


class Data(Struct):
    """A job."""

    type: Literal["profile-bulk-import-job"]
    attributes: JobAttributes
    relationships: Any = {}


class Body(Struct):
    """A whole request."""

    data: Data


_body = Decoder(Body).decode
_attributes = Decoder(Attributes).decode


def read_plain(body: bytes) -> tuple[list[Row], Any] | None:
    """The rows of an import job and its relationships as they were sent; None for a body that is not plain all over."""
    if _ESCAPE in body or may_hold_long_numbers(body):
        return None
    try:
        body.decode()  # msgspec passes over texts that nobody asks for
        data = _body(body).data
        return [_row(bytes(profile.attributes)) for profile in data.attributes.profiles.data], data.relationships
    except (DecodeError, RecursionError, UnicodeDecodeError, _NotPlainError):
        return None


def _row(text: bytes) -> Row:
    one = _attributes(text)
    email, phone = one.email or None, one.phone_number or None
    if (
        not (email or phone or one.external_id)
        or not (one.email is UNSET or email_in_order(email))
        or not (one.phone_number is UNSET or phone_in_order(phone))
        or (b"null" in text and _NULL in one.properties.values())
        or len(text) + AROUND_ATTRIBUTES > MAX_PROFILE_BYTES
        or may_break_limits(text)
    ):
        raise _NotPlainError
    return text, (one.external_id or None, email.lower() if email else None, phone), None
