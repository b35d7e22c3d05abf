"""Profiles one by one, and reading them. https://developers.klaviyo.com/en/reference/profiles_api_overview."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from klaviyo_sync.sandbox.answers import Answer, ApiError, document, not_found, refusal, stamp
from klaviyo_sync.sandbox.checks import MAX_PROFILE_BYTES, long_integer, phone_in_order, problems
from klaviyo_sync.sandbox.limits import L
from klaviyo_sync.sandbox.long_numbers import long_integers, may_hold_long_numbers
from klaviyo_sync.sandbox.profiles import TakenError, UnknownProfileError, patched
from klaviyo_sync.sandbox.query import Condition, Paging, bad_parameter, conditions, order, paged, sparse
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox
from klaviyo_sync.sandbox.subscriptions import render_subscriptions

MATCHING = dict.fromkeys(("id", "email", "phone_number", "external_id"), ("equals", "any"))
_MOMENTS = {"created": ("greater-than", "less-than"), "updated": ("greater-than", "less-than")}

_TEXTS = ("email", "phone_number", "external_id", "anonymous_id", "whatsapp_bsuid", "first_name", "last_name")
_MORE_TEXTS = ("organization", "locale", "title", "image")
_PLACE = ("address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip")


def render_profile(sandbox: Sandbox, request: Request, number: int) -> dict[str, Any]:
    """A profile as Klaviyo shows it: every attribute, null where there is nothing."""
    held = sandbox.profiles.attributes(number)
    created, updated = sandbox.profiles.times(number)
    location = held.get("location", {})
    attributes: dict[str, Any] = {name: held.get(name) for name in (*_TEXTS, *_MORE_TEXTS)}
    attributes |= {"created": stamp(created, whole=True), "updated": stamp(updated), "last_event_date": None}
    attributes |= {"location": {name: location.get(name) for name in _PLACE}, "properties": held.get("properties", {})}
    if "subscriptions" in (request.names("additional-fields[profile]") or ()):
        attributes["subscriptions"] = render_subscriptions(sandbox, number)
    id_ = sandbox.profiles.id(number)
    base = f"{request.base}/api/profiles/{id_}"
    return {
        "type": "profile",
        "id": id_,
        "attributes": sparse(request, "profile", attributes),
        "relationships": {
            name: {"links": {"self": f"{base}/relationships/{name}/", "related": f"{base}/{name}/"}}
            for name in ("lists", "segments", "push-tokens", "conversations")
        },
        "links": {"self": f"{base}/"},
    }


def matching(sandbox: Sandbox, filters: Collection[Condition]) -> set[int] | None:
    """The numbers of the profiles that pass every filter; None when there are no filters."""
    found: set[int] | None = None
    for condition in filters:
        if condition.operator in ("equals", "any"):
            numbers = {sandbox.profiles.find(condition.field, value) for value in condition.values}
            passed = {number for number in numbers if number is not None}
            if condition.field == "email" and sandbox.readings.email_search == "as_written":
                passed = {number for number in passed if sandbox.profiles.attributes(number).get("email") in condition.values}
        else:
            passed = set(_by_moment(sandbox, condition))
        found = passed if found is None else found & passed
    return found


def _by_moment(sandbox: Sandbox, condition: Condition) -> list[int]:
    try:
        moment = datetime.fromisoformat(condition.value)
    except ValueError:
        raise bad_parameter("filter", f"'{condition.value}' is not a time.") from None
    bound = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    which = ("created", "updated").index(condition.field)
    later = condition.operator == "greater-than"
    times = ((number, sandbox.profiles.times(number)[which]) for number in sandbox.profiles.numbers())
    return [number for number, at in times if (at > bound if later else at < bound)]


def get_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """A page of profiles, in the order of their ids unless `sort` says otherwise."""
    profiles = sandbox.profiles
    found = matching(sandbox, conditions(request, MATCHING | _MOMENTS))
    field, downwards = order(request, ("id", "created", "updated", "email"), "id")
    numbers: Sequence[int] = profiles.numbers() if found is None else sorted(found)
    if sandbox.profile_seconds:
        numbers = list(filter(sandbox.lists_profile, numbers))
    if field == "updated":
        numbers = sorted(numbers, key=lambda number: profiles.times(number)[1])
    elif field == "email":
        numbers = sorted(numbers, key=lambda number: profiles.attributes(number).get("email", ""))
    return paged(request, numbers[::-1] if downwards else numbers, lambda number: render_profile(sandbox, request, number), Paging())


def get_profile(sandbox: Sandbox, request: Request) -> Answer:
    """One profile."""
    return document(200, render_profile(sandbox, request, _named(sandbox, request.parts["id"])), request.address())


def create_or_update_profile(sandbox: Sandbox, request: Request) -> Answer:
    """201 for a new profile, 200 for one that was known. A null clears, what is left out stays."""
    sent, headers = _sent(sandbox, request, needs_identifier=True)
    try:
        number, new = sandbox.profiles.upsert(sent.get("id"), sent["attributes"], sandbox.now())
    except TakenError as error:
        raise _taken(sandbox, error) from None
    except UnknownProfileError:
        raise not_found("profile", sent["id"]) from None
    _patch(sandbox, number, sent)
    return document(201 if new else 200, render_profile(sandbox, request, number), request.address(), headers)


def update_profile(sandbox: Sandbox, request: Request) -> Answer:
    """200 with the profile. A null clears, what is left out stays; 409 when an identifier belongs to somebody else."""
    number = _named(sandbox, request.parts["id"])
    sent, headers = _sent(sandbox, request, needs_identifier=False)
    if sent.get("id") != request.parts["id"]:
        raise refusal("invalid", "The id in the body must be the id in the path.", "/data/id")
    try:
        sandbox.profiles.upsert(request.parts["id"], sent["attributes"], sandbox.now(), "refused")
    except TakenError as error:
        raise _taken(sandbox, error) from None
    _patch(sandbox, number, sent)
    return document(200, render_profile(sandbox, request, number), request.address(), headers)


def _named(sandbox: Sandbox, id_: str) -> int:
    try:
        return sandbox.profiles.number(id_)
    except UnknownProfileError:
        raise not_found("profile", id_) from None


def _sent(sandbox: Sandbox, request: Request, *, needs_identifier: bool) -> tuple[dict[str, Any], dict[str, str]]:
    body = request.json()
    sent = body.get("data") if isinstance(body, dict) else None
    found = problems(sent, "/data", sms=sandbox.sms, needs_identifier=needs_identifier)
    if may_hold_long_numbers(request.read()):
        found += [long_integer(at) for at in long_integers(request.read())]
    if found or not isinstance(sent, dict):
        raise ApiError(found)
    phone = sent["attributes"].get("phone_number")
    if phone is None or phone_in_order(phone):
        return sent, {}
    del sent["attributes"]["phone_number"]
    return sent, {"X-Klaviyo-Partial-Failure": "phone_number"}


def _taken(sandbox: Sandbox, error: TakenError) -> ApiError:
    meta = {"duplicate_profile_id": sandbox.profiles.id(error.owner)}
    detail = "A profile already exists with one of these identifiers."
    return refusal("duplicate_profile", detail, "/data/attributes", meta=meta)


def _patch(sandbox: Sandbox, number: int, sent: dict[str, Any]) -> None:
    patch = (sent.get("meta") or {}).get("patch_properties")
    if patch:
        held = sandbox.profiles.attributes(number)
        held["properties"] = patched(held.get("properties", {}), patch)
        sandbox.profiles.replace(number, held, sandbox.now())


_READ = frozenset(("profiles:read",))
_WRITE = frozenset(("profiles:write",))
_SHOWN = frozenset(("fields[profile]", "additional-fields[profile]"))
_PAGES = frozenset(("page[size]", "page[cursor]", "filter", "sort"))

ROUTES = (
    Route("GET", "/api/profiles", "get_profiles", get_profiles, L, _READ, _SHOWN | _PAGES),
    Route("GET", "/api/profiles/{id}", "get_profile", get_profile, L, _READ, _SHOWN),
    Route("PATCH", "/api/profiles/{id}", "update_profile", update_profile, L, _WRITE, _SHOWN, MAX_PROFILE_BYTES),
    Route("POST", "/api/profile-import", "create_or_update_profile", create_or_update_profile, L, _WRITE, _SHOWN, MAX_PROFILE_BYTES),
)
