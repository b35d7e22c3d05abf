"""Import jobs. https://developers.klaviyo.com/en/docs/use_klaviyos_bulk_profile_import_api."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from klaviyo_sync.sandbox.answers import Answer, ApiError, document, not_found, problem, refusal, stamp
from klaviyo_sync.sandbox.checks import long_integer, phone_in_order, problems
from klaviyo_sync.sandbox.collector import uncollected
from klaviyo_sync.sandbox.endpoints.lists import render_list
from klaviyo_sync.sandbox.endpoints.profiles import render_profile
from klaviyo_sync.sandbox.jobs import KEPT_SECONDS, Failure, Job, Row
from klaviyo_sync.sandbox.limits import M
from klaviyo_sync.sandbox.long_numbers import long_integers, may_hold_long_numbers
from klaviyo_sync.sandbox.plain import read_plain
from klaviyo_sync.sandbox.profiles import identifiers, without_nulls
from klaviyo_sync.sandbox.query import Paging, conditions, order, paged, sparse
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox

MAX_PROFILES = 10_000
KIND = "profile-bulk-import-job"
PROFILES = "/data/attributes/profiles/data"
LISTS = "/data/relationships/lists/data"
_PLAIN = ("type", "attributes")


def bulk_import_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """202 with a queued job. One profile or list that is not in order refuses the whole request, and no job is made."""
    with uncollected():
        rows, lists = _accepted(sandbox, request)
    job = sandbox.add_job(rows, lists)
    return document(202, render_job(sandbox, request, job, accepted=True), request.address())


def _accepted(sandbox: Sandbox, request: Request) -> tuple[list[Row], tuple[str, ...]]:
    plain = read_plain(request.read()) if sandbox.sms and not sandbox.faults.for_rows(early=True) else None
    if plain:
        rows, relationships = plain
        lists = _lists(relationships)
        if 0 < len(rows) <= MAX_PROFILES and not any(_list_problems(sandbox, lists)):
            return rows, tuple(one["id"] for one in lists)
    return _looked_at(sandbox, request)


def _looked_at(sandbox: Sandbox, request: Request) -> tuple[list[Row], tuple[str, ...]]:
    """The rows and list ids of a job, every profile looked at. Raises the 400 that names what is not in order."""
    body: Any = request.json()
    profiles = _profiles(body)
    lists = _lists(body["data"].get("relationships", {}))
    found = list(islice(_problems(sandbox, request, profiles, lists), sandbox.errors_reported))
    if found:
        raise ApiError(found)
    return [_row(profile) for profile in profiles], tuple(one["id"] for one in lists)


def _row(profile: Mapping[str, Any]) -> Row:
    attributes = without_nulls(profile["attributes"])
    text = bytes(memoryview(orjson.dumps(attributes)))  # a copy of the right size: orjson's own keeps spare room
    return text, identifiers(attributes), None if len(profile) == len(_PLAIN) else _beside(profile)


def _beside(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in profile.items() if name != "attributes"}


def _profiles(body: Any) -> list[Any]:
    try:
        data = body["data"]
        profiles = data["attributes"]["profiles"]["data"]
        kind = data["type"]
    except (KeyError, TypeError):
        raise refusal("invalid", "data.type and data.attributes.profiles.data are required.", "/data") from None
    if kind != KIND:
        raise refusal("invalid", f"The resource type must be '{KIND}'.", "/data/type")
    if not isinstance(profiles, list) or not profiles:
        raise refusal("invalid", "A job takes a list of at least one profile.", PROFILES)
    if len(profiles) > MAX_PROFILES:
        raise refusal("invalid", f"A job takes at most {MAX_PROFILES} profiles.", PROFILES)
    return profiles


def _lists(relationships: Any) -> list[Any]:
    try:
        lists = relationships.get("lists", {}).get("data", [])
        unknown = relationships.keys() - {"lists"}
    except AttributeError:
        raise refusal("invalid", "'relationships' must be an object.", "/data/relationships") from None
    if unknown:
        raise refusal("invalid", "A job has no relationship but 'lists'.", f"/data/relationships/{min(unknown)}")
    if not isinstance(lists, list):
        raise refusal("invalid", "'lists' takes a list.", LISTS)
    return lists


def _list_problems(sandbox: Sandbox, lists: list[Any]) -> Iterator[dict[str, Any]]:
    for index, one in enumerate(lists):
        if not isinstance(one, dict) or one.get("type") != "list":
            yield problem("invalid", "The resource type must be 'list'.", f"{LISTS}/{index}/type")
        elif not isinstance(one.get("id"), str) or one["id"] not in sandbox.lists:
            yield problem("invalid", f"A list with id `{one.get('id')}` does not exist.", f"{LISTS}/{index}/id")


def _problems(sandbox: Sandbox, request: Request, profiles: list[Any], lists: list[Any]) -> Iterator[dict[str, Any]]:
    yield from _list_problems(sandbox, lists)
    faults = sandbox.faults.for_rows(early=True)
    for index, profile in enumerate(profiles):
        yield from problems(profile, f"{PROFILES}/{index}", sms=sandbox.sms)
        _drop_bad_phone(profile)
        for fault in faults:
            if fault.hits(profile, index + 1):
                yield problem(fault.code, fault.detail, f"{PROFILES}/{index}{(fault.place or '').removeprefix('/data')}", title=fault.title)
    if may_hold_long_numbers(request.read()):
        yield from map(long_integer, long_integers(request.read()))


def _drop_bad_phone(profile: Any) -> None:
    """Beside an e-mail address, a phone number that is none is left out without a word."""
    attributes = profile.get("attributes") if isinstance(profile, dict) else None
    if isinstance(attributes, dict) and not phone_in_order(attributes.get("phone_number")):
        attributes.pop("phone_number", None)


def render_job(sandbox: Sandbox, request: Request, job: Job, *, accepted: bool = False) -> dict[str, Any]:
    """A job as Klaviyo shows it. The answer that accepts it knows the time to the second only, as recorded."""
    status = job.status(sandbox.elapsed())
    attributes = {
        "status": status,
        "created_at": stamp(job.created, whole=accepted),
        "total_count": job.total,
        "completed_count": job.done,
        "failed_count": len(job.failures),
        "completed_at": stamp(job.completed) if job.settled else None,
        "expires_at": stamp(job.created + KEPT_SECONDS, whole=accepted),
        "started_at": stamp(job.started) if status != "queued" else None,
    }
    base = f"{request.base}/api/{KIND}s/{job.id}"
    both = {name: {"self": f"{base}/relationships/{name}/", "related": f"{base}/{name}/"} for name in ("lists", "profiles")}
    return {
        "type": KIND,
        "id": job.id,
        "attributes": sparse(request, KIND, attributes),
        "relationships": {
            "lists": {"data": [{"type": "list", "id": id_} for id_ in job.lists], "links": both["lists"]},
            "profiles": {"links": both["profiles"]},
            "import-errors": {"links": {"related": f"{base}/import-errors/"}},
        },
        "links": {"self": f"{base}/"},
    }


def _job(sandbox: Sandbox, request: Request) -> Job:
    id_ = request.parts["id"]
    job = sandbox.jobs.get(id_, sandbox.now())
    if job is None:
        raise not_found(KIND, id_)
    return job


def get_jobs(sandbox: Sandbox, request: Request) -> Answer:
    """A page of jobs by creation, the latest first unless `sort` says otherwise."""
    wanted = [condition.values for condition in conditions(request, {"status": ("equals", "any")})]
    at = sandbox.elapsed()
    jobs = sandbox.jobs.all(sandbox.now(), lambda job: all(job.status(at) in values for values in wanted))
    _, downwards = order(request, ("created_at",), "-created_at")
    return paged(request, jobs[::-1] if downwards else jobs, lambda job: render_job(sandbox, request, job), Paging())


def get_job(sandbox: Sandbox, request: Request) -> Answer:
    """One job, with its lists when `include=lists` asks for them."""
    job = _job(sandbox, request)
    included: dict[str, Any] = {"included": _rendered_lists(sandbox, request, job)} if request.query.get("include") == "lists" else {}
    return document(200, render_job(sandbox, request, job), request.address(), **included)


def get_job_errors(sandbox: Sandbox, request: Request) -> Answer:
    """A page of the rows that the job could not import."""
    job = _job(sandbox, request)

    def render(numbered: tuple[int, Failure]) -> dict[str, Any]:
        number, failure = numbered
        attributes = {
            "code": failure.code,
            "title": failure.title,
            "detail": failure.detail,
            "source": {"pointer": failure.pointer},
            "original_payload": _payload(sandbox, failure.profile),
        }
        return {"type": "import-error", "id": f"{job.id}-{number}", "attributes": sparse(request, "import-error", attributes)}

    return paged(request, list(enumerate(job.failures)), render, Paging())


def _payload(sandbox: Sandbox, profile: Mapping[str, Any]) -> dict[str, Any] | None:
    if sandbox.original_payload == "absent":
        return None
    if sandbox.original_payload == "attributes":
        return dict(profile)
    identified = {"id": profile["id"]} if profile.get("id") else {}
    return {**identified, **profile["attributes"]}


def _written(sandbox: Sandbox, request: Request) -> list[int]:
    """The numbers of the profiles that the job wrote, as they are now: profiles that were merged since are there once."""
    return list(dict.fromkeys(map(sandbox.profiles.current, _job(sandbox, request).profiles)))


def get_job_profiles(sandbox: Sandbox, request: Request) -> Answer:
    """A page of the profiles that the job wrote."""
    return paged(request, _written(sandbox, request), lambda number: render_profile(sandbox, request, number), Paging())


def get_job_profile_ids(sandbox: Sandbox, request: Request) -> Answer:
    """A page of the ids of the profiles that the job wrote."""
    numbers = _written(sandbox, request)
    return paged(request, numbers, lambda number: {"type": "profile", "id": sandbox.profiles.id(number)}, Paging())


def get_job_lists(sandbox: Sandbox, request: Request) -> Answer:
    """The lists of the job."""
    links = {"self": request.address(), "next": None, "prev": None}
    return Answer(200, orjson.dumps({"data": _rendered_lists(sandbox, request, _job(sandbox, request)), "links": links}))


def _rendered_lists(sandbox: Sandbox, request: Request, job: Job) -> list[dict[str, Any]]:
    return [render_list(request, sandbox.lists[id_]) for id_ in job.lists if id_ in sandbox.lists]


_WRITE = frozenset(("lists:write", "profiles:write"))
_BOTH = frozenset(("lists:read", "profiles:read"))
_PROFILES_READ = frozenset(("profiles:read",))
_FIELDS = frozenset((f"fields[{KIND}]",))
_PAGES = frozenset(("page[size]", "page[cursor]"))
_SHOWN = frozenset(("fields[profile]", "additional-fields[profile]"))
_PATH = f"/api/{KIND}s"

ROUTES = (
    Route("POST", _PATH, "bulk_import_profiles", bulk_import_profiles, M, _WRITE, _FIELDS),
    Route("GET", _PATH, "get_bulk_import_profiles_jobs", get_jobs, M, _BOTH, _FIELDS | _PAGES | {"filter", "sort"}),
    Route("GET", f"{_PATH}/{{id}}", "get_bulk_import_profiles_job", get_job, M, _BOTH, _FIELDS | {"fields[list]", "include"}),
    Route(
        "GET",
        f"{_PATH}/{{id}}/import-errors",
        "get_errors_for_bulk_import_profiles_job",
        get_job_errors,
        M,
        _PROFILES_READ,
        _PAGES | {"fields[import-error]"},
    ),
    Route(
        "GET", f"{_PATH}/{{id}}/profiles", "get_profiles_for_bulk_import_profiles_job", get_job_profiles, M, _PROFILES_READ, _PAGES | _SHOWN
    ),
    Route(
        "GET",
        f"{_PATH}/{{id}}/relationships/profiles",
        "get_profile_ids_for_bulk_import_profiles_job",
        get_job_profile_ids,
        M,
        _PROFILES_READ,
        _PAGES,
    ),
    Route(
        "GET",
        f"{_PATH}/{{id}}/lists",
        "get_list_for_bulk_import_profiles_job",
        get_job_lists,
        M,
        frozenset(("lists:read",)),
        frozenset(("fields[list]",)),
    ),
)
