"""Requests as the sandbox sees them: method, path, query, headers, and a body that is read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from klaviyo_sync.sandbox.answers import refusal


@dataclass
class Request:
    """One request. Header names are lower-case; `base` is the server's address as the client wrote it, for the links in answers."""

    method: str
    target: str
    headers: Mapping[str, str]
    base: str
    read: Callable[[], bytes]
    parts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        split = urlsplit(self.target)
        self.path = split.path.rstrip("/") or "/"
        self.query: dict[str, str] = dict(parse_qsl(split.query, keep_blank_values=True))

    def address(self, **changes: str) -> str:
        """This request's own address, with some query parameters set. `page_cursor` stands for `page[cursor]`."""
        query = {**self.query, **{name.replace("_", "[", 1) + "]": value for name, value in changes.items()}}
        return f"{self.base}{self.path}" + (f"?{urlencode(query)}" if query else "")

    def names(self, parameter: str) -> frozenset[str] | None:
        """The comma-separated names in a query parameter; None when it is absent."""
        value = self.query.get(parameter)
        return None if value is None else frozenset(filter(None, value.split(",")))

    def json(self) -> object:
        """The body as JSON. Raises the 400 for what is not JSON; NaN and Infinity are not."""
        try:
            return orjson.loads(self.read())
        except orjson.JSONDecodeError as error:
            raise refusal("parse_error", f"JSON parse error - {error}", "/data") from None
