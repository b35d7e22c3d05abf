"""Cancelling: whatever a run is doing, an interrupt ends it at once, and its windows stay missing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from process_place import ENDLESS, PROMPTLY, TRICKLE, ProcessPlace, process_place

from klaviyo_sync.orchestration.dagster_slots import holders
from klaviyo_sync.orchestration.import_slot import slot_key

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of Dagster's own, over its own storage

CONSENT = "consent: {email_marketing: consent}\n"


class Moment(NamedTuple):
    """What a run is doing: the place that keeps it at it, and how to tell that it has come so far."""

    place: dict[str, Any]
    fault: dict[str, Any] | None
    reached: Callable[[ProcessPlace, subprocess.Popen[str]], object]


def answered(operation: str, status: int) -> Callable[[ProcessPlace, subprocess.Popen[str]], object]:
    """Klaviyo has answered a request to the operation with the status."""
    return lambda place, _: place.box.requests[operation, status]


def reads(place: ProcessPlace, process: subprocess.Popen[str]) -> bool:
    """The warehouse is open."""
    return place.reads(process)


def throttled(operation: str) -> dict[str, Any]:
    """Klaviyo asks to come again in five minutes."""
    return {"kind": "429", "endpoint": operation, "times": 0, "retry_after": 300}


MOMENTS = {
    "in a long query": Moment({"source": ENDLESS}, None, reads),
    "between the rows of a long query": Moment({"source": TRICKLE}, None, reads),
    "waiting for a rate limit to send": Moment({}, throttled("bulk_import_profiles"), answered("bulk_import_profiles", 429)),
    "waiting for a rate limit to ask for the account": Moment({}, throttled("get_accounts"), answered("get_accounts", 429)),
    "waiting for a rate limit to read consent": Moment({"more": CONSENT}, throttled("get_profiles"), answered("get_profiles", 429)),
    "in a request that is not answered": Moment(
        {}, {"kind": "slow", "endpoint": "bulk_import_profiles", "seconds": 90.0}, answered("bulk_import_profiles", 202)
    ),
    "waiting for a job": Moment({"job_seconds": 900.0}, None, answered("bulk_import_profiles", 202)),
    "waiting for another try": Moment({}, {"kind": "503", "endpoint": "get_accounts", "times": 0}, answered("get_accounts", 503)),
}


# Each moment once, two of them with both signals. The others differ from these only in what is read, or in which request waits.
AT_ONCE = (
    ("in a long query", signal.SIGINT),
    ("waiting for a rate limit to send", signal.SIGINT),
    ("in a request that is not answered", signal.SIGTERM),
    ("waiting for a job", signal.SIGINT),
    ("waiting for another try", signal.SIGINT),
)
LONG = (
    ("in a long query", signal.SIGTERM),
    ("between the rows of a long query", signal.SIGINT),
    ("waiting for a rate limit to ask for the account", signal.SIGINT),
    ("waiting for a rate limit to read consent", signal.SIGINT),
    ("in a request that is not answered", signal.SIGINT),
)


def test_every_moment_is_tried() -> None:
    """No moment is left out of both lists."""
    assert {name for name, _ in (*AT_ONCE, *LONG)} == set(MOMENTS)


@pytest.mark.parametrize(("name", "sign"), [*AT_ONCE, *(pytest.param(*case, marks=pytest.mark.long) for case in LONG)])
def test_an_interrupt_ends_a_run_at_once(tmp_path: Path, name: str, sign: signal.Signals) -> None:
    """It ends as cancelled, without another attempt; its window stays missing, its slot is free, and nothing is sent again."""
    moment = MOMENTS[name]
    with process_place(tmp_path / "home", limits=False, **{"job_seconds": 0.1, **moment.place}) as place:
        if moment.fault:
            place.box.faults.add(**moment.fault)
        process = place.materialize()
        place.until(lambda: moment.reached(place, process))
        sent = place.posted()
        process.send_signal(sign)
        process.wait(PROMPTLY)
        run = place.run()
        kinds = place.events(run.run_id)
        assert run.status == dg.DagsterRunStatus.CANCELED, place.printed()[-6_000:]
        assert [kind for kind in kinds if kind in ("STEP_UP_FOR_RETRY", "STEP_RESTARTED", "STEP_SUCCESS")] == []
        assert place.imported() == set()
        assert place.posted() == sent
        assert holders(place.instance.event_log_storage, slot_key()) == []
