"""The catalogue of passing troubles: how often each is tried again, and how long is waited.

Klaviyo's advice: 429 and 503 again, exponentially with jitter, never before Retry-After
(https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling). Every request of this package may be sent
twice: imports are upserts, and the rest reads or states what is to be.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry


class Trouble(NamedTuple):
    """One kind of trouble: how often a request may meet it, and the first wait in seconds, doubled each time."""

    name: str
    attempts: int
    first_wait: float


THROTTLED = Trouble("throttled", 20, 1.0)
BUSY = Trouble("busy", 8, 1.0)
BROKEN = Trouble("broken", 4, 0.5)
UNREACHABLE = Trouble("unreachable", 7, 0.5)
GARBLED = Trouble("garbled", 4, 0.5)
FORBIDDEN_PAGE = Trouble("forbidden page", 2, 2.0)  # a 403 that is a web page comes from the network in front of Klaviyo, now and then

BY_STATUS: dict[int, Trouble] = {429: THROTTLED, **dict.fromkeys((408, 425, 503, 504, 520, 521, 522, 523, 524), BUSY)}
LONGEST_WAIT = 60.0


def trouble(status: int) -> Trouble | None:
    """The kind of trouble that a status stands for; None for one that would be the same again."""
    return BY_STATUS.get(status, BROKEN if status >= 500 else None)  # noqa: PLR2004


def backoff(kind: Trouble, met: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds to wait after meeting the trouble for the `met`-th time: doubled each time, between a half and all of it."""
    return min(kind.first_wait * 2 ** (met - 1), LONGEST_WAIT) * (0.5 + jitter() / 2)


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None without one, or with one that means nothing."""
    if value is None:
        return None
    try:
        return Retry().parse_retry_after(value.strip())
    except (InvalidHeader, ValueError, OverflowError):
        return None
