"""Answers of the sandbox, shaped as Klaviyo shapes them: JSON:API documents, error bodies, timestamps.

Error bodies follow recorded answers of revision 2026-07-15; their meaning is described at
https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

JSON_API = "application/vnd.api+json"
HTML = "text/html; charset=utf-8"

Damage = Literal["reset", "outage", "truncated"]


@dataclass(frozen=True)
class Answer:
    """What goes back over the wire. `damage` breaks the connection on the way, `delay` holds the answer back (real seconds).

    An `outage` breaks all connections, and for `delay` seconds no new one is taken.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_API
    damage: Damage | None = None
    delay: float = 0.0


@dataclass(frozen=True)
class Reason:
    """One way to say no: status and title belong to the code."""

    status: int
    title: str


REASONS: dict[str, Reason] = {
    "invalid": Reason(400, "Invalid input."),
    "parse_error": Reason(400, "Malformed request."),
    "authentication_failed": Reason(401, "Incorrect authentication credentials."),
    "permission_denied": Reason(403, "You do not have permission to perform this action."),
    "not_found": Reason(404, "Not found."),
    "method_not_allowed": Reason(405, "Method not allowed."),
    "duplicate_profile": Reason(409, "Conflict."),
    "payload_too_large": Reason(413, "Payload too large."),
    "unsupported_media_type": Reason(415, "Unsupported media type."),
    "throttled": Reason(429, "Request was throttled."),
    "error": Reason(500, "A server error occurred."),
    "service_unavailable": Reason(503, "Service unavailable."),
}


def problem(code: str, detail: str, pointer: str | None = "/data", **more: object) -> dict[str, Any]:
    """One item of an error body. `more` overrides or adds members, such as `source`, `links` or `meta`."""
    reason = REASONS[code]
    return {
        "id": str(uuid.uuid4()),
        "status": reason.status,
        "code": code,
        "title": reason.title,
        "detail": detail,
        "source": {"pointer": pointer},
        "links": {},
        "meta": {},
        **more,
    }


class ApiError(Exception):
    """Raised by a handler to refuse a request; the door turns it into an answer."""

    def __init__(self, problems: Sequence[Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problems[0]["detail"])
        self.answer = Answer(problems[0]["status"], orjson.dumps({"errors": list(problems)}), headers or {})


def refusal(code: str, detail: str, pointer: str | None = "/data", **more: object) -> ApiError:
    """The exception that refuses a request for one reason."""
    return ApiError([problem(code, detail, pointer, **more)])


def not_found(kind: str, id_: str) -> ApiError:
    """The refusal for an id that does not exist, in Klaviyo's words."""
    return refusal("not_found", f"A {kind} with id `{id_}` does not exist.", "/data/")


def document(status: int, data: object, self_link: str, headers: Mapping[str, str] | None = None, **more: object) -> Answer:
    """A JSON:API document with its own address."""
    return Answer(status, orjson.dumps({"data": data, **more, "links": {"self": self_link}}), headers or {})


def stamp(at: float | None, *, whole: bool = False) -> str | None:
    """A POSIX time as Klaviyo writes it, with microseconds unless `whole`; None stays None."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(int(at) if whole else at, UTC)
    return moment.isoformat()
