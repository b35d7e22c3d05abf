"""Looks at open import jobs: as few as a long load needs, and soon where somebody waits for one.

One request of the job list tells the states of all open jobs, so what counts is how often it is made, not how many jobs are open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks: while batches are still being sent, when sending waits for a job to end, and once all are sent.

    `each` and `spare` bound all of them together: one look in so many seconds over a long load, and so many at once before that. A
    window of one batch whose job takes 11 s needs eight.
    """

    sending: float = 3.0
    blocked: float = 1.0
    ending: float = 0.5
    each: float = 3.0
    spare: int = 8

    def scaled(self, factor: float) -> Pace:
        """The same pace with a Klaviyo whose time runs `factor` times as fast."""
        return Pace(self.sending / factor, self.blocked / factor, self.ending / factor, self.each / factor, self.spare)


class Looks:
    """The looks of one run. Not for several threads at once."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._last = -math.inf
        self._spare = float(pace.spare)

    def _spare_at(self, now: float) -> float:
        return min(self._pace.spare, self._spare + (now - self._last) / self._pace.each)

    def wait(self, now: float, due: float, *, sending: bool, blocked: bool) -> float:
        """Seconds until the next look, none or less when it is time.

        `due` is when the first open job is to be looked at by its age; it does not count while sending is `blocked` until any job ends.
        """
        affordable = now + (1.0 - self._spare_at(now)) * self._pace.each
        if blocked:
            return max(self._last + self._pace.blocked, affordable) - now
        return max(self._last + (self._pace.sending if sending else self._pace.ending), due, affordable) - now

    def took(self, now: float) -> None:
        """Takes note of a look."""
        self._spare = self._spare_at(now) - 1.0
        self._last = now
