"""The catalogue of endpoints: where each is, what Klaviyo allows per account, and which scopes a key needs for it.

Limits, scopes and paths are those of revision 2026-07-15 (https://developers.klaviyo.com/en/reference/api_overview);
tiers: https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple


class Tier(NamedTuple):
    """How many requests an account may start in a second and in a minute."""

    burst: int
    steady: int


XS = Tier(1, 15)
M = Tier(10, 150)
L = Tier(75, 700)  # the page on limits says 700, the endpoints say 750: the smaller one holds in both readings


@dataclass(frozen=True)
class Endpoint:
    """One endpoint. `holds` is what `data` is in a good answer: one resource, many, or nothing at all.

    An answer of more than `largest` bytes is not read: parsed, it could take thirty times as much memory.
    """

    method: Literal["GET", "POST"]
    path: str
    tier: Tier
    scopes: str
    holds: Literal["one", "many", "nothing"]
    largest: int = 8_000_000  # a 400 that names 10,000 profiles has about 5 MB

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


LARGEST_PAGE = 32_000_000  # a page of 100 import errors repeats 100 profiles of at most 100 KB

ACCOUNTS = Endpoint("GET", "/api/accounts", XS, "accounts:read", "many")
LIST = Endpoint("GET", "/api/lists/{id}", L, "lists:read", "one")
IMPORT_PROFILES = Endpoint("POST", "/api/profile-bulk-import-jobs", M, "lists:write profiles:write", "one")
IMPORT_JOBS = Endpoint("GET", "/api/profile-bulk-import-jobs", M, "lists:read profiles:read", "many")
IMPORT_JOB = Endpoint("GET", "/api/profile-bulk-import-jobs/{id}", M, "lists:read profiles:read", "one")
IMPORT_ERRORS = Endpoint("GET", "/api/profile-bulk-import-jobs/{id}/import-errors", M, "profiles:read", "many", LARGEST_PAGE)
IMPORT_PROFILE = Endpoint("POST", "/api/profile-import", L, "profiles:write", "one")
PROFILES = Endpoint("GET", "/api/profiles", L, "profiles:read", "many")
SUBSCRIBE = Endpoint("POST", "/api/profile-subscription-bulk-create-jobs", L, "lists:write profiles:write subscriptions:write", "nothing")
UNSUBSCRIBE = Endpoint("POST", "/api/profile-subscription-bulk-delete-jobs", L, "lists:write profiles:write subscriptions:write", "nothing")

LIST_MEMBERS = Endpoint("POST", "/api/lists/{id}/relationships/profiles", M, "lists:write profiles:write", "nothing")


@dataclass(frozen=True)
class Limits:
    """How long Klaviyo's second and minute are, with a margin for the way there: requests do not all travel equally long."""

    second: float = 1.05
    minute: float = 60.6

    def windows(self, endpoint: Endpoint) -> tuple[tuple[int, float], ...]:
        """(requests, seconds) for each window of the endpoint."""
        return (endpoint.tier.burst, self.second), (endpoint.tier.steady, self.minute)

    def scaled(self, factor: float) -> Limits:
        """The same limits for a Klaviyo whose time runs `factor` times as fast, as the sandbox's can."""
        return replace(self, second=self.second / factor, minute=self.minute / factor)


LIMITS = Limits()
