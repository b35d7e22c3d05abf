"""The checks that a subscribe or unsubscribe call must pass before any of it is carried out.

https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles. One person who is not in order refuses the whole call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import phonenumbers

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.sandbox.answers import problem
from klaviyo_sync.sandbox.checks import email_in_order, phone_in_order
from klaviyo_sync.sandbox.consent_jobs import Asked, owner, reached
from klaviyo_sync.sandbox.consents import How, Status
from klaviyo_sync.sandbox.state import Sandbox

PROFILES = "/data/attributes/profiles/data"
Problem = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """What holds for a whole call. `fields` are the attributes that a person may have in it."""

    status: Status
    fields: frozenset[str]
    how: How
    historical: bool = False
    list_id: str | None = None


def named(name: str) -> Channel | None:
    """The channel with this name."""
    return next((channel for channel in CHANNELS if channel == name), None)


def person(sandbox: Sandbox, call: Call, profile: Any, at: str) -> tuple[Asked | None, list[Problem]]:
    """One person of a call, who stands at the JSON pointer `at`, or what is wrong with the person."""
    found = list(_envelope(call, profile, at))
    if found:
        return None, found
    at += "/attributes"
    attributes = {name: value for name, value in profile["attributes"].items() if value is not None}
    channels: dict[Channel, Mapping[str, Any]] = {}
    found = list(_channels(call, attributes["subscriptions"], f"{at}/subscriptions", channels))
    if found:
        return None, found
    identifiers = {name: attributes[name] for name in ("email", "phone_number") if attributes.get(name)}
    found = list(_identifiers(channels, identifiers, at))
    if call.status == "SUBSCRIBED":
        found += _reach(sandbox, channels, attributes, at)
    found += _dates(sandbox, call, channels, at)
    if found:
        return None, found
    if not phone_in_order(identifiers.get("phone_number")):
        identifiers.pop("phone_number", None)
    able: dict[Channel, float | None] = {
        name: _moment(stated.get("consented_at")) for name, stated in channels.items() if _set_up(sandbox, name)
    }
    asked = Asked(profile.get("id"), identifiers, able, call.how, call.list_id)
    unknown = call.status == "UNSUBSCRIBED" and owner(sandbox.profiles, identifiers, asked.id) is None
    if unknown and sandbox.readings.unknown_opt_out == "refused":
        return None, [problem("invalid", "There is no profile with these identifiers.", at)]
    return asked, list(_order(sandbox, asked, at))


def _envelope(call: Call, profile: Any, at: str) -> Iterator[Problem]:
    if not isinstance(profile, dict) or profile.get("type") != "profile":
        yield problem("invalid", "The resource type must be 'profile'.", f"{at}/type")
        return
    attributes = profile.get("attributes")
    if not isinstance(attributes, dict) or not isinstance(attributes.get("subscriptions"), dict):
        yield problem("invalid", "'subscriptions' is a required field for the resource 'profile'.", f"{at}/attributes/subscriptions")
        return
    for name in attributes.keys() - call.fields:
        yield problem("invalid", f"'{name}' is not a valid field for the resource 'profile'.", f"{at}/attributes/{name}")
    if not isinstance(profile.get("id"), (str, type(None))):
        yield problem("invalid", "The profile id must be a string.", f"{at}/id")


def _channels(call: Call, subscriptions: Mapping[str, Any], at: str, into: dict[Channel, Mapping[str, Any]]) -> Iterator[Problem]:
    """Reads the channels; a null is one that is not there."""
    for medium, purposes in subscriptions.items():
        if not isinstance(purposes, (dict, type(None))):
            yield problem("invalid", f"Invalid value for '{medium}': an object is expected.", f"{at}/{medium}")
            continue
        for purpose, stated in (purposes or {}).items():
            place = f"{at}/{medium}/{purpose}"
            channel = named(f"{medium}_{purpose}")
            if channel is None:
                yield problem("invalid", f"'{medium}.{purpose}' is not a channel of the sandbox.", place)
            elif stated is not None and not isinstance(stated, dict):
                yield problem("invalid", f"Invalid value for '{purpose}': an object is expected.", place)
            elif stated is not None and stated.get("consent") != call.status:
                yield problem("invalid", f"'consent' must be {call.status}.", f"{place}/consent")
            elif stated is not None:
                into[channel] = stated
    if not any(any(purposes.values()) if isinstance(purposes, dict) else purposes for purposes in subscriptions.values()):
        yield problem("invalid", "'subscriptions' must name at least one channel.", at)


def _identifiers(channels: Mapping[Channel, Any], identifiers: Mapping[str, Any], at: str) -> Iterator[Problem]:
    email, phone = identifiers.get("email"), identifiers.get("phone_number")
    for identifier in dict.fromkeys(CHANNEL_IDENTIFIER[channel] for channel in channels):
        if identifier not in identifiers:
            medium = next(channel.partition("_")[0] for channel in channels if CHANNEL_IDENTIFIER[channel] == identifier)
            detail = f"'{identifier}' must not be empty when the {medium} channel is included in 'subscriptions'."
            yield problem("invalid", detail, f"{at}/{identifier}")
    if email is not None and not email_in_order(email):
        yield problem("invalid", "Invalid email address", f"{at}/email")
    by_phone = any(CHANNEL_IDENTIFIER[channel] == "phone_number" for channel in channels)
    if phone is not None and not phone_in_order(phone) and (by_phone or not email):
        yield problem("invalid", "Invalid phone number format (Example of a valid format: +12345678901)", f"{at}/phone_number")


def _reach(sandbox: Sandbox, channels: Mapping[Channel, Any], attributes: Mapping[str, Any], at: str) -> Iterator[Problem]:
    """What the account cannot do: text at all, text this number's country, text somebody of unknown age."""
    media = dict.fromkeys(channel.partition("_")[0] for channel in channels)
    phone = attributes.get("phone_number")
    for medium, able, name in (("sms", sandbox.sms, "SMS"), ("whatsapp", sandbox.whatsapp, "WhatsApp")):
        if medium in media and not able and not attributes.get("email"):
            yield problem("invalid", f"{name} configuration is required to subscribe phone number only profiles.", f"{at}/phone_number")
    if "sms" not in media or not sandbox.sms or not phone_in_order(phone):
        return
    if sandbox.sms_regions is not None and _region(str(phone)) not in sandbox.sms_regions:
        yield problem(
            "invalid", "The region of this phone number is not supported by a sending number of the account.", f"{at}/phone_number"
        )
    if sandbox.age_gating and not _is_past_date(attributes.get("age_gated_date_of_birth"), sandbox.now()):
        detail = "A valid 'age_gated_date_of_birth' is required for SMS consent, as the account has age gating."
        yield problem("invalid", detail, f"{at}/age_gated_date_of_birth")


