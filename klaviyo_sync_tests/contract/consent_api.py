"""Consent calls over plain HTTP, and what became of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests
from api_client import AT, Api

SUBSCRIBE = "profile-subscription-bulk-create-job"
UNSUBSCRIBE = "profile-subscription-bulk-delete-job"
SUPPRESS = "profile-suppression-bulk-create-job"
UNSUPPRESS = "profile-suppression-bulk-delete-job"

ADA = "ada@example.com"
PHONE = "+12025550123"
MAY = "2025-05-01T12:00:00Z"
CHANNEL_PATH = "attributes/subscriptions/email/marketing"


def asked(*channels: str, consent: str = "SUBSCRIBED", at: str | None = None, **attributes: Any) -> dict[str, Any]:
    """A profile of a call about some channels, such as `email.marketing`."""
    subscriptions: dict[str, Any] = {}
    for channel in channels:
        medium, _, purpose = channel.partition(".")
        subscriptions.setdefault(medium, {})[purpose] = {"consent": consent} | ({"consented_at": at} if at else {})
    return {"type": "profile", "attributes": {**attributes, "subscriptions": subscriptions}}


def mailed(email: str = ADA, *, consent: str = "SUBSCRIBED", at: str | None = None) -> dict[str, Any]:
    """A profile of a call about e-mails."""
    return asked("email.marketing", consent=consent, at=at, email=email)


def call(api: Api, kind: str, profiles: Sequence[Any], *, list_id: str | None = None, **attributes: Any) -> requests.Response:
    """POST of a job of this kind."""
    data: dict[str, Any] = {"type": kind, "attributes": {**attributes, "profiles": {"data": profiles}}}
    if list_id:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return api.post(f"/api/{kind}s", {"data": data})


def subscribe(api: Api, *profiles: Any, list_id: str | None = None, **attributes: Any) -> requests.Response:
    """POST of a subscribe call."""
    return call(api, SUBSCRIBE, profiles, list_id=list_id, **attributes)


def dated(api: Api, *profiles: Any, **attributes: Any) -> requests.Response:
    """POST of a subscribe call that is a historical import."""
    return call(api, SUBSCRIBE, profiles, historical_import=True, **attributes)


def unsubscribe(api: Api, *profiles: Any, list_id: str | None = None) -> requests.Response:
    """POST of an unsubscribe call."""
    return call(api, UNSUBSCRIBE, profiles, list_id=list_id)


def subscriptions(api: Api, email: str = ADA) -> dict[str, Any]:
    """The consent of a profile, as Klaviyo shows it."""
    named = {"additional-fields[profile]": "subscriptions", "filter": f'any(email,["{email}"])'}
    (found,) = api.get("/api/profiles", named).json()["data"]
    return found["attributes"]["subscriptions"]


def marketing(api: Api, email: str = ADA) -> dict[str, Any]:
    """The consent of a profile to e-mails."""
    return subscriptions(api, email)["email"]["marketing"]


def place(leaf: str, index: int = 0) -> str:
    """The pointer to a part of a profile."""
    return f"{AT}/{index}/{leaf}"
