"""Suppressing e-mail addresses by hand: https://developers.klaviyo.com/en/reference/bulk_suppress_profiles and bulk_unsuppress_profiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from klaviyo_sync.sandbox.answers import Answer, ApiError, document, not_found, problem, refusal, stamp
from klaviyo_sync.sandbox.checks import email_in_order
from klaviyo_sync.sandbox.endpoints.subscription_jobs import attributes_of, list_of, profiles_of
from klaviyo_sync.sandbox.limits import L
from klaviyo_sync.sandbox.query import sparse
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox, SuppressionJob
from klaviyo_sync.sandbox.subscribing import PROFILES

SUPPRESS = "profile-suppression-bulk-create-job"
UNSUPPRESS = "profile-suppression-bulk-delete-job"
MOST = 100

Change = Callable[[Sandbox, int, float], bool]
"""Changes a profile at a POSIX time; whether there was anything to change."""


def _suppress(sandbox: Sandbox, number: int, now: float) -> bool:
    known = "USER_SUPPRESSED" in sandbox.consents.of(number).suppressions
    if not known:
        sandbox.consents.suppress(number, "USER_SUPPRESSED", now)
    return not known


def _lift(sandbox: Sandbox, number: int, now: float) -> bool:
    del now
    return sandbox.consents.lift(number)


def _emails(sandbox: Sandbox, profiles: list[Any]) -> list[str]:
    found, emails = [], []
    for index, profile in enumerate(profiles):
        attributes = profile.get("attributes") if isinstance(profile, dict) and profile.get("type") == "profile" else None
        email = attributes.get("email") if isinstance(attributes, dict) else None
        if email_in_order(email) and isinstance(attributes, dict) and len(attributes) == 1:
            emails.append(str(email))
        else:
            detail = "A profile is named by a valid e-mail address, and by nothing else."
            found.append(problem("invalid", detail, f"{PROFILES}/{index}/attributes/email"))
    if found:
        raise ApiError(list(islice(found, sandbox.errors_reported)))
    return emails


def _start(kind: str, change: Change, sandbox: Sandbox, request: Request) -> Answer:
    """202 with a job that is done a little later, for some addresses or for the members of one list."""
    body = request.json()
    attributes = attributes_of(body, kind, frozenset(("profiles",)))
    list_id = list_of(sandbox, body)
    if (attributes.get("profiles") is None) == (list_id is None):
        raise refusal("invalid", "A job takes either profiles or one list.", "/data")
    emails = _emails(sandbox, profiles_of(attributes, MOST)) if list_id is None else []
    members = list(sandbox.lists[list_id].members) if list_id is not None else []
    now = sandbox.now()
    job = sandbox.add_suppression_job(kind, len(emails) + len(members), (list_id,) if list_id is not None else ())

    def carry_out() -> None:
        numbers = [*map(sandbox.profiles.current, members), *(sandbox.person(email, now) for email in emails)]
        changed = sum(change(sandbox, number, now) for number in numbers)
        job.completed, job.done, job.skipped = sandbox.now(), len(numbers), len(numbers) - changed

    sandbox.consent_jobs.later(sandbox.elapsed() + sandbox.consent_seconds, carry_out)
    return document(202, _render(request, job), request.address())


def _render(request: Request, job: SuppressionJob) -> dict[str, Any]:
    attributes = {
        "status": "queued" if job.completed is None else "complete",
        "created_at": stamp(job.created),
        "total_count": job.total,
        "completed_count": job.done,
        "completed_at": stamp(job.completed),
        "skipped_count": job.skipped,
    }
    base = f"{request.base}/api/{job.kind}s/{job.id}"
    return {
        "type": job.kind,
        "id": job.id,
        "attributes": sparse(request, job.kind, attributes),
        "relationships": {
            "lists": {"data": [{"type": "list", "id": id_} for id_ in job.lists], "links": _related(base, "lists")},
            "segments": {"data": [], "links": _related(base, "segments")},
        },
        "links": {"self": f"{base}/"},
    }


def _related(base: str, name: str) -> dict[str, str]:
    return {"self": f"{base}/relationships/{name}/", "related": f"{base}/{name}/"}


def _get(kind: str, sandbox: Sandbox, request: Request) -> Answer:
    """How a job stands."""
    job = sandbox.suppression_jobs.get(request.parts["id"])
    if job is None or job.kind != kind:
        raise not_found(kind, request.parts["id"])
    return document(200, _render(request, job), request.address())


def _routes(kind: str, operation: str, change: Change, scopes: frozenset[str]) -> tuple[Route, Route]:
    fields = frozenset((f"fields[{kind}]",))
    path = f"/api/{kind}s"
    return (
        Route("POST", path, operation, partial(_start, kind, change), L, scopes, fields),
        Route("GET", f"{path}/{{id}}", f"get_{operation}_job", partial(_get, kind), L, frozenset(("subscriptions:read",)), fields),
    )


ROUTES = (
    *_routes(SUPPRESS, "bulk_suppress_profiles", _suppress, frozenset(("profiles:write", "subscriptions:write"))),
    *_routes(UNSUPPRESS, "bulk_unsuppress_profiles", _lift, frozenset(("subscriptions:write",))),
)
