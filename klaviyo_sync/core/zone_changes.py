"""Spans of a `modified_at` without a time zone, once its rows are read in another zone than before: they move with their rows."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from klaviyo_sync.core.coverage import BEGINNING, Span


def moved(span: Span, before: str, now: str) -> Span:
    """The moments at which the rows of a span are now, that were read in the zone `before`, and are read in the zone `now`.

    Where a wall-clock time stands for two moments, the span that comes back is the shorter one: rows are rather read twice than never.
    """
    if before == now:
        return span
    return Span(span.start if span.start == BEGINNING else max(moments(span.start, before, now)), min(moments(span.end, before, now)))


def moments(seconds: float, before: str, now: str) -> tuple[float, float]:
    """What the wall-clock time of a moment in the zone `before` means in the zone `now`."""
    wall = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(before)).replace(tzinfo=ZoneInfo(now))
    return wall.replace(fold=0).timestamp(), wall.replace(fold=1).timestamp()
