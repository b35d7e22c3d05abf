"""What a profile's consent looks like to somebody who asks for `additional-fields[profile]=subscriptions`."""

from __future__ import annotations

from typing import Any

from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox.answers import stamp
from klaviyo_sync.sandbox.consents import Person
from klaviyo_sync.sandbox.state import Sandbox

_NEVER: dict[str, Any] = {"consent": "NEVER_SUBSCRIBED", "consent_timestamp": None}
_TRACKING: dict[str, Any] = {
    **_NEVER,
    "last_updated": None,
    "created_timestamp": None,
    "metadata": None,
    "can_receive": False,
    "valid_until": None,
}


def render_subscriptions(sandbox: Sandbox, number: int) -> dict[str, Any]:
    """The consent of a profile, with its suppressions."""
    return rendered(sandbox.consents.of(number))


def rendered(person: Person) -> dict[str, Any]:
    """The consent of a person in the shape of the `Subscriptions` of Klaviyo's OpenAPI document."""
    return {
        "email": {"marketing": _email(person), "open_tracking": _TRACKING, "click_tracking": _TRACKING},
        "sms": {
            "marketing": _sms(person, "sms_marketing"),
            "transactional": _sms(person, "sms_transactional"),
        },
        "mobile_push": {"marketing": {"can_receive_push_marketing": False, **_NEVER}},
        "whatsapp": _whatsapp(person),
    }


def _record(person: Person, channel: Channel) -> dict[str, Any]:
    held = person.channels.get(channel)
    if held is None:
        return {**_NEVER, "method": None, "method_detail": None, "last_updated": None}
    return {
        "consent": held.status,
        "consent_timestamp": stamp(held.at),
        "method": held.how.method,
        "method_detail": held.how.detail or "",
        "last_updated": stamp(held.updated),
    }


def _email(person: Person) -> dict[str, Any]:
    held = person.channels.get("email_marketing")
    return {
        "can_receive_email_marketing": not person.suppressions,
        **_record(person, "email_marketing"),
        "custom_method_detail": held.how.detail if held else None,
        "double_optin": held.how.double_opt_in if held else None,
        "suppression": [{"reason": reason, "timestamp": stamp(at)} for reason, at in person.suppressions.items()],
        "list_suppressions": [
            {"list_id": list_id, "reason": "UNSUBSCRIBE", "timestamp": stamp(at)} for list_id, at in person.list_suppressions.items()
        ],
    }


def _sms(person: Person, channel: Channel) -> dict[str, Any]:
    return {f"can_receive_{channel}": person.status(channel) == "SUBSCRIBED", **_record(person, channel)}


def _whatsapp(person: Person) -> dict[str, Any] | None:
    """None for a person who never had to do with WhatsApp."""
    if not any(channel.startswith("whatsapp") for channel in person.channels):
        return None
    return {
        "marketing": _permission(person, "whatsapp_marketing"),
        "transactional": _permission(person, "whatsapp_transactional"),
        "conversational": {**_TRACKING, "phone_number": None},
    }


def _permission(person: Person, channel: Channel) -> dict[str, Any]:
    held = person.channels.get(channel)
    if held is None:
        return {**_TRACKING, "phone_number": None}
    return {
        "consent": held.status,
        "consent_timestamp": stamp(held.at),
        "last_updated": stamp(held.updated),
        "created_timestamp": stamp(held.created),
        "metadata": None,
        "can_receive": held.status == "SUBSCRIBED",
        "valid_until": None,
        "phone_number": held.phone_number,
    }
