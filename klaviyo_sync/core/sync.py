"""The models of one sync: what `syncs/<name>.yaml` says, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from klaviyo_sync.core.attributes import ATTRIBUTES, IDENTIFIERS, PHONE_PROPERTY, STRONG_IDENTIFIERS
from klaviyo_sync.core.consent_words import Meaning, faults_of_words, own_word
from klaviyo_sync.core.faults import Fault, Model, key_of
from klaviyo_sync.core.frequencies import check_frequency, frequency, survives_clock_changes, three_windows
from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.notation import (
    LONGEST,
    AttributePath,
    Column,
    Duration,
    MatchIdentifier,
    Owner,
    PropertyName,
    Rate,
    Shorthand,
    Start,
    TagName,
    TagValue,
    Timezone,
    Word,
    plain_word,
)
from klaviyo_sync.core.tolerance import StopAbove, Tolerance

OnNull = Literal["keep", "clear"]
SharedPhone = Literal["ask", "newest", "property"]
PropertyType = Literal["text", "number", "boolean", "date", "datetime", "list", "json"]
Channel = Literal["email_marketing", "sms_marketing", "sms_transactional", "whatsapp_marketing", "whatsapp_transactional"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

SHORTEST_CATCH_UP = timedelta(days=7)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def without_default(schema: dict[str, Any]) -> None:
    """Takes the default out of a JSON schema: it depends on other keys."""
    schema.pop("default", None)


def channel_identifier(channel: str) -> str:
    """The attribute that a channel's consent needs beside it."""
    return "email" if channel.startswith("email") else "phone_number"


class ModifiedAt(Model):
    """The column that says when a row last changed, and the zone of its values where the column itself has none."""

    column: Column = Field(description="Column with the time of a row's last change; it must move whenever the row changes.")
    timezone: Timezone = Field(
        default="UTC",
        description="IANA time zone of the column's values where they have none, and of the sync's windows.",
        examples=["UTC", "Europe/Berlin"],
    )


class AttributeField(Model):
    """One attribute's column. `country`, `default_country` and `shared` are for phone numbers only."""

    column: Column = Field(description="Column that fills the attribute.")
    country: Column | None = Field(
        default=None, description="Column with the ISO code of the number's country, or its name in any language."
    )
    default_country: str | None = Field(
        default=None, description="ISO code of the country of numbers whose country is blank.", pattern=r"^[A-Z]{2}$"
    )
    on_null: OnNull | None = Field(default=None, description="Overrides the sync's on_null for this attribute; identifiers keep.")
    shared: SharedPhone = Field(
        default="ask",
        description="A phone number beside a stronger identifier goes out only if no other profile has it: ask Klaviyo as well, look at "
        "the newest rows only, or send every such number as a custom property.",
    )


class PropertyField(Model):
    """One custom property's column; without `type` the column's own type is kept."""

    column: Column = Field(description="Column that fills the property.")
    type: PropertyType | None = Field(default=None, description="Type of the property in Klaviyo; the column's own when not given.")
    separator: str | None = Field(default=None, description="For lists in text cells: what stands between the items.", min_length=1)
    on_null: OnNull | None = Field(default=None, description="Overrides the sync's on_null for this property.")

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """A separator where there is no list."""
        if raw.get("separator") is not None and raw.get("type") != "list":
            yield Fault(("separator",), "a separator is for properties of type list: add type: list, or take the separator out")


class ConsentDate(Model):
    """One channel's column of dates, and the zone of those that have none."""

    column: Column = Field(description="Column with the time of the statement.")
    timezone: Timezone | None = Field(
        default=None,
        description="IANA time zone of the column's values where they have none; that of modified_at when not given.",
        examples=["Europe/Berlin"],
    )


class ConsentWords(Model):
    """A sync's own words for consent, exact but for case and outer white space."""

    subscribe: tuple[Word, ...] = Field(default=(), description="Words that subscribe.", examples=[["yes"]])
    unsubscribe: tuple[Word, ...] = Field(default=(), description="Words that unsubscribe.", examples=[["no"]])
    nothing: tuple[Word, ...] = Field(default=(), description="Words that state nothing.", examples=[["unknown"]])

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """A word of Klaviyo's with another meaning, a word with two meanings."""
        lists = {meaning: listed for meaning in get_args(Meaning) if isinstance(listed := raw.get(meaning), list | tuple)}
        spelled = {meaning: tuple(plain_word(word) for word in listed) for meaning, listed in lists.items()}
        for meaning, message in faults_of_words(spelled):
            yield Fault((meaning,), message)

    def by_word(self) -> dict[str, Meaning]:
        """The meaning of each word, as it is compared."""
        meanings: tuple[Meaning, ...] = get_args(Meaning)
        return {own_word(word): meaning for meaning in meanings for word in getattr(self, meaning)}


