"""The models of one sync: what `syncs/<name>.yaml` says, as frozen values."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from klaviyo_sync.core.attributes import ATTRIBUTES, IDENTIFIERS
from klaviyo_sync.core.windows import check_frequency

OnNull = Literal["keep", "clear"]
PropertyType = Literal["text", "number", "boolean", "date", "datetime", "list", "json"]
Channel = Literal["email_marketing", "sms_marketing", "sms_transactional", "whatsapp_marketing", "whatsapp_transactional"]
CHANNELS: tuple[Channel, ...] = (
    "email_marketing",
    "sms_marketing",
    "sms_transactional",
    "whatsapp_marketing",
    "whatsapp_transactional",
)

DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_duration(value: object) -> object:
    """A timedelta for texts such as `15m`, `2h` or `7d`; anything else comes back as it is, for pydantic to refuse."""
    if isinstance(value, str) and (found := DURATION.fullmatch(value.strip())):
        return timedelta(**{UNITS[found[2]]: int(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError("expected a duration such as 30s, 15m, 2h, 7d or 4w")


def check_timezone(value: object) -> object:
    """The name itself when it is an IANA time zone."""
    if isinstance(value, str) and value in available_timezones():
        return value
    raise ValueError("expected an IANA time zone such as Europe/Berlin or UTC")


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Timezone = Annotated[str, BeforeValidator(check_timezone)]


class Model(BaseModel):
    """Frozen, and deaf to nothing: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def from_shorthand(key: str) -> Any:
    """A validator that reads a plain text as `{key: text}`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class ModifiedAt(Model):
    """The column that says when a row last changed, and the zone of its values where the column itself has none."""

    column: str
    timezone: Timezone = "UTC"


class AttributeField(Model):
    """One attribute's column. `country` and `default_country` are for phone numbers only."""

    column: str
    country: str | None = Field(None, description="Column with the ISO code or name of the number's country.")
    default_country: str | None = Field(None, description="ISO code of the country of numbers that name none.", pattern=r"^[A-Z]{2}$")
    on_null: OnNull | None = Field(None, description="Overrides the sync's on_null for this attribute.")


class PropertyField(Model):
    """One custom property's column; without `type` the column's own type is kept."""

    column: str
    type: PropertyType | None = None
    separator: str | None = Field(None, description="For lists in text cells: what stands between the items.", min_length=1)
    on_null: OnNull | None = Field(None, description="Overrides the sync's on_null for this property.")

    @model_validator(mode="after")
    def separator_is_for_lists(self) -> PropertyField:
        if self.separator is not None and self.type != "list":
            raise ValueError("separator is for properties of type list")
        return self


class ConsentField(Model):
    """One channel's columns. A timestamp alone means subscribe, as in Klaviyo's file uploads."""

    column: str | None = None
    timestamp: str | None = None

    @model_validator(mode="after")
    def names_a_column(self) -> ConsentField:
        if self.column is None and self.timestamp is None:
            raise ValueError("expected a column, a timestamp or both")
        return self


class Consent(Model):
    """Which columns hold consent, and what to do with subscribes that have no date."""

    email_marketing: Annotated[ConsentField, from_shorthand("column")] | None = None
    sms_marketing: Annotated[ConsentField, from_shorthand("column")] | None = None
    sms_transactional: Annotated[ConsentField, from_shorthand("column")] | None = None
    whatsapp_marketing: Annotated[ConsentField, from_shorthand("column")] | None = None
    whatsapp_transactional: Annotated[ConsentField, from_shorthand("column")] | None = None
    age_gated_date_of_birth: str | None = Field(None, description="Column with the date of birth, for accounts with SMS age gating.")
    undated: Literal["guard", "ignore", "resubscribe"] = "guard"
    list_id: str | None = Field(None, alias="list", description="Klaviyo list that subscribers join.")
    source: str | None = Field(None, description="Stored by Klaviyo beside the consent.")

    def channels(self) -> dict[Channel, ConsentField]:
        """The configured channels, in the catalogue's order."""
        return {channel: field for channel in CHANNELS if (field := getattr(self, channel)) is not None}


