"""Rate limits: two fixed windows for each endpoint, one second and one minute, shared by all keys of the account.

https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling#rate-limits
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tier:
    """How many requests one endpoint takes in a second and in a minute."""

    burst: int
    steady: int


XS = Tier(1, 15)
S = Tier(3, 60)
M = Tier(10, 150)
L = Tier(75, 750)

MINUTE = 60.0


@dataclass(frozen=True)
class Grant:
    """Whether a request may pass. `wait` is how many sandbox seconds to wait when it may not."""

    allowed: bool
    wait: float
    headers: dict[str, str]


class Limits:
    """The windows of every endpoint. They start with the clock, not with the first request."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, float], tuple[int, int]] = {}

    def take(self, name: str, tier: Tier, at: float) -> Grant:
        """Counts one request against a quota at a sandbox time. A refused request is not counted."""
        used: dict[float, tuple[int, int]] = {}
        waits = [0.0]
        for length, most in ((1.0, tier.burst), (MINUTE, tier.steady)):
            window = math.floor(at / length)
            last, count = self._counts.get((name, length), (window, 0))
            count = count if last == window else 0
            used[length] = (window, count + 1)
            if count >= most:
                waits.append((window + 1) * length - at)
        if len(waits) > 1:
            return Grant(allowed=False, wait=max(waits), headers={})
        for length, window_count in used.items():
            self._counts[name, length] = window_count
        headers = {
            "RateLimit-Limit": f"{tier.burst}, {tier.burst};w=1, {tier.steady};w=60",
            "RateLimit-Remaining": str(tier.burst - used[1.0][1]),
            "RateLimit-Reset": str(int(used[1.0][0] + 1 - at)),
        }
        return Grant(allowed=True, wait=0.0, headers=headers)