class ConsentField(Model):
    """One channel's columns. A timestamp alone means subscribe, as in Klaviyo's file uploads."""

    column: Column | None = Field(default=None, description="Column that says Subscribe, Unsubscribed or Never Subscribed.")
    timestamp: Annotated[ConsentDate, Shorthand("column")] | None = Field(
        default=None, description="Column with the time of the statement, or a column and a timezone."
    )
    words: ConsentWords | None = Field(default=None, description="Further words of the column and what they mean.")
    unknown: Literal["send", "hold"] = Field(
        default="send",
        description="A row with any other word: send it without consent, or hold it back (who never subscribed can be mailed).",
    )

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """No column at all; words, or a rule for them, without a column of words."""
        if raw.get("column") is None and raw.get("timestamp") is None:
            yield Fault((), "expected a column, a timestamp or both")
        for key in ("words", "unknown"):
            if raw.get(key) is not None and raw.get("column") is None:
                yield Fault((key,), f"{key} is for a column of words: add column, or take {key} out")

    @property
    def date_column(self) -> str | None:
        """The column with the time of the statement."""
        return self.timestamp.column if self.timestamp else None


ConsentColumns = Annotated[ConsentField, Shorthand("column")]


class Consent(Model):
    """Which columns hold consent, and what to do with subscribes that have no date."""

    email_marketing: ConsentColumns | None = Field(default=None, description="E-mail marketing; needs the attribute email.")
    sms_marketing: ConsentColumns | None = Field(default=None, description="SMS marketing; needs the attribute phone_number.")
    sms_transactional: ConsentColumns | None = Field(default=None, description="Transactional SMS; needs the attribute phone_number.")
    whatsapp_marketing: ConsentColumns | None = Field(default=None, description="WhatsApp marketing; needs the attribute phone_number.")
    whatsapp_transactional: ConsentColumns | None = Field(
        default=None, description="Transactional WhatsApp; needs the attribute phone_number."
    )
    age_gated_date_of_birth: Column | None = Field(
        default=None, description="Column with the date of birth, for accounts with SMS age gating."
    )
    undated: Literal["guard", "ignore", "resubscribe"] = Field(
        default="guard",
        description="A subscribe without a date: guard never brings back who opted out, ignore sends none, resubscribe sends all.",
    )
    list_id: str | None = Field(
        default=None, alias="list", description="Klaviyo list that subscribers join.", examples=["Y6nRLr"], min_length=1
    )
    source: str | None = Field(default=None, description="Stored by Klaviyo beside the consent.", min_length=1)

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """No channel at all."""
        if all(raw.get(channel) is None for channel in CHANNELS):
            yield Fault((), f"expected at least one channel: {', '.join(CHANNELS)}")
        for channel in CHANNELS:
            if raw.get("undated") == "resubscribe" and key_of(raw.get(channel), "words") is not None:
                message = (
                    "words of your own and undated: resubscribe together could bring back everybody who opted out: use guard or ignore"
                )
                yield Fault((channel, "words"), message)

    def channels(self) -> dict[Channel, ConsentField]:
        """The configured channels, in the catalogue's order."""
        return {channel: field for channel in CHANNELS if (field := getattr(self, channel)) is not None}


