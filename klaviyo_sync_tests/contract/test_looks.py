"""Looks at open import jobs: a long load asks at most about twenty times a minute, and a small window ends as soon as its job does."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing import counted
from scripted_klaviyo import KEY, FastTime, batch

from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import Patience
from klaviyo_sync.klaviyo.looks import Looks, Pace
from klaviyo_sync.sandbox import Sandbox, serve

MINUTE = 60.0


class State(NamedTuple):
    """What the watching thread knows: seconds until the first job is due, and whether batches are being sent or wait for a slot."""

    due: float
    sending: bool
    blocked: bool


STATES = st.lists(st.builds(State, st.floats(0, 40), st.booleans(), st.booleans()), min_size=1, max_size=40)


def looked(states: list[State], seconds: float) -> list[float]:
    """The moments of all looks in so many seconds, when the states come in turn after each of them."""
    looks, now, moments = Looks(Pace()), 0.0, []
    while now < seconds:
        state = states[len(moments) % len(states)]
        now = max(now, now + looks.wait(now, now + state.due, sending=state.sending, blocked=state.blocked))
        looks.took(now)
        moments.append(now)
    return moments


@given(STATES, st.integers(1, 20))
def test_looks_are_bounded_whatever_happens(states: list[State], minutes: int) -> None:
    """However jobs come and end, there are at most 20 looks a minute, and eight more."""
    assert len(looked(states, minutes * MINUTE)) <= 20 * minutes + 8 + 1


@pytest.mark.parametrize("job_seconds", [0.4, 0.9, 2.0, 5.0, 11.0, 30.0, 200.0])
def test_a_single_job_is_looked_at_by_its_age_alone(job_seconds: float) -> None:
    """The bound is never felt by a window of one batch: its job is noticed by the first look that its age allows."""
    patience, looks = Patience(), Looks(Pace())
    age = due = patience.shortest
    while age < job_seconds:
        age += max(0.0, looks.wait(age, due, sending=False, blocked=False))
        assert age == pytest.approx(due)
        looks.took(age)
        due = age + patience.until_next_look(age)
    assert age <= max(1.0, 1.5 * job_seconds)


def polls(box: Sandbox) -> int:
    """How often the sandbox was asked for states of import jobs."""
    names = ("get_bulk_import_profiles_jobs", "get_bulk_import_profiles_job")
    return sum(count for (operation, _), count in box.requests.items() if operation in names)


@pytest.mark.parametrize("job_seconds", [0.2, 5.0, 25.0])
def test_a_long_load_asks_twenty_times_a_minute(job_seconds: float) -> None:
    """Under Klaviyo's limits a load of minutes asks for its jobs at most 20 times a minute and eight more, however long a job takes."""
    passing = FastTime()
    box = Sandbox(job_seconds=job_seconds, clock=lambda: 1_700_000_000 + passing.clock())
    with serve(box) as server, Klaviyo(KEY, server.url, clock=passing.clock, sleep=passing.sleep) as klaviyo:
        began = passing.clock()
        outcomes = list(import_batches(klaviyo, (batch(1, start=n) for n in range(450))))
        minutes = (passing.clock() - began) / MINUTE
    assert counted(outcomes) == {"imported": 450}
    assert minutes > 2
    assert 3 <= polls(box) <= 20 * minutes + 8 + 1
