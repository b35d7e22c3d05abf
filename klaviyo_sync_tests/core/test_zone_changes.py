"""Spans of rows whose time zone was corrected: no moment counts as imported whose rows were not read."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.coverage import BEGINNING, Span
from klaviyo_sync.core.zone_changes import moved

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Australia/Lord_Howe"])
MOMENTS = st.integers(1_700_000_000, 1_800_000_000)


def wall(seconds: float, zone: str) -> datetime:
    """What a column without a zone holds for a moment."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@given(ZONES, ZONES, MOMENTS, st.integers(0, 10**6), MOMENTS)
def test_what_counts_as_imported_was_read(before: str, now: str, start: int, length: int, row: int) -> None:
    """Whatever row lies in the span that comes back lay in the span that was read, but for those of a clock change."""
    span = moved(Span(start, start + length), before, now)
    if span.start <= row < span.end:
        assert wall(start, before) <= wall(row, now) or wall(start, before).hour < 4
        assert wall(row, now) <= wall(start + length, before)


def test_history_stays() -> None:
    """A span that reaches back to the beginning still does."""
    assert moved(Span(BEGINNING, 0.0), "UTC", "Asia/Kolkata") == Span(BEGINNING, -19_800.0)
    assert moved(Span(0.0, 3600.0), "UTC", "UTC") == Span(0.0, 3600.0)
