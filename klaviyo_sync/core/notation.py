"""How durations, zones, starts and columns are written in YAML, and how JSON Schema says so."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from klaviyo_sync.core.attributes import ATTRIBUTES, STRONG_IDENTIFIERS
from klaviyo_sync.core.frequencies import FREQUENCIES, check_frequency
from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.reserved import reserved_name

DURATION = re.compile(r"(\d{1,9})\s*(s|m|h|d|w)", re.ASCII)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=3660)
START = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
OWNER = r"^(team:.+|[^@\s]+@[^@\s]+\.[^@\s]+)$"
TAG_NAME = r"^([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}$"
TAG_VALUE = r"^[A-Za-z0-9_.-]{0,63}$"
FIRST_YEAR, LAST_YEAR = 1971, 2199


def parse_duration(value: object) -> timedelta:
    """The duration written as `30s`, `15m`, `2h`, `7d`, `4w` or `0`."""
    if isinstance(value, timedelta) and timedelta(0) <= value <= LONGEST:
        return value
    if value in (0, "0") and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, str) and (found := DURATION.fullmatch(value.strip())):
        duration = timedelta(**{UNITS[found[2]]: int(found[1])})
        if duration <= LONGEST:
            return duration
    raise ValueError("expected a duration such as 30s, 15m, 2h, 7d or 4w, of at most ten years")


@cache
def timezones() -> frozenset[str]:
    """The IANA time zones; asked for once, since the answer is read from hundreds of files."""
    return frozenset(available_timezones())


def check_timezone(value: object) -> str:
    """The name itself when it is an IANA time zone."""
    if isinstance(value, str) and value in timezones():
        return value
    raise ValueError(f"expected an IANA time zone such as Europe/Berlin or UTC{did_you_mean(value, timezones())}")


def plain_word(value: object) -> object:
    """The word as a cell spells it: YAML reads `true` and `1` as a boolean and a number."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value.strip() if isinstance(value, str) else value


def parse_start(value: object) -> datetime:
    """The start of the first window: without a zone, wall time in the time zone of the sync's windows."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - wall time, in the sync's zone
    if isinstance(value, str) and START.fullmatch(value.strip()):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            value = None
    if isinstance(value, datetime) and FIRST_YEAR <= value.year <= LAST_YEAR:
        return value
    raise ValueError(
        f"expected a date such as 2026-01-31, or a time such as 2026-01-31T06:00 or 2026-01-31T06:00+01:00, "
        f"between {FIRST_YEAR} and {LAST_YEAR}"
    )


def check_attribute(value: object) -> str:
    """The path itself when Klaviyo's profiles have such an attribute."""
    if isinstance(value, str) and value in ATTRIBUTES:
        return value
    raise ValueError(f"expected an attribute of a Klaviyo profile{did_you_mean(value, ATTRIBUTES)}")


def check_match(value: object) -> str:
    """The identifier itself when rows may be matched by it."""
    if isinstance(value, str) and value in STRONG_IDENTIFIERS:
        return value
    names = ", ".join(STRONG_IDENTIFIERS)
    if value == "phone_number":
        raise ValueError(f"expected {names}: people who share a phone number are not one profile")
    raise ValueError(f"expected {names}{did_you_mean(value, STRONG_IDENTIFIERS)}")


def check_property(value: object) -> str:
    """The name itself when it can be the name of a custom property."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected the name of a custom property")
    if (instead := reserved_name(value)) is not None:
        raise ValueError(instead)
    return value


class Shorthand:
    """Annotation: a plain text is read as `{key: text}`, here and in the JSON Schema."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The model's schema, after the text was wrapped."""
        return core_schema.no_info_before_validator_function(
            lambda value: {self.key: value} if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A text, or the model."""
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\s*\d{1,9}\s*[smhdw]\s*$"}, {"enum": [0, "0"]}]}),
]
Timezone = Annotated[str, BeforeValidator(check_timezone)]
Start = Annotated[datetime, BeforeValidator(parse_start), WithJsonSchema({"type": "string", "pattern": rf"^\s*{START.pattern}\s*$"})]
Rate = Annotated[
    str,
    BeforeValidator(check_frequency),
    WithJsonSchema({"anyOf": [{"enum": list(FREQUENCIES)}, {"type": "string", "pattern": r"^\s*(\S+\s+){4}\S+\s*$"}]}),
]
Column = Annotated[str, Field(min_length=1)]
Word = Annotated[
    str,
    BeforeValidator(plain_word),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "boolean"}, {"type": "integer"}]}),
]
AttributePath = Annotated[str, BeforeValidator(check_attribute)]
MatchIdentifier = Annotated[str, BeforeValidator(check_match), WithJsonSchema({"enum": list(STRONG_IDENTIFIERS)})]
PropertyName = Annotated[str, BeforeValidator(check_property)]
Owner = Annotated[str, Field(pattern=OWNER)]
TagName = Annotated[str, Field(pattern=TAG_NAME)]
TagValue = Annotated[str, Field(pattern=TAG_VALUE)]
