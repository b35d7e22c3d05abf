"""What Klaviyo answers, read with suspicion: bodies may be HTML, cut short or anything else.

The shape of errors: https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeGuard

import orjson

PERSONAL = re.compile(r"\S*(?:@|%40)\S*|\+?\d(?:[\s().-]*\d){5,}")
LONGEST_DETAIL = 300
MOST_ERRORS = 30_000  # three for each profile of a request; what is not read is named again by the answer to what is left

Json = Mapping[str, Any]


@dataclass(frozen=True)
class ApiError:
    """One error of an answer. `detail` may repeat what the user sent: it never goes into an exception as it is."""

    code: str
    title: str
    detail: str
    pointer: str
    payload: Json | None = None

    @property
    def safe(self) -> str:
        """Code and detail without anything that looks like personal data."""
        return redact(f"{self.code}: {self.detail or self.title}")


@dataclass(frozen=True)
class Answer:
    """A good answer. `resources` are its resources; `next` the address of the next page; `attempts` how often it was asked."""

    resources: tuple[Json, ...]
    next: str | None
    headers: Mapping[str, str]
    attempts: int

    @property
    def resource(self) -> Json:
        """The only resource."""
        return self.resources[0]


@dataclass(frozen=True)
class Rejection:
    """Klaviyo understood and said no: 400, 404, 409, 413 or 422."""

    status: int
    errors: tuple[ApiError, ...]
    request_id: str
    attempts: int

    @property
    def heading(self) -> str:
        """The status with the code and title of the first error, for requests about people: a detail may quote them, by name even."""
        error = self.errors[0] if self.errors else None
        said = redact(f"{error.code}: {error.title}") if error else "no reason given"
        return f"{self.status} ({said}; request {self.request_id})"

    @property
    def safe(self) -> str:
        """The status and the first error with its detail, for requests without people, or errors about something else."""
        said = self.errors[0].safe if self.errors else "no reason given"
        return f"{self.status} ({said}; request {self.request_id})"


class GarbledError(ValueError):
    """An answer that is not what its status promises."""


def redact(text: str) -> str:
    """The text, cut short, with everything that looks like an e-mail address or a long number taken out."""
    return PERSONAL.sub("<...>", text[: 4 * LONGEST_DETAIL])[:LONGEST_DETAIL]


def parse(body: bytes) -> Json:
    """The JSON object of a body; empty when there is none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def resources(document: Json, holds: Literal["one", "many", "nothing"]) -> tuple[Json, ...]:
    """The resources of a good answer.

    Raises:
        GarbledError: The body does not hold what the endpoint promises; an answer that was cut short looks so.
    """
    if holds == "nothing":
        return ()
    data = document.get("data")
    found: object = data if holds == "many" else [data]
    if not isinstance(found, list):
        raise GarbledError
    named = tuple(item for item in found if _is_resource(item))
    if len(named) < len(found):
        raise GarbledError
    return named


def _is_resource(item: object) -> TypeGuard[Json]:
    return isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"] != ""


def attributes(resource: Json) -> Json:
    """The attributes of a resource; empty when it has none."""
    return mapping(resource.get("attributes"))


def mapping(value: object) -> Json:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """The value when it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def next_page(document: Json) -> str | None:
    """The address of the next page, or None on the last one."""
    return text(mapping(document.get("links")).get("next")) or None


def api_error(item: Json) -> ApiError:
    """One error, from an error answer or from the attributes of an import error."""
    pointer = text(mapping(item.get("source")).get("pointer"))
    payload = item.get("original_payload")
    return ApiError(
        text(item.get("code")), text(item.get("title")), text(item.get("detail")), pointer, payload if isinstance(payload, dict) else None
    )


def api_errors(document: Json) -> tuple[ApiError, ...]:
    """The errors of an error answer, at most MOST_ERRORS of them; none when its body is not Klaviyo's."""
    errors = document.get("errors")
    listed = islice(errors, MOST_ERRORS) if isinstance(errors, list) else ()
    return tuple(api_error(item) for item in listed if isinstance(item, dict))
