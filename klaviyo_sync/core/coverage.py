"""What was imported, as spans of `modified_at`: spans merged, and the windows that they do not cover.

A window is done when spans cover it, whatever it was called when they were imported. So a change of frequency, of time zone or of
`start` makes missing exactly what no span covers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from klaviyo_sync.core.windows import Window

BEGINNING = -math.inf

V = TypeVar("V")


class Span(NamedTuple):
    """`[start, end)` in seconds since 1970. It takes everything older along when it starts at BEGINNING."""

    start: float
    end: float


class Coverage:
    """A set of moments, as spans that neither touch nor overlap, oldest first. It does not change; `plus` makes another one."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans = tuple(merged(spans))
        self._starts = [span.start for span in self.spans]

    def plus(self, spans: Iterable[Span]) -> Coverage:
        """This coverage and the spans together."""
        return Coverage((*self.spans, *spans))

    def covers(self, span: Span) -> bool:
        """Whether every moment of the span is covered; an empty span always is."""
        if span.end <= span.start:
            return True
        position = bisect_right(self._starts, span.start) - 1
        return position >= 0 and span.end <= self.spans[position].end

    def covers_all(self, spans: Iterable[Span]) -> bool:
        """Whether each of the spans is covered."""
        return all(self.covers(span) for span in spans)


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """The same moments in as few spans as there can be, oldest first."""
    current: Span | None = None
    for span in sorted(span for span in spans if span.start < span.end):
        if current is None:
            current = span
        elif span.start <= current.end:
            current = Span(current.start, max(current.end, span.end))
        else:
            yield current
            current = span
    if current is not None:
        yield current


def span_of(window: Window, *, history: bool) -> Span:
    """What a run of the window reads for good; with `history` the first window of a sync reaches back to the beginning."""
    return Span(BEGINNING if window.first and history else window.start.timestamp(), window.end.timestamp())


def uncovered(windows: Iterable[Window], coverage: Coverage, *, history: bool) -> list[Window]:
    """The windows of which some moment is not covered, in their order."""
    return [window for window in windows if not coverage.covers(span_of(window, history=history))]


class Tiles(Generic[V]):
    """Spans with a value each, to be laid end to end."""

    def __init__(self, values: Mapping[Span, V]) -> None:
        self._values = values
        self._ends: dict[float, list[float]] = {}
        for span in values:
            self._ends.setdefault(span.start, []).append(span.end)

    def over(self, span: Span) -> list[V] | None:
        """The values of spans that are together exactly `span`, oldest first; None when there are none.

        Where several start alike the longest that fits is taken.
        """
        values = []
        start = span.start
        while start < span.end:
            fitting = [end for end in self._ends.get(start, ()) if start < end <= span.end]
            if not fitting:
                return None
            values.append(self._values[Span(start, max(fitting))])
            start = max(fitting)
        return values