class Limit(Model):
    """How many rows may be affected: a share of those read (`1%`), or a number of rows (`5`)."""

    share: Decimal | None = None
    rows: int | None = None

    def exceeded_by(self, count: int, read: int) -> bool:
        """Whether `count` rows out of `read` are too many."""
        if self.share is not None:
            return count > self.share * read
        return count > (self.rows or 0)


def parse_limit(value: object) -> object:
    """`{share}` for `1%`, `{rows}` for a whole number."""
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())):
        return {"share": Decimal(found[1]) / 100}
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return {"rows": value}
    if isinstance(value, Limit):
        return value
    raise ValueError("expected a share of the rows such as 1%, or a number of rows such as 0")


class Tolerance(Model):
    """Above these the asset check fails as an error; below, but not zero, it warns."""

    rejected: Annotated[Limit, BeforeValidator(parse_limit)] = Limit(share=Decimal("0.01"))
    failed: Annotated[Limit, BeforeValidator(parse_limit)] = Limit(rows=0)


class Sync(Model):
    """One configured import: connection + dataset + mapping + consent + frequency. Its file name is its name."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    connection: str
    dataset: str | None = Field(None, description="Table or view, as schema.table in the warehouse's own spelling.")
    query: str | None = Field(None, description="A SELECT, instead of a dataset.")
    modified_at: Annotated[ModifiedAt, from_shorthand("column")]
    frequency: Annotated[str, BeforeValidator(check_frequency)] = Field(
        description="every_15_minutes, hourly, daily, weekly, monthly, or a cron string."
    )
    start: datetime | date = Field(description="Start of the first window.")
    settle: Duration = timedelta(minutes=5)
    overlap: Duration = timedelta(0)
    catch_up: Duration = timedelta(days=7)
    profile: dict[str, Annotated[AttributeField, from_shorthand("column")]] = Field(min_length=1)
    properties: dict[str, Annotated[PropertyField, from_shorthand("column")]] = Field(default_factory=dict)
    consent: Consent | None = None
    list_id: str | None = Field(None, alias="list", description="Klaviyo list that imported profiles join.")
    on_null: OnNull = "keep"
    tolerance: Tolerance = Tolerance()
    history: Literal["include", "skip"] = "include"
    upstream: tuple[str, ...] | None = Field(None, description="Asset key of the dataset, to join existing lineage.")
    owners: tuple[str, ...] = ()
    group: str | None = Field(None, pattern=r"^[A-Za-z0-9_]+$")
    tags: dict[str, str] = Field(default_factory=dict)
    description: str | None = None

    @model_validator(mode="after")
    def reads_one_thing(self) -> Sync:
        if (self.dataset is None) == (self.query is None):
            raise ValueError("expected a dataset or a query, and not both")
        return self

    @model_validator(mode="after")
    def identifies_people(self) -> Sync:
        unknown = sorted(set(self.profile) - set(ATTRIBUTES))
        if unknown:
            raise ValueError(f"not attributes of a Klaviyo profile: {', '.join(unknown)}")
        if not self.identifiers:
            raise ValueError(f"profile needs at least one identifier: {', '.join(IDENTIFIERS)}")
        return self

    @model_validator(mode="after")
    def countries_are_for_phones(self) -> Sync:
        for path, field in self.profile.items():
            if ATTRIBUTES[path].kind != "phone" and (field.country or field.default_country):
                raise ValueError(f"country and default_country are for phone numbers, not for {path}")
        return self

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The identifiers that this sync maps, in the catalogue's order."""
        return tuple(path for path in IDENTIFIERS if path in self.profile)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the windows, and of `modified_at` where the column has none."""
        return ZoneInfo(self.modified_at.timezone)

    def columns(self) -> tuple[str, ...]:
        """Every column that the sync reads, once each, in the order of the file; `modified_at` last."""
        consent = self.consent.channels().values() if self.consent else ()
        named = [
            *(name for field in self.profile.values() for name in (field.column, field.country)),
            *(field.column for field in self.properties.values()),
            *(name for field in consent for name in (field.column, field.timestamp)),
            self.consent.age_gated_date_of_birth if self.consent else None,
            self.modified_at.column,
        ]
        return tuple(dict.fromkeys(name for name in named if name is not None))
