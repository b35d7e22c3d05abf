"""When a window stops itself: the limits of `stop_above`, judged window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.errors import ConfigError, HaltedError
from klaviyo_sync.core.stopping import Changes, Reason, Stop, just_before, reasons_to_stop
from klaviyo_sync.core.tolerance import UNLIMITED, StopAbove

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def changes(
    rows: int, *, rejected: int = 0, subscribe: int = 0, unsubscribe: int = 0, imported: int = 0, cleared: int = 0, merged: int = 0
) -> Changes:
    """What a window changes; statements are for e-mail."""
    return Changes(rows, rejected, {"email_marketing": subscribe}, {"email_marketing": unsubscribe}, imported, cleared, merged)


def texts(limits: Mapping[str, object], own: Changes, before: Sequence[Changes] = ()) -> list[str]:
    """Why a window stops, given the results before it, newest first."""
    return [reason.text for reason in reasons_to_stop(StopAbove.model_validate(limits), own, just_before(own.rows, before))]


@pytest.mark.parametrize(
    ("limits", "own", "reasons"),
    [
        ({}, changes(1_000, rejected=500), []),
        ({}, changes(1_000, rejected=501), ["501 of 1,000 rows are rejected, and stop_above.rejected is 50%"]),
        ({}, changes(1_000, merged=500), []),
        (
            {},
            changes(1_000, merged=501),
            ["501 of 1,000 rows are superseded by a row with another identifier, and stop_above.merged is 50%"],
        ),
        ({"merged": None}, changes(1_000, merged=1_000), []),
        (
            {},
            changes(2_000, unsubscribe=1_001),
            ["1,001 of 2,000 rows newly unsubscribe for email_marketing, and stop_above.unsubscribes is 50%"],
        ),
        ({}, changes(2_000, subscribe=2_000), []),  # a table of subscribers is no mistake
        (
            {"subscribes": "12.5%"},
            changes(1_000, subscribe=126),
            ["126 of 1,000 rows subscribe for email_marketing, and stop_above.subscribes is 12.5%"],
        ),
        ({"rejected": 3}, changes(10, rejected=4), ["4 of 10 rows are rejected, and stop_above.rejected is 3"]),
        ({"rejected": 3}, changes(10, rejected=3), []),
        ({"rows": 1_500}, changes(1_500), []),
        ({"rows": 1_500}, changes(1_501), ["1,501 rows were read, and stop_above.rows is 1,500"]),
        ({"rejected": None, "unsubscribes": None}, changes(5_000, rejected=5_000, unsubscribe=5_000), []),
    ],
)
def test_what_is_too_much(limits: Mapping[str, object], own: Changes, reasons: list[str]) -> None:
    """A limit is a number or a share; what reaches it is still fine, and what exceeds it is named."""
    assert texts(limits, own) == reasons


@pytest.mark.parametrize(
    ("own", "before", "stops"),
    [
        (changes(3, unsubscribe=2), [], False),  # an ordinary hour
        (changes(19, unsubscribe=19), [], False),
        (changes(20, unsubscribe=20), [], True),
        (changes(390, unsubscribe=388), [], True),
        (changes(390, unsubscribe=388), [changes(30, unsubscribe=1)] * 30, True),  # small green windows do not make it less absurd
        (changes(390, unsubscribe=195), [changes(30, unsubscribe=1)] * 30, False),
        (changes(3, unsubscribe=2), [changes(3, unsubscribe=2)] * 8, False),  # 18 people in all
        (changes(3, unsubscribe=2), [changes(3, unsubscribe=2)] * 9, True),  # one by one they add up
        (changes(3, unsubscribe=0), [changes(3, unsubscribe=2)] * 20, False),  # it has no part in it
        (changes(3, unsubscribe=2), [changes(100)] + [changes(3, unsubscribe=2)] * 30, False),
        (changes(999, unsubscribe=499), [changes(50_000, unsubscribe=49_000)], False),  # one row of it makes 1,000
        (changes(500, unsubscribe=240), [changes(50_000, unsubscribe=26_100)], True),  # its share of 500 rows: 261
    ],
)
def test_small_windows(own: Changes, before: Sequence[Changes], *, stops: bool) -> None:
    """Below 1,000 rows a window is judged by itself and with the results before it, from 20 affected rows on."""
    assert bool(texts({}, own, before)) == stops


def test_it_says_what_it_was_judged_with() -> None:
    """A window that is too much only together with those before it says both numbers."""
    expected = "2 of 3 rows newly unsubscribe for email_marketing, with the results just before it 20 of 30"
    assert texts({}, changes(3, unsubscribe=2), [changes(3, unsubscribe=2)] * 9) == [f"{expected}, and stop_above.unsubscribes is 50%"]


@pytest.mark.parametrize(
    ("limits", "own", "stops"),
    [
        ({}, changes(50_000, imported=1_000, cleared=500), False),
        ({}, changes(50_000, imported=1_000, cleared=501), True),
        ({}, changes(50_000, imported=999, cleared=999), False),  # the first few of a large window say nothing of it
        ({}, changes(40, imported=40, cleared=40), True),
        ({}, changes(40, imported=40, cleared=19), False),
        ({"clears": 10}, changes(50_000, imported=20, cleared=11), True),
        ({"clears": None}, changes(50_000, imported=1_000, cleared=1_000), False),
    ],
)
def test_what_clears_too_much(limits: Mapping[str, object], own: Changes, *, stops: bool) -> None:
    """Clears are judged by the profiles imported so far."""
    expected = f"NULLs would clear values of {own.cleared:,} of the first {own.imported:,} profiles, and stop_above.clears is "
    assert [text.startswith(expected) for text in texts(limits, own)] == [True] * stops


@st.composite
def windows_of_rows(draw: st.DrawFn) -> Changes:
    """Any window: tiny ones most of the time, with any part of their rows opted out."""
    rows = draw(st.integers(0, 40) | st.integers(0, 1_500))
    return changes(rows, unsubscribe=draw(st.integers(0, rows)))


def model(share: Fraction, opt_outs: Sequence[tuple[int, int]]) -> list[bool]:
    """Which windows stop, told row by row: (rows, opt-outs) of each, oldest first."""
    verdicts: list[bool] = []
    for position, (rows, leaving) in enumerate(opt_outs):
        earlier = [opt_outs[place] for place in range(position - 1, -1, -1) if not verdicts[place]][:30]
        read, gone = rows, Fraction(leaving)
        for their_rows, their_leaving in earlier if rows < 1_000 else []:
            taken = min(their_rows, 1_000 - read)
            gone += their_leaving * taken // their_rows if their_rows else 0
            read += taken
        alone = leaving > share * rows and (leaving >= 20 or rows >= 1_000)
        together = rows < 1_000 and leaving > 0 and gone >= 20 and gone > share * read
        verdicts.append(alone or together)
    return verdicts


def run_of(limits: StopAbove, windows: Sequence[Changes], before: list[Changes]) -> list[bool]:
    """Which windows of a run stop; those that do not are put before the next ones."""
    verdicts = []
    for own in windows:
        verdicts.append(bool(reasons_to_stop(limits, own, just_before(own.rows, before))))
        if not verdicts[-1]:
            before.insert(0, own)
    return verdicts


@given(st.lists(windows_of_rows(), max_size=50), st.sampled_from([10, 50, 90]))
@example([changes(1)] * 31 + [changes(20, unsubscribe=20)], 50)
def test_shares_by_window(windows: list[Changes], percent: int) -> None:
    """Every window stops exactly when its own share is too high, or that of it and those before it: as an independent model has it."""
    limits = StopAbove.model_validate({"unsubscribes": f"{percent}%"})
    pairs = [(own.rows, own.unsubscribes["email_marketing"]) for own in windows]
    assert run_of(limits, windows, []) == model(Fraction(percent, 100), pairs)


@given(st.lists(windows_of_rows(), min_size=1, max_size=30), st.data())
def test_a_stop_leaves_no_trace(windows: list[Changes], data: st.DataObject) -> None:
    """Whether a window that stopped itself is tried among others or not at all, the others go the same way."""
    limits = StopAbove()
    stopped = run_of(limits, windows, [])
    left = [own for own, stops in zip(windows, stopped, strict=True) if not (stops and data.draw(st.booleans()))]
    assert sum(run_of(limits, left, [])) == sum(stopped) - (len(windows) - len(left))


def test_it_is_for_the_owner_of_the_data() -> None:
    """A run whose windows all stopped is a ConfigError that carries why."""
    stop = Stop((Reason("rows", "11 rows were read"), Reason("rejected", "2 of 11 rows are rejected")), 11, 0, DAY)
    error = HaltedError("The run stopped itself.", {"2026-01-01": stop})
    assert isinstance(error, ConfigError)
    assert error.stopped["2026-01-01"].text == "11 rows were read; 2 of 11 rows are rejected"


def test_opt_outs_that_went_out_all_the_same() -> None:
    """A stop counts the opt-outs that went out over all channels."""
    counts = ConsentCounts(stated=3, sent=2, already=1, unsubscribed=2)
    assert Stop((), 5, 0, DAY, {"email_marketing": counts, "sms_marketing": counts}).sent == 4


def test_no_limits() -> None:
    """Without limits nothing stops."""
    own = changes(10**6, rejected=10**6, subscribe=10**6, unsubscribe=10**6, imported=10**6, cleared=10**6)
    assert reasons_to_stop(UNLIMITED, own) == ()