class Sync(Model):
    """One configured import: connection + dataset + mapping + consent + frequency. Its file name is its name."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    connection: str = Field(description="Name of a connection in klaviyo_sync.yaml.")
    dataset: str | None = Field(
        default=None,
        description="Table or view, as schema.table in the warehouse's own spelling.",
        examples=["analytics.loyalty_members"],
        min_length=1,
    )
    query: str | None = Field(default=None, description="A SELECT, instead of a dataset.", min_length=1)
    modified_at: Annotated[ModifiedAt, Shorthand("column")] = Field(
        description="When a row last changed: a column, or a column and a timezone."
    )
    frequency: Rate = Field(
        description="every_15_minutes, hourly, daily, weekly, monthly, or a cron string with five fields.", examples=["hourly"]
    )
    start: Start = Field(description="The first window starts at the first tick of the frequency from here on.", examples=["2026-01-01"])
    settle: Duration = Field(
        default=timedelta(minutes=5),
        json_schema_extra={"default": "5m"},
        description="How long after a window closes its run starts.",
        examples=["5m"],
    )
    overlap: Duration = Field(
        default=timedelta(0),
        json_schema_extra={"default": "0m"},
        description="How far back before the window each run reads again.",
        examples=["30m"],
    )
    catch_up: Duration = Field(
        default=SHORTEST_CATCH_UP,
        json_schema_extra=without_default,
        description="How far back a schedule looks for windows that are not done; 7d, or three windows where they take longer.",
        examples=["7d"],
    )
    placeholders: tuple[str, ...] = Field(default=(), description="Values that stand for nobody, out of klaviyo_sync.yaml.")
    profile: dict[AttributePath, Annotated[AttributeField, Shorthand("column")]] = Field(
        min_length=1, description="Klaviyo attribute: column. At least one identifier: email, phone_number, external_id or id."
    )
    match_on: tuple[MatchIdentifier, ...] | None = Field(
        default=None,
        min_length=1,
        description="Identifiers by which two rows are about the same profile: id, external_id and email, as mapped, when not given.",
        examples=[["external_id"]],
    )
    properties: dict[PropertyName, Annotated[PropertyField, Shorthand("column")]] = Field(
        default_factory=dict, description="Custom property: column."
    )
    consent: Consent | None = Field(default=None, description="Channel: columns with consent and its time.")
    list_id: str | None = Field(
        default=None, alias="list", description="Klaviyo list that imported profiles join.", examples=["Y6nRLr"], min_length=1
    )
    on_null: OnNull = Field(
        default="keep", description="What a NULL does to the value in Klaviyo: keep it, or clear it (never an identifier)."
    )
    tolerance: Tolerance = Field(default_factory=Tolerance, description="How many rows may stay behind before the window's check fails.")
    stop_above: StopAbove = Field(default_factory=StopAbove, description="How much a window may change before it stops itself.")
    history: Literal["include", "skip"] = Field(
        default="include", description="Whether rows older than the first window go with the first window."
    )
    upstream: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        default=None,
        description="Asset key of the dataset, to join existing lineage.",
        examples=[["analytics", "loyalty_members"]],
        min_length=1,
    )
    owners: tuple[Owner, ...] = Field(default=(), description="E-mail addresses, or teams as team:name.", examples=[["team:crm"]])
    group: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]+$", description="Dagster's asset group.")
    tags: dict[TagName, TagValue] = Field(default_factory=dict, description="Dagster's asset tags.")
    description: str | None = Field(default=None, description="Shown on the asset.")

    @model_validator(mode="before")
    @classmethod
    def catch_up_of_the_frequency(cls, raw: Any) -> Any:
        """What the model is made from, with the default of `catch_up`, which depends on the frequency."""
        if not isinstance(raw, Mapping) or "catch_up" in raw:
            return raw
        try:
            longer = max(SHORTEST_CATCH_UP, three_windows(check_frequency(raw.get("frequency"))))
            return {**raw, "catch_up": min(longer, LONGEST)}
        except ValueError:
            return raw  # the frequency's own validator says what is wrong with it

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """No dataset or two, nobody identified, countries where no phone is, consent without its identifier."""
        if (raw.get("dataset") is None) == (raw.get("query") is None):
            yield Fault(("query",) if raw.get("query") is not None else (), "expected a dataset or a query, and not both")
        profile = raw.get("profile")
        if isinstance(profile, Mapping):
            yield from profile_faults(profile, raw.get("consent"))
            yield from matching_faults(raw.get("match_on"), profile)
            yield from phone_property_faults(profile, raw.get("properties"))
        zone, rate = key_of(raw.get("modified_at"), "timezone"), raw.get("frequency")
        if isinstance(zone, str) and isinstance(rate, str) and not survives_clock_changes(rate, zone):
            yield Fault(
                ("frequency",), f"clocks in {zone} move by half an hour, which {rate} windows cannot follow: use every_15_minutes or daily"
            )

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The identifiers that this sync maps, in the catalogue's order."""
        return tuple(path for path in IDENTIFIERS if path in self.profile)

    @property
    def asks_about_phones(self) -> bool:
        """Whether Klaviyo is asked who has a phone number before the number goes out beside a stronger identifier."""
        phone = self.profile.get("phone_number")
        return phone is not None and phone.shared == "ask" and len(self.identifiers) > 1

    @property
    def matching(self) -> tuple[str, ...]:
        """The identifiers by which two rows are about the same profile, strongest first; none when only the phone number is mapped."""
        chosen = STRONG_IDENTIFIERS if self.match_on is None else self.match_on
        return tuple(path for path in STRONG_IDENTIFIERS if path in chosen and path in self.profile)

    @property
    def list_ids(self) -> tuple[str, ...]:
        """The Klaviyo lists that this sync adds people to."""
        named = (self.list_id, self.consent.list_id if self.consent else None)
        return tuple(dict.fromkeys(list_id for list_id in named if list_id is not None))

    def list_key(self, list_id: str) -> tuple[str, ...]:
        """The path of the key that names this list."""
        return ("list",) if list_id == self.list_id else ("consent", "list")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the windows, and of `modified_at` where the column has none."""
        return ZoneInfo(self.modified_at.timezone)

    def consent_zone(self, field: ConsentField) -> tuple[ZoneInfo, bool]:
        """The zone of a channel's dates that have none, and whether the configuration names one, there or under modified_at."""
        if field.timestamp is not None and field.timestamp.timezone is not None:
            return ZoneInfo(field.timestamp.timezone), True
        return self.zone, "timezone" in self.modified_at.model_fields_set

    @property
    def starts_at(self) -> datetime:
        """`start` in the time zone of the windows; the first window starts at the first tick from there on."""
        return self.start.replace(tzinfo=self.zone) if self.start.tzinfo is None else self.start.astimezone(self.zone)

    @property
    def cron(self) -> str:
        """The cron expression for the ends of the windows."""
        return frequency(self.frequency).cron

    def columns(self) -> tuple[str, ...]:
        """Every column that the sync reads, once each, in the order of the file; `modified_at` last."""
        return tuple(self.column_keys())

    def column_keys(self) -> dict[str, tuple[str, ...]]:
        """The path of the first key that names each column, in the order of the file; `modified_at` last."""
        keys: dict[tuple[str, ...], str | None] = {}
        for path, attribute in self.profile.items():
            keys |= {("profile", path, "column"): attribute.column, ("profile", path, "country"): attribute.country}
        for name, entry in self.properties.items():
            keys["properties", name, "column"] = entry.column
        for channel, stated in (self.consent.channels() if self.consent else {}).items():
            keys |= {("consent", channel, "column"): stated.column, ("consent", channel, "timestamp"): stated.date_column}
        keys["consent", "age_gated_date_of_birth"] = self.consent.age_gated_date_of_birth if self.consent else None
        keys["modified_at", "column"] = self.modified_at.column
        first: dict[str, tuple[str, ...]] = {}
        for key, column in keys.items():
            if column is not None:
                first.setdefault(column, key)
        return first


