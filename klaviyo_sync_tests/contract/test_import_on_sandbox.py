"""Imports through the client into the local Klaviyo, with everything that can go wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scripted_klaviyo import batch, quick

from klaviyo_sync.core.errors import NoSuchListError, Refused, Unavailable
from klaviyo_sync.core.result import FATES, Outcome
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import Patience, prepare
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.sandbox import Sandbox, serve

SOON = Patience(job=60)
LIST = "Y6nRLr"


def sandbox(**options: Any) -> Sandbox:
    """A sandbox without limits whose jobs take no time."""
    return Sandbox(**{"limits": False, "job_seconds": 0.0, **options})


@contextmanager
def client(box: Sandbox) -> Iterator[Klaviyo]:
    """A client of it whose waits cost no time."""
    with serve(box) as server, quick(server.url) as (klaviyo, _):
        yield klaviyo


def counted(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many rows met each fate; every loss has a reason."""
    numbers: Counter[str] = Counter()
    for outcome in outcomes:
        found = [FATES[fate] for fate in outcome.fates]
        assert set(outcome.reasons) == {row for row, fate in enumerate(found) if fate != "imported"}
        numbers.update(found)
    return dict(numbers)


def status_counts(box: Sandbox, operation: str = "bulk_import_profiles") -> dict[int, int]:
    """How often the sandbox gave each status at one operation."""
    return {status: times for (name, status), times in box.requests.items() if name == operation}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("429", {"retry_after": 3, "times": 2}),
        ("429", {"retry_after": None, "times": 3}),
        ("500", {"times": 2}),
        ("502", {"times": 2}),
        ("503", {"times": 5}),
        ("504", {"times": 3}),
        ("524", {"times": 3}),
        ("504", {"carried_out": True}),
        ("403_html", {}),
        ("reset", {"times": 3}),
        ("reset", {"carried_out": True, "times": 2}),
        ("truncated", {"times": 2}),
        ("garbage", {"times": 2}),
        ("slow", {"seconds": 0.05}),
    ],
)
@pytest.mark.parametrize("endpoint", ["bulk_import_profiles", None])
def test_passing_trouble_loses_nothing(kind: str, options: dict[str, Any], endpoint: str | None) -> None:
    """Whatever passes, at the import or anywhere, every row is in Klaviyo and counted once."""
    box = sandbox()
    box.faults.add(kind, endpoint=endpoint, **options)
    with client(box) as klaviyo:
        outcomes = list(import_batches(klaviyo, (batch(10, start=n) for n in range(0, 60, 10))))
    assert counted(outcomes) == {"imported": 60}
    assert len(box.profiles) == 60


@pytest.mark.parametrize("kind", ["401", "403"])
def test_a_key_that_is_not_good_ends_the_run(kind: str) -> None:
    """401 and 403 are for the owner of the key: not tried again."""
    box = sandbox()
    box.faults.add(kind, endpoint="bulk_import_profiles", times=0)
    with client(box) as klaviyo, pytest.raises(Refused, match=kind):
        list(import_batches(klaviyo, [batch(10)], senders=1))
    assert status_counts(box) == {int(kind): 1}


def test_a_key_without_scopes_is_told_which() -> None:
    """A key that may only read is refused with the scopes that it lacks."""
    box = sandbox(keys={"pk_key_that_opens_nothing": ["accounts:read", "lists:read", "profiles:read"]})
    with client(box) as klaviyo:
        prepare(klaviyo, [LIST])
        with pytest.raises(Refused, match="profiles:write"):
            list(import_batches(klaviyo, [batch(10)]))


def test_an_outage_is_unavailable() -> None:
    """Trouble that stays breaks the run, for nobody to act on."""
    box = sandbox()
    box.faults.add("503", endpoint="bulk_import_profiles", times=0)
    with client(box) as klaviyo, pytest.raises(Unavailable, match="503"):
        list(import_batches(klaviyo, [batch(10)]))


@pytest.mark.parametrize("errors_reported", [None, 1, 7])
def test_bad_rows_stay_behind(errors_reported: int | None) -> None:
    """Rows that Klaviyo finds invalid are refused with the attribute and its words, however many one answer names."""
    bad = {3, 50, 51, 99}
    profiles = [{"email": "not an address" if n in bad else f"person{n}@shop.example"} for n in range(100)]
    box = sandbox(errors_reported=errors_reported)
    with client(box) as klaviyo:
        outcomes = list(import_batches(klaviyo, [batch(profiles)]))
    assert counted(outcomes) == {"imported": 96, "refused": 4}
    assert {reason.attribute for outcome in outcomes for reason in outcome.reasons.values()} == {"email"}
    assert len(box.profiles) == 96


