"""Subscribing and unsubscribing: https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles and bulk_unsubscribe_profiles.

Both are answered with nothing but a 202: what became of it is seen in the profiles, later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox.answers import Answer, ApiError, problem, refusal
from klaviyo_sync.sandbox.consent_jobs import Asked, reached
from klaviyo_sync.sandbox.consents import How
from klaviyo_sync.sandbox.limits import L
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox
from klaviyo_sync.sandbox.subscribing import PROFILES, Call, person

SUBSCRIBE = "profile-subscription-bulk-create-job"
UNSUBSCRIBE = "profile-subscription-bulk-delete-job"
MOST_SUBSCRIBED = 1_000
MOST_UNSUBSCRIBED = 100

_CONTACTS = frozenset(("email", "phone_number", "subscriptions"))
_METHOD = "API"


def attributes_of(body: Any, kind: str, allowed: frozenset[str]) -> dict[str, Any]:
    """The attributes of a job of this kind. Raises the 400 for another kind, and for attributes it does not have."""
    data = body.get("data") if isinstance(body, dict) else None
    attributes = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(attributes, dict):
        raise refusal("invalid", "data.type and data.attributes are required.", "/data")
    if data.get("type") != kind:
        raise refusal("invalid", f"The resource type must be '{kind}'.", "/data/type")
    for name in attributes.keys() - allowed:
        raise refusal("invalid", f"'{name}' is not a valid field for the resource '{kind}'.", f"/data/attributes/{name}")
    return attributes


def profiles_of(attributes: dict[str, Any], most: int) -> list[Any]:
    """The profiles of a job. Raises the 400 for none, or too many."""
    profiles = attributes.get("profiles")
    data = profiles.get("data") if isinstance(profiles, dict) else None
    if not isinstance(data, list) or not data:
        raise refusal("invalid", "A job takes a list of at least one profile.", PROFILES)
    if len(data) > most:
        raise refusal("invalid", f"A job takes at most {most} profiles.", PROFILES)
    return data


def list_of(sandbox: Sandbox, body: Any) -> str | None:
    """The id of the only list that a job may name. Raises the 404 for one that is not there."""
    related = body["data"].get("relationships") or {}
    if not isinstance(related, dict) or related.keys() - {"list"}:
        raise refusal("invalid", "A job has no relationship but 'list'.", "/data/relationships")
    data = related["list"].get("data") if isinstance(related.get("list"), dict) else None
    if "list" not in related or (data is None and isinstance(related["list"], dict)):
        return None
    if not isinstance(data, dict) or data.get("type") != "list" or not isinstance(data.get("id"), str):
        raise refusal("invalid", "The resource type must be 'list', with an id.", "/data/relationships/list/data")
    if data["id"] not in sandbox.lists:
        raise refusal("not_found", f"A list with id `{data['id']}` does not exist.", "/data/relationships/list/data/id")
    return data["id"]


def _people(sandbox: Sandbox, call: Call, profiles: Iterable[Any]) -> list[Asked]:
    """Everybody in a call. Raises the 400 that names what is wrong: nothing of the call is carried out then."""
    found, asked = [], []
    for index, profile in enumerate(profiles):
        one, wrong = person(sandbox, call, profile, f"{PROFILES}/{index}")
        found += wrong
        asked += [one] if one else []
        if one and one.id and sandbox.profiles.find("id", one.id) is None:
            found.append(problem("invalid", f"A profile with id `{one.id}` does not exist.", f"{PROFILES}/{index}/id"))
    if found:
        raise ApiError(list(islice(found, sandbox.errors_reported)))
    return asked


def bulk_subscribe_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """202 and nothing more. Under double opt-in people are subscribed once they confirm, unless it is a historical import."""
    body = request.json()
    attributes = attributes_of(body, SUBSCRIBE, frozenset(("custom_source", "profiles", "historical_import")))
    profiles = profiles_of(attributes, MOST_SUBSCRIBED)
    source, historical = attributes.get("custom_source"), attributes.get("historical_import") or False
    if not isinstance(source, (str, type(None))):
        raise refusal("invalid", "Invalid value for 'custom_source': a string is expected.", "/data/attributes/custom_source")
    if not isinstance(historical, bool):
        raise refusal("invalid", "Invalid value for 'historical_import': a boolean is expected.", "/data/attributes/historical_import")
    list_id = list_of(sandbox, body)
    call = Call("SUBSCRIBED", _CONTACTS | {"age_gated_date_of_birth"}, How(_METHOD, source), historical, list_id)
    people = _people(sandbox, call, profiles)
    process = sandbox.opt_in_process if list_id is None else sandbox.lists[list_id].opt_in_process
    for asked in sandbox.consent_jobs.first(people, sandbox.elapsed()):
        _accept(sandbox, asked, confirmed=historical or process == "single_opt_in")
    return Answer(202)


def _accept(sandbox: Sandbox, asked: Asked, *, confirmed: bool) -> None:
    jobs, now = sandbox.consent_jobs, sandbox.now()
    at = sandbox.elapsed() + sandbox.consent_seconds
    if confirmed:
        jobs.later(at, lambda: jobs.subscribe(asked, now))
        return
    channels: dict[Channel, float | None] = {}
    for channel in asked.channels:
        number = reached(sandbox.profiles, asked, channel)
        if number is None or sandbox.consents.of(number).status(channel) != "SUBSCRIBED":
            channels[channel] = None
    waiting = replace(asked, channels=channels)
    if waiting.channels:
        jobs.later(at, lambda: jobs.pending.append(waiting))


def bulk_unsubscribe_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """202 and nothing more. With a list its members leave that list only, and everybody else is unsubscribed from everything."""
    body = request.json()
    attributes = attributes_of(body, UNSUBSCRIBE, frozenset(("profiles",)))
    profiles = profiles_of(attributes, MOST_UNSUBSCRIBED)
    list_id = list_of(sandbox, body)
    people = _people(sandbox, Call("UNSUBSCRIBED", _CONTACTS, How(_METHOD), list_id=list_id), profiles)
    now = sandbox.now()

    def carry_out() -> None:
        members = sandbox.lists[list_id].members if list_id in sandbox.lists else None
        for asked in people:
            sandbox.consent_jobs.unsubscribe(asked, now, members)

    sandbox.consent_jobs.later(sandbox.elapsed() + sandbox.consent_seconds, carry_out)
    return Answer(202)


_SCOPES = frozenset(("lists:write", "profiles:write", "subscriptions:write"))

ROUTES = (
    Route("POST", f"/api/{SUBSCRIBE}s", "bulk_subscribe_profiles", bulk_subscribe_profiles, L, _SCOPES),
    Route("POST", f"/api/{UNSUBSCRIBE}s", "bulk_unsubscribe_profiles", bulk_unsubscribe_profiles, L, _SCOPES),
)
