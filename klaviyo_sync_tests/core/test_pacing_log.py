"""The pacing log: Klaviyo's limits hold, and no time is lost to them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klaviyo_sync.klaviyo.limits import IMPORT_JOBS, IMPORT_PROFILES, LIMITS, Limits
from klaviyo_sync.klaviyo.pacing import Log, Pacer

WINDOWS = st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 90)), min_size=1, max_size=3)
GAPS = st.lists(st.floats(0, 40), min_size=1, max_size=60)


def starts(log: Log, gaps: list[float], now: float = 0.0) -> list[float]:
    """When requests start that are wanted after these gaps, each as soon as the log lets it."""
    found: list[float] = []
    for gap in gaps:
        now += gap
        while wait := log.start(now):
            now += wait
        found.append(now)
    return found


@settings(deadline=None)
@given(WINDOWS, GAPS)
def test_no_window_holds_more_than_allowed(windows: list[tuple[int, float]], gaps: list[float]) -> None:
    """Wherever a window begins, it holds at most as many starts as allowed."""
    found = starts(Log(windows), gaps)
    for most, seconds in windows:
        for first, last in zip(found, found[most:], strict=False):
            assert last - first >= seconds * (1 - 1e-9)


@settings(deadline=None)
@given(WINDOWS, GAPS)
def test_nothing_waits_longer_than_a_limit_asks(windows: list[tuple[int, float]], gaps: list[float]) -> None:
    """A start that waited stands exactly at the end of a window that was full."""
    found = starts(Log(windows), gaps)
    for position, moment in enumerate(found):
        wanted = (found[position - 1] if position else 0.0) + gaps[position]
        if moment > wanted + 1e-6:
            ends = [found[position - most] + seconds for most, seconds in windows if position >= most]
            assert min(abs(moment - end) for end in ends) < 1e-6


@settings(deadline=None)
@given(st.floats(0, 100), GAPS)
def test_a_held_endpoint_starts_nothing(until: float, gaps: list[float]) -> None:
    """Before the moment that Retry-After names, nothing starts."""
    log = Log([(5, 1.0)])
    log.hold(until)
    log.hold(until / 2)
    assert min(starts(log, gaps)) >= until


def test_imports_reach_the_ceiling() -> None:
    """Over ten minutes at least 97 % of 150 imports a minute start."""
    log = Log(LIMITS.windows(IMPORT_PROFILES))
    assert len([moment for moment in starts(log, [0.0] * 1600) if moment < 600]) >= 0.97 * 1500


def test_endpoints_do_not_wait_for_each_other() -> None:
    """Klaviyo counts each endpoint on its own: reading jobs does not use up what imports may do."""
    waits: list[float] = []
    pacer = Pacer(Limits(), lambda: 0.0)
    for _ in range(10):
        pacer.take(IMPORT_PROFILES, waits.append)
    pacer.take(IMPORT_JOBS, waits.append)
    assert waits == []


@pytest.mark.parametrize("factor", [1.0, 60.0])
def test_scaled_limits_keep_their_proportions(factor: float) -> None:
    """A Klaviyo that runs `factor` times as fast has windows that are as many times shorter, with the same counts."""
    for (count, seconds), scaled in zip(LIMITS.windows(IMPORT_PROFILES), LIMITS.scaled(factor).windows(IMPORT_PROFILES), strict=True):
        assert scaled == (count, pytest.approx(seconds / factor))


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 6))
def test_threads_share_one_log(threads: int) -> None:
    """However many threads ask, together they start no more than allowed."""
    now, lock = [0.0], threading.Lock()
    pacer = Pacer(Limits(second=1.0, minute=60.0), lambda: now[0])

    def sleep(seconds: float) -> None:
        with lock:
            now[0] += seconds

    def ask(_: int) -> None:
        for _ in range(15):
            pacer.take(IMPORT_PROFILES, sleep)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, range(threads)))
    assert now[0] >= (15 * threads - 1) // 10