def test_one_bad_row_in_ten_thousand() -> None:
    """One more request brings in the other 9,999."""
    profiles = [{"email": "bad" if n == 4_321 else f"person{n}@shop.example"} for n in range(10_000)]
    box = sandbox()
    with client(box) as klaviyo:
        assert counted(import_batches(klaviyo, [batch(profiles)])) == {"imported": 9_999, "refused": 1}
    assert status_counts(box) == {400: 1, 202: 1}


@pytest.mark.parametrize("shape", ["flat", "attributes"])
def test_late_failures_are_found_by_the_copy(shape: Any) -> None:
    """Rows that fail in the job are found on all pages of its errors, by either shape of the copy."""
    box = sandbox(original_payload=shape)
    box.faults.add("row", every=3)
    with client(box) as klaviyo:
        outcomes = list(import_batches(klaviyo, [batch(900)]))
    assert counted(outcomes) == {"imported": 600, "failed": 300}
    assert len(box.profiles) == 600


def test_late_failures_that_name_nothing_leave_all_unknown() -> None:
    """Errors without a copy and without a place prove nothing about any row."""
    box = sandbox(original_payload="absent")
    box.faults.add("row", every=3)
    with client(box) as klaviyo:
        assert counted(import_batches(klaviyo, [batch(30)])) == {"unknown": 30}


@pytest.mark.parametrize("kind", ["job_cancelled", "job_stuck_queued", "job_stuck_processing", "job_vanished"])
@pytest.mark.parametrize("jobs", [1, 6])
def test_jobs_that_do_not_complete(kind: str, jobs: int) -> None:
    """The rows of such a job are unknown; those of the others are imported."""
    box = sandbox()
    box.faults.add(kind)
    with client(box) as klaviyo:
        outcomes = list(import_batches(klaviyo, (batch(5, start=5 * n) for n in range(jobs)), patience=SOON))
    assert counted(outcomes) == {"unknown": 5, **({"imported": 5 * (jobs - 1)} if jobs > 1 else {})}


def test_errors_that_cannot_be_read() -> None:
    """While the errors of jobs cannot be read, nothing counts as imported."""
    box = sandbox()
    box.faults.add("502", endpoint="get_errors_for_bulk_import_profiles_job", times=0)
    with client(box) as klaviyo:
        assert counted(import_batches(klaviyo, [batch(5)])) == {"unknown": 5}


def test_profiles_join_the_list() -> None:
    """The profiles of a batch with a list are its members afterwards."""
    box = sandbox()
    with client(box) as klaviyo:
        prepare(klaviyo, [LIST])
        assert counted(import_batches(klaviyo, [batch(8, list_id=LIST)])) == {"imported": 8}
    assert len(box.lists[LIST].members) == 8


def test_a_list_that_is_gone() -> None:
    """A list that is deleted after the run began ends it, by its id."""
    box = sandbox()
    with client(box) as klaviyo:
        prepare(klaviyo, [LIST])
        del box.lists[LIST]
        with pytest.raises(Refused, match=LIST):
            list(import_batches(klaviyo, [batch(8, list_id=LIST)]))
        with pytest.raises(NoSuchListError, match=LIST):
            prepare(klaviyo, [LIST])


def test_an_import_of_a_broken_run_is_waited_for() -> None:
    """A job that is still running stands in the way of the next run, which says so in the end."""
    box = sandbox()
    box.faults.add("job_stuck_processing")
    with client(box) as klaviyo:
        list(import_batches(klaviyo, [batch(3)], patience=SOON))
        with pytest.raises(Unavailable, match="1 other import job"):
            prepare(klaviyo)


def test_klaviyos_limits_are_kept() -> None:
    """Under Klaviyo's limits, with time running 60 times as fast, 200 jobs go through with hardly a 429."""
    box = Sandbox(time_scale=60, job_seconds=(1, 3))
    with serve(box) as server, Klaviyo("pk_x", server.url, limits=LIMITS.scaled(60)) as klaviyo:
        outcomes = list(import_batches(klaviyo, (batch(2, start=2 * n) for n in range(200)), patience=Patience().scaled(60)))
    assert counted(outcomes) == {"imported": 400}
    throttled = sum(times for (_, status), times in box.requests.items() if status == 429)
    assert throttled <= 0.05 * box.requests.total()
