"""Spans: what is covered, moment by moment, against a set of minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.coverage import BEGINNING, Coverage, Span, Tiles, span_of, uncovered
from klaviyo_sync.core.windows import Window

MOMENTS = st.integers(0, 40)
SPANS = st.lists(st.tuples(MOMENTS | st.just(BEGINNING), MOMENTS).map(lambda ends: Span(*map(float, ends))), max_size=12)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moments(span: Span) -> set[int]:
    """The whole numbers in a span, from -1 on, which stands for everything older than 0."""
    return {moment for moment in range(-1, 41) if span.start <= moment < span.end}


def window(start: int, end: int, *, first: bool = False) -> Window:
    """A window of so many seconds."""
    return Window(f"{start}", EPOCH + timedelta(seconds=start), EPOCH + timedelta(seconds=end), first)


@given(SPANS, SPANS, st.tuples(MOMENTS, MOMENTS))
def test_a_span_is_covered_when_each_of_its_moments_is(spans: list[Span], more: list[Span], asked: tuple[int, int]) -> None:
    """Whatever the spans, their order and overlaps: covered is what lies in their union, and nothing else."""
    wanted = Span(float(min(asked)), float(max(asked)))
    union = set().union(*(moments(span) for span in [*spans, *more]))
    assert Coverage(spans).plus(more).covers(wanted) == (moments(wanted) <= union)


@given(SPANS)
def test_spans_are_merged_as_far_as_they_can_be(spans: list[Span]) -> None:
    """Spans that touch or overlap become one, in order, and no moment is lost or added."""
    coverage = Coverage(spans)
    assert all(earlier.end < later.start for earlier, later in zip(coverage.spans, coverage.spans[1:], strict=False))
    assert set().union(*map(moments, coverage.spans)) == set().union(*map(moments, spans))


@given(spans=SPANS, lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), start=MOMENTS, history=st.booleans())
def test_windows_that_are_not_covered(spans: list[Span], lengths: list[int], start: int, *, history: bool) -> None:
    """A window is done when all its moments are covered, the first one with everything older where history goes along."""
    windows = []
    for length in lengths:
        windows.append(window(start, min(start + length, 40), first=not windows))
        start = min(start + length, 40)
    union = set().union(*map(moments, spans))
    wanted = [window for window in windows if not moments(span_of(window, history=history)) <= union]
    assert uncovered(windows, Coverage(spans), history=history) == wanted


def test_only_the_first_window_reaches_back() -> None:
    """Its span begins with the beginning when history is included, with its own start when not."""
    assert span_of(window(5, 9, first=True), history=True) == Span(BEGINNING, 9)
    assert span_of(window(5, 9, first=True), history=False) == Span(5, 9)
    assert span_of(window(5, 9), history=True) == Span(5, 9)


@given(st.dictionaries(SPANS.filter(bool).map(lambda spans: spans[0]), st.integers()), st.tuples(MOMENTS, MOMENTS))
def test_tiles_lie_end_to_end(values: dict[Span, int], asked: tuple[int, int]) -> None:
    """Spans that are laid over another one touch, do not overlap, and are exactly as long as it is."""
    wanted = Span(float(min(asked)), float(max(asked)))
    laid = Tiles({span: span for span in values}).over(wanted)
    if laid:
        assert [laid[0].start, *(span.end for span in laid)] == [*(span.start for span in laid), wanted.end]
        assert laid[0].start == wanted.start


def test_what_cannot_be_laid() -> None:
    """Days make a week, six days do not, and a week does not make a day."""
    days = {Span(float(day), day + 1.0): day for day in range(7)}
    assert Tiles(days).over(Span(0, 7)) == [0, 1, 2, 3, 4, 5, 6]
    assert Tiles({span: day for span, day in days.items() if day != 3}).over(Span(0, 7)) is None
    assert Tiles({Span(0, 7): 7}).over(Span(1, 2)) is None
    assert Tiles({**days, Span(0, 7): 7}).over(Span(0, 7)) == [7]
