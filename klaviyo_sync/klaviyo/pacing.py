"""Pacing: no endpoint is asked more often than Klaviyo allows, however many threads ask.

Klaviyo counts fixed windows of a second and a minute per endpoint and account
(https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling). When its windows begin is not known, so a
window beginning at any moment must hold no more starts than allowed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

from klaviyo_sync.klaviyo.limits import Endpoint, Limits


class Log:
    """The last starts at one endpoint. Not for several threads at once."""

    def __init__(self, windows: Sequence[tuple[int, float]]) -> None:
        self._windows = windows
        self._starts: deque[float] = deque(maxlen=max(count for count, _ in windows))
        self._held_until = -math.inf

    def start(self, now: float) -> float:
        """Seconds to wait before asking again; 0 when a request may start now, which is then written down."""
        free = self._held_until
        for count, seconds in self._windows:
            if len(self._starts) >= count:
                free = max(free, self._starts[-count] + seconds)
        if free > now:
            return free - now
        self._starts.append(now)
        return 0.0

    def hold(self, until: float) -> None:
        """Lets nothing start before `until`."""
        self._held_until = max(self._held_until, until)


class Pacer:
    """The logs of all endpoints, shared by the threads of one client."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._logs: dict[Endpoint, Log] = {}
        self._limits = limits

    def _log(self, endpoint: Endpoint) -> Log:
        if endpoint not in self._logs:
            self._logs[endpoint] = Log(self._limits.windows(endpoint))
        return self._logs[endpoint]

    def take(self, endpoint: Endpoint, pause: Callable[[float], None]) -> None:
        """Returns when a request to the endpoint may start; waits through `pause`."""
        while True:
            with self._lock:
                wait = self._log(endpoint).start(self._clock())
            if not wait:
                return
            pause(wait)

    def hold(self, endpoint: Endpoint, seconds: float) -> None:
        """Lets no thread ask the endpoint for so many seconds: Klaviyo said so."""
        with self._lock:
            self._log(endpoint).hold(self._clock() + seconds)