def profile_faults(profile: Mapping[str, Any], consent: object) -> Iterator[Fault]:
    """What is wrong between the attributes of a sync, and between them and its consent."""
    if not any(path in profile for path in IDENTIFIERS):
        yield Fault(("profile",), f"expected at least one identifier: {', '.join(IDENTIFIERS)}")
    for path, field in profile.items():
        if path in ATTRIBUTES and ATTRIBUTES[path].kind != "phone":
            given = [key for key in ("country", "default_country") if key_of(field, key) is not None]
            for key in (*given, *(("shared",) if isinstance(field, Mapping) and "shared" in field else ())):
                yield Fault(("profile", path, key), f"{key} is for phone numbers, not for {path}: take it out")
        if path in IDENTIFIERS and key_of(field, "on_null") == "clear":
            yield Fault(("profile", path, "on_null"), f"an identifier is never cleared, and {path} is one: take on_null out")
    for channel in CHANNELS:
        needed = channel_identifier(channel)
        if key_of(consent, channel) is not None and needed not in profile:
            yield Fault(("consent", channel), f"consent for {channel} needs the attribute {needed} under profile")


def matching_faults(match_on: object, profile: Mapping[str, Any]) -> Iterator[Fault]:
    """Identifiers to match on that are not mapped, or named twice."""
    mapped = [path for path in STRONG_IDENTIFIERS if path in profile]
    names = list(match_on) if isinstance(match_on, list | tuple) else []
    for position, name in enumerate(names):
        if name in STRONG_IDENTIFIERS and name not in profile:
            expected = f"one of those under profile: {', '.join(mapped)}" if mapped else "no match_on, since only phone_number is mapped"
            yield Fault(("match_on", position), f'found "{name}", which is not mapped, expected {expected}{did_you_mean(name, mapped)}')
        elif name in names[:position]:
            yield Fault(("match_on", position), f'found "{name}" a second time: take it out')


def phone_property_faults(profile: Mapping[str, Any], properties: object) -> Iterator[Fault]:
    """A custom property that has the name of the one for phone numbers."""
    if key_of(profile.get("phone_number"), "shared") == "property" and key_of(properties, PHONE_PROPERTY) is not None:
        yield Fault(("properties", PHONE_PROPERTY), "shared: property fills this property with phone_number: choose another name")
