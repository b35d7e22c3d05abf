"""What a route is. Each family of endpoints has a table of its own; endpoints/__init__.py joins them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from klaviyo_sync.sandbox.answers import Answer
from klaviyo_sync.sandbox.limits import Tier
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.state import Sandbox

Handler = Callable[[Sandbox, Request], Answer]

_PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Route:
    """One endpoint: `operation` is its name in Klaviyo's OpenAPI document, and in faults and counts.

    `parameters` are the query parameters it takes; `most_bytes` is the largest body. `costly` holds the query parameters
    that have limits of their own, as (parameter, value, tier).
    """

    method: str
    path: str
    operation: str
    handler: Handler
    tier: Tier
    scopes: frozenset[str]
    parameters: frozenset[str] = frozenset()
    most_bytes: int = 5_000_000
    costly: tuple[tuple[str, str, Tier], ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the request has a body."""
        return self.method != "GET"

    def quota(self, request: Request) -> tuple[str, Tier]:
        """What a request counts against: a name, and how many are allowed."""
        for parameter, value, tier in self.costly:
            if value in (request.names(parameter) or ()):
                return f"{self.operation}?{value}", tier
        return self.operation, self.tier


class RouteTable:
    """The routes by path. Paths are compared without a slash at the end."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        paths: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            paths.setdefault(route.path, {})[route.method] = route
        self._paths = [(re.compile(_PART.sub(r"(?P<\1>[^/]+)", path)), methods) for path, methods in paths.items()]

    def at(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """The routes of a path by method, and its parts; nothing when there is no such path."""
        for pattern, methods in self._paths:
            match = pattern.fullmatch(path)
            if match:
                return methods, match.groupdict()
        return {}, {}
