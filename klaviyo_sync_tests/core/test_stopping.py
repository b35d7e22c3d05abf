"""When a run stops itself: the limits of `stop_above`, judged by what was read so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime, timezone

import numpy as np
import pytest

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.errors import ConfigError, HaltedError
from klaviyo_sync.core.stopping import reasons_to_stop, stop_if_absurd, stop_if_wiping
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.tolerance import UNLIMITED, StopAbove
from klaviyo_sync.core.windows import Window

DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)


def read(rows: int, rejected: int = 0, **meanings: int) -> Tally:
    """A tally of so many rows; `meanings` are statements for e-mail."""
    tally = Tally([Window("2026-01-01", DAY, DAY, first=True)])
    tally.count("read", np.zeros(rows, np.int64))
    tally.count("rejected", np.zeros(rejected, np.int64))
    tally.meanings = Counter({("email_marketing", meaning): count for meaning, count in meanings.items()})
    return tally


@pytest.mark.parametrize(
    ("limits", "tally", "reasons"),
    [
        ({}, read(1_000, rejected=500), []),
        ({}, read(1_000, rejected=501), ["501 of the first 1,000 rows are rejected, and stop_above.rejected is 50%"]),
        ({}, read(999, rejected=999), []),  # a share says nothing of a few rows
        (
            {},
            read(2_000, unsubscribe=1_001),
            ["1,001 of the first 2,000 rows unsubscribe for email_marketing, and stop_above.unsubscribes is 50%"],
        ),
        ({}, read(2_000, subscribe=2_000), []),  # a table of subscribers is no mistake
        (
            {"subscribes": "12.5%"},
            read(1_000, subscribe=126),
            ["126 of the first 1,000 rows subscribe for email_marketing, and stop_above.subscribes is 12.5%"],
        ),
        ({"rejected": 3}, read(10, rejected=4), ["4 of the first 10 rows are rejected, and stop_above.rejected is 3"]),
        ({"rows": 1_500}, read(1_500), []),
        ({"rows": 1_500}, read(1_501), ["1,501 rows were read so far, and stop_above.rows is 1,500"]),
        ({"rejected": None, "unsubscribes": None}, read(5_000, rejected=5_000, unsubscribe=5_000), []),
    ],
)
def test_what_is_too_much(limits: Mapping[str, object], tally: Tally, reasons: list[str]) -> None:
    """A limit is a number, or a share once 1,000 rows were read; what reaches it is still fine, and what exceeds it is named."""
    assert list(reasons_to_stop(StopAbove.model_validate(limits), tally)) == reasons


def test_it_is_for_the_author_of_the_sync() -> None:
    """A run that stops itself is a ConfigError that names every limit that it exceeds."""
    limits = StopAbove.model_validate({"rows": 10, "rejected": 1})
    with pytest.raises(HaltedError, match=r"stop_above\.rows is 10; .*stop_above\.rejected is 1\.") as caught:
        stop_if_absurd(limits, read(20, rejected=2))
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("limits", "cleared", "more", "stops"),
    [({}, 300, 200, False), ({}, 300, 201, True), ({"clears": 10}, 0, 11, True), ({"clears": None}, 1_000, 0, False)],
)
def test_what_clears_too_much(limits: Mapping[str, object], cleared: int, more: int, *, stops: bool) -> None:
    """Clears are judged by the profiles imported so far, those of earlier batches among them."""
    tally = read(50_000)
    tally.count("imported", np.zeros(1_000, np.int64))
    tally.clears[0] = ClearCounts(to_clear=50_000, cleared=cleared, already_empty=1_000 - cleared)
    expected = r"clear values of \d+ of the first 1,000 profiles, and stop_above\.clears is "
    with pytest.raises(HaltedError, match=expected) if stops else nullcontext():
        stop_if_wiping(StopAbove.model_validate(limits), tally, more)


def test_let_through() -> None:
    """What run config lets through has no limit at all."""
    stop_if_wiping(UNLIMITED, read(10**6), 10**6)
    assert list(reasons_to_stop(UNLIMITED, read(10**6, rejected=10**6, subscribe=10**6, unsubscribe=10**6))) == []
