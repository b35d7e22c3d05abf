"""How far back a schedule looks when nobody says so: seven days, or three windows where they take longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from klaviyo_sync.core.frequencies import FREQUENCIES
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import windows

DAY = timedelta(days=1)


def sync_of(rate: str, **more: Any) -> Sync:
    """A sync with this frequency."""
    plain = {"name": "members", "connection": "local", "dataset": "members", "modified_at": "at", "start": "2023-01-01"}
    return Sync.model_validate({**plain, "profile": {"email": "email"}, "frequency": rate, **more})


@pytest.mark.parametrize(
    ("rate", "days"),
    [
        ("every_15_minutes", 7),
        ("hourly", 7),
        ("daily", 7),
        ("weekly", 21),
        ("monthly", 92),
        ("30 5 * * 1-5", 7),
        ("0 6 * * 1", 21),
        ("0 0 1,15 * *", 48),
        ("0 * * * 6", 21),
        ("0 0 1 1 *", 1096),
        ("0 3 29 2 *", 3660),  # the longest duration that there is
    ],
)
def test_the_default(rate: str, days: int) -> None:
    """Weeks, months and rarer windows are looked for over three of them in a row, the longest three that there are."""
    assert sync_of(rate).catch_up == days * DAY


@pytest.mark.parametrize("rate", [*FREQUENCIES, "0 6 * * 1", "0 0 1,15 * *"])
def test_a_failed_window_is_looked_for_twice_more(rate: str) -> None:
    """At each of the two ticks after a window's own it still ended inside the default."""
    sync = sync_of(rate)
    ends = [window.end for window, _ in zip(windows(sync, sync.starts_at + 2000 * DAY), range(40), strict=False)]
    assert all(later - earlier <= sync.catch_up for earlier, later in zip(ends, ends[2:], strict=False))


def test_what_is_written_counts() -> None:
    """A catch_up of one's own may be shorter or longer."""
    assert sync_of("monthly", catch_up="2h").catch_up == timedelta(hours=2)
    assert sync_of("hourly", catch_up="4w").catch_up == 28 * DAY


def test_a_wrong_frequency_is_said_once() -> None:
    """The default needs the frequency, and leaves a wrong one to the frequency's own message."""
    with pytest.raises(ValidationError) as error:
        sync_of("sometimes")
    assert [found["loc"] for found in error.value.errors()] == [("frequency",)]
