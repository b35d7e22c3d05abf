"""The query parameters of a collection: filters, pages, sparse fields.

https://developers.klaviyo.com/en/docs/filtering_ and https://developers.klaviyo.com/en/docs/api_overview.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from klaviyo_sync.sandbox.answers import Answer, ApiError, refusal
from klaviyo_sync.sandbox.request import Request

MAX_ANY = 100
"""How many values `any` takes. Our reading: a page holds no more than 100 profiles."""

_CALL = re.compile(
    r"\s*([a-z-]+)\(\s*([A-Za-z_.]+)\s*,\s*(\[.*\]|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\"'\[\],()]+)\s*\)\s*", re.DOTALL
)
_TEXT = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")
_ESCAPED = re.compile(r"\\(.)")


def bad_parameter(name: str, detail: str) -> ApiError:
    """The refusal that names a query parameter."""
    return refusal("invalid", detail, source={"parameter": name})


@dataclass(frozen=True)
class Condition:
    """One filter: `field` has one of `values` (equals, any), or stands in another relation to the only one."""

    operator: str
    field: str
    values: frozenset[str]

    @property
    def value(self) -> str:
        """The only value."""
        return next(iter(self.values))


def conditions(request: Request, allowed: Mapping[str, Collection[str]]) -> list[Condition]:
    """The conditions of `filter`, all of which must hold. `allowed`: the operators of each field."""
    text = request.query.get("filter")
    if text is None:
        return []
    if text.startswith("and(") and text.endswith(")"):
        text = text[len("and(") : -1]
    found = []
    position = 0
    while position < len(text):
        match = _CALL.match(text, position)
        if match is None:
            raise bad_parameter("filter", f"The filter cannot be read from its character {position + 1} on.")
        operator, field, value = match.groups()
        if operator not in allowed.get(field, ()):
            raise bad_parameter("filter", f"'{operator}' is not allowed for '{field}'.")
        found.append(Condition(operator, field, _values(operator, value)))
        position = match.end() + (text[match.end() :][:1] == ",")
    return found


def _values(operator: str, text: str) -> frozenset[str]:
    if operator == "any" and not text.startswith("["):
        raise bad_parameter("filter", "'any' takes a list, such as any(id,['a','b']).")
    texts = [_ESCAPED.sub(r"\1", double or single) for double, single in _TEXT.findall(text)]
    if len(texts) > MAX_ANY:
        raise bad_parameter("filter", f"'any' takes at most {MAX_ANY} values.")
    return frozenset(texts or [text.strip()])


@dataclass(frozen=True)
class Paging:
    """How many items a page has, and how many it may have."""

    default: int = 20
    most: int = 100


def paged(
    request: Request,
    items: Sequence[Any],
    render: Callable[[Any], dict[str, Any]],
    paging: Paging,
    included: Callable[[Sequence[Any]], list[Any]] | None = None,
) -> Answer:
    """One page of a collection, rendered, with the addresses of its neighbours. Cursors are opaque to clients."""
    size = _size(request, paging)
    start = _start(request)
    page = items[start : start + size]
    following = _cursor(start + size) if start + size < len(items) else None
    preceding = _cursor(max(start - size, 0)) if start > 0 else None
    links = {
        "self": request.address(),
        "next": request.address(page_cursor=following) if following else None,
        "prev": request.address(page_cursor=preceding) if preceding else None,
    }
    body: dict[str, Any] = {"data": [render(item) for item in page], "links": links}
    if included is not None:
        body["included"] = included(page)
    return Answer(200, orjson.dumps(body))


def _size(request: Request, paging: Paging) -> int:
    text = request.query.get("page[size]", str(paging.default))
    if not text.isdecimal() or not 1 <= int(text) <= paging.most:
        raise bad_parameter("page[size]", f"The page size must be a number from 1 to {paging.most}.")
    return int(text)


def _start(request: Request) -> int:
    text = request.query.get("page[cursor]")
    if text is None:
        return 0
    try:
        return int(urlsafe_b64decode(text + "==").decode().removeprefix("from="))
    except ValueError:
        raise bad_parameter("page[cursor]", "Invalid page cursor.") from None


def _cursor(start: int) -> str:
    return urlsafe_b64encode(f"from={start}".encode()).decode().rstrip("=")


def sparse(request: Request, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that `fields[kind]` asks for; all of them when it is absent."""
    wanted = request.names(f"fields[{kind}]")
    return attributes if wanted is None else {name: value for name, value in attributes.items() if name in wanted}


def order(request: Request, fields: Collection[str], default: str) -> tuple[str, bool]:
    """The field to sort by, and whether downwards."""
    text = request.query.get("sort", default)
    if text.removeprefix("-") not in fields:
        raise bad_parameter("sort", f"'{text}' is not allowed; sort by {', '.join(fields)}.")
    return text.removeprefix("-"), text.startswith("-")
