"""The door: what every request passes before a handler sees it, in this order.

Faults, path and method, key, revision, scopes, rate limit, query parameters, media type, size.
https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling
"""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import replace

from klaviyo_sync.sandbox import control
from klaviyo_sync.sandbox.answers import JSON_API, Answer, ApiError, problem, refusal
from klaviyo_sync.sandbox.endpoints import ROUTES
from klaviyo_sync.sandbox.limits import Tier
from klaviyo_sync.sandbox.query import bad_parameter
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox

SCHEME = "Klaviyo-API-Key "
MEDIA_TYPES = (JSON_API, "application/json")
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
_LIMITS_PAGE = "https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling#rate-limits"


def answer(sandbox: Sandbox, request: Request) -> Answer:
    """The answer to a request, after the import jobs whose time has come are carried out."""
    if request.path.startswith("/sandbox"):
        return control.answer(sandbox, request)
    methods, request.parts = ROUTES.at(request.path)
    route = methods.get(request.method)
    operation = route.operation if route else "none"
    fault = sandbox.faults.for_request(operation, request.read)
    if fault and fault.kind == "lists_gone":
        with sandbox.lock:
            sandbox.lists.clear()
    given = fault.spoil(Answer(0)) if fault and fault.blocks else _given(sandbox, request, route, bool(methods))
    if fault and not fault.blocks:
        given = fault.spoil(given)
    sandbox.count(operation, given)
    return replace(given, headers={**given.headers, "X-Klaviyo-Req-Id": str(uuid.uuid4())})


def _given(sandbox: Sandbox, request: Request, route: Route | None, known_path: bool) -> Answer:  # noqa: FBT001 - read beside its caller
    headers: dict[str, str] = {}
    try:
        if route is None:
            raise _no_route(request, known_path=known_path)
        scopes = _scopes(sandbox, request)
        if not _REVISION.fullmatch(request.headers.get("revision", "")):
            raise refusal("invalid", "The 'revision' header is required, such as 2026-07-15.", "/data/")
        if scopes is not None and not route.scopes <= scopes:
            missing = ", ".join(sorted(route.scopes - scopes))
            raise refusal("permission_denied", f"The key lacks the scopes: {missing}.")
        headers = _take(sandbox, *route.quota(request))
        for name in request.query:
            if name not in route.parameters:
                raise bad_parameter(name, f"'{name}' is not a parameter of this endpoint.")
        if route.writes:
            _check_body(request, route)
        with sandbox.lock:
            sandbox.settle()
            given = route.handler(sandbox, request)
    except ApiError as error:
        given = error.answer
    return replace(given, headers={**headers, **given.headers})


def _no_route(request: Request, *, known_path: bool) -> ApiError:
    if known_path:
        return refusal("method_not_allowed", f'Method "{request.method}" not allowed.')
    return refusal("not_found", f"The path {request.path} could not be found.", "/data/")


def _scopes(sandbox: Sandbox, request: Request) -> frozenset[str] | None:
    """The scopes of the key; None when it may do everything."""
    header = request.headers.get("authorization", "")
    key = header[len(SCHEME) :] if header.startswith(SCHEME) else ""
    if sandbox.keys is None and key.startswith("pk_"):
        return None
    if sandbox.keys is not None and key in sandbox.keys:
        return frozenset(sandbox.keys[key])
    detail = "Incorrect authentication credentials." if header else "Authentication credentials were not provided."
    raise refusal("authentication_failed", detail, "/data/")


def _take(sandbox: Sandbox, name: str, tier: Tier) -> dict[str, str]:
    """The rate-limit headers of a request that may pass. Raises the 429, which has none of them."""
    if not sandbox.limited:
        return {}
    with sandbox.lock:
        grant = sandbox.limits.take(name, tier, sandbox.elapsed())
    if grant.allowed:
        return grant.headers
    seconds = max(1, math.ceil(grant.wait / sandbox.time_scale))
    plural = "" if seconds == 1 else "s"
    detail = f"Request was throttled. Expected available in {seconds} second{plural}."
    raise ApiError([problem("throttled", detail, links={"type": _LIMITS_PAGE})], {"Retry-After": str(seconds)})


def _check_body(request: Request, route: Route) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise refusal("unsupported_media_type", f'Unsupported media type "{media_type}" in request.')
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise refusal("unsupported_media_type", f'Unsupported content encoding "{encoding}" in request.')
    if len(request.read()) > route.most_bytes:
        raise refusal("payload_too_large", f"The body must not be larger than {route.most_bytes} bytes.")