def _set_up(sandbox: Sandbox, channel: Channel) -> bool:
    return {"sms": sandbox.sms, "whatsapp": sandbox.whatsapp}.get(channel.partition("_")[0], True)


def _region(phone: str) -> str | None:
    number = phonenumbers.parse(phone)
    return phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(number.country_code or 0)


def _is_past_date(value: object, now: float) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value) < datetime.fromtimestamp(now, UTC).date()
    except ValueError:
        return False


def _moment(value: object) -> float | None:
    """A date of consent as a POSIX time; one without a zone is in UTC. None when it is no date."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _dates(sandbox: Sandbox, call: Call, channels: Mapping[Channel, Mapping[str, Any]], at: str) -> Iterator[Problem]:
    for channel, stated in channels.items():
        medium, _, purpose = channel.partition("_")
        place = f"{at}/subscriptions/{medium}/{purpose}/consented_at"
        given = stated.get("consented_at")
        moment = _moment(given)
        if call.historical and (moment is None or moment >= sandbox.now()):
            yield problem("invalid", f"historical {medium} subscription does not have a valid consented_at timestamp", place)
        elif not call.historical and given is not None:
            yield problem("invalid", "'consented_at' is only valid when 'historical_import' is true.", place)


def _order(sandbox: Sandbox, asked: Asked, at: str) -> Iterator[Problem]:
    """Dated subscribes that Klaviyo's own record of the person contradicts."""
    for channel, moment in asked.channels.items():
        number = reached(sandbox.profiles, asked, channel)
        objection = sandbox.consents.of(number).objection(channel, moment) if number is not None and moment is not None else None
        if objection:
            medium, _, purpose = channel.partition("_")
            yield problem("invalid", objection, f"{at}/subscriptions/{medium}/{purpose}/consented_at")
