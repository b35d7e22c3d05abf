"""Lists and their members. https://developers.klaviyo.com/en/reference/lists_api_overview."""

from __future__ import annotations

from typing import Any

from klaviyo_sync.sandbox.answers import Answer, document, not_found, refusal, stamp
from klaviyo_sync.sandbox.endpoints.profiles import MATCHING, matching, render_profile
from klaviyo_sync.sandbox.limits import XS, L, M
from klaviyo_sync.sandbox.profiles import UnknownProfileError
from klaviyo_sync.sandbox.query import Paging, conditions, order, paged, sparse
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox, SandboxList

_FILTERS = {"id": ("equals", "any"), "name": ("equals", "any")}


def render_list(request: Request, one: SandboxList) -> dict[str, Any]:
    """A list as Klaviyo shows it."""
    base = f"{request.base}/api/lists/{one.id}"
    attributes = {
        "name": one.name,
        "created": stamp(one.created, whole=True),
        "updated": stamp(one.created, whole=True),
        "opt_in_process": one.opt_in_process,
    }
    return {
        "type": "list",
        "id": one.id,
        "attributes": sparse(request, "list", attributes),
        "relationships": {
            name: {"links": {"self": f"{base}/relationships/{name}/", "related": f"{base}/{name}/"}}
            for name in ("profiles", "tags", "flow-triggers")
        },
        "links": {"self": f"{base}/"},
    }


def find_list(sandbox: Sandbox, request: Request) -> SandboxList:
    """The list that the path names. Raises the 404."""
    id_ = request.parts["id"]
    if id_ not in sandbox.lists:
        raise not_found("list", id_)
    return sandbox.lists[id_]


def get_lists(sandbox: Sandbox, request: Request) -> Answer:
    """A page of lists, at most ten."""
    found = list(sandbox.lists.values())
    for condition in conditions(request, _FILTERS):
        found = [one for one in found if getattr(one, condition.field) in condition.values]
    field, downwards = order(request, ("id", "name", "created", "updated"), "id")
    field = "created" if field == "updated" else field
    found.sort(key=lambda one: getattr(one, field), reverse=downwards)
    return paged(request, found, lambda one: render_list(request, one), Paging(10, 10))


def get_list(sandbox: Sandbox, request: Request) -> Answer:
    """One list, with its `profile_count` when it is asked for."""
    one = find_list(sandbox, request)
    data = render_list(request, one)
    if "profile_count" in (request.names("additional-fields[list]") or ()):
        data["attributes"]["profile_count"] = len(one.members)
    return document(200, data, request.address())


def get_list_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """A page of the members of a list, by when they joined, the latest first."""
    members = find_list(sandbox, request).members
    _, downwards = order(request, ("joined_group_at",), "-joined_group_at")
    wanted = matching(sandbox, conditions(request, {name: MATCHING[name] for name in ("email", "phone_number")}))
    numbers = [number for number in members if wanted is None or number in wanted]
    numbers.sort(key=lambda number: members[number], reverse=downwards)

    def render(number: int) -> dict[str, Any]:
        profile = render_profile(sandbox, request, number)
        profile["attributes"]["joined_group_at"] = stamp(members[number], whole=True)
        return profile

    return paged(request, numbers, render, Paging())


MOST_MEMBERS = 1_000


def add_list_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """204 once the profiles are members of the list; all or none of them. It changes nobody's consent.

    https://developers.klaviyo.com/en/reference/add_profiles_to_list. Its 400 and 404 are our reading.
    """
    one = find_list(sandbox, request)
    body = request.json()
    sent = body.get("data") if isinstance(body, dict) else None
    if not isinstance(sent, list) or not sent:
        raise refusal("invalid", "'data' must be a list of profiles.", "/data")
    if len(sent) > MOST_MEMBERS:
        raise refusal("invalid", f"At most {MOST_MEMBERS} profiles are accepted.", "/data")
    numbers = []
    for position, named in enumerate(sent):
        if not isinstance(named, dict) or named.get("type") != "profile" or not isinstance(named.get("id"), str):
            raise refusal("invalid", "A profile is named by its type and id.", f"/data/{position}")
        try:
            numbers.append(sandbox.profiles.number(named["id"]))
        except UnknownProfileError:
            raise refusal("invalid", f"A profile with id {named['id']} does not exist.", f"/data/{position}/id") from None
    for number in numbers:
        one.members.setdefault(number, sandbox.now())
    return Answer(204)


_PAGES = frozenset(("page[size]", "page[cursor]", "filter", "sort"))
_READ = frozenset(("lists:read",))

ROUTES = (
    Route("GET", "/api/lists", "get_lists", get_lists, L, _READ, _PAGES | {"fields[list]"}),
    Route(
        "GET",
        "/api/lists/{id}",
        "get_list",
        get_list,
        L,
        _READ,
        frozenset(("fields[list]", "additional-fields[list]")),
        costly=(("additional-fields[list]", "profile_count", XS),),
    ),
    Route(
        "GET",
        "/api/lists/{id}/profiles",
        "get_profiles_for_list",
        get_list_profiles,
        L,
        _READ | {"profiles:read"},
        _PAGES | {"fields[profile]", "additional-fields[profile]"},
    ),
    Route(
        "POST",
        "/api/lists/{id}/relationships/profiles",
        "add_profiles_to_list",
        add_list_profiles,
        M,
        frozenset(("lists:write", "profiles:write")),
    ),
)
