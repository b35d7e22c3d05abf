"""The fault matrix: whatever goes wrong wherever, what a run says is what Klaviyo holds, and nothing is called imported that is not."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
import requests
from fault_cases import CASES, Case, Truth, Where
from fault_place import DAYS, Place, place

from klaviyo_sync.sync_window import Report

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"), pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

FATES = ("imported", "refused", "failed", "unknown")
MATRIX = [
    pytest.param(case, where, id=f"{case.name}-{where}", marks=() if where == case.where[0] else pytest.mark.long)
    for case in CASES
    for where in case.where
]
Metadata = dict[str, Any]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One project and one Klaviyo for the whole matrix."""
    with place(tmp_path_factory.mktemp("matrix") / "project") as made:
        yield made


@pytest.fixture
def there(shared: Place) -> Place:
    """The same, as new."""
    shared.fresh()
    return shared


@pytest.mark.parametrize(("case", "where"), MATRIX)
def test_what_a_run_says_is_what_klaviyo_holds(
    there: Place, case: Case, where: Where, record_property: Callable[[str, object], None]
) -> None:
    """A fault at a place: the run, its metadata, its checks, its rejects files, the next tick and the next run tell the truth."""
    there.most = 10_000 if case.sync == "many" else 8
    there.speed, there.read = case.speed, case.read
    with dg.DagsterInstance.ephemeral() as instance:
        for fault in case.at(where):
            there.control("POST", "faults", fault)
        run = there.run(case.sync, instance)
        wait_until_up(there)
        there.control("DELETE", "faults")
        stored = materialized(instance, case.sync)
        line = (case.name, where, said(run, stored), holds(there, case.sync), colour(run.success, there.attempts))
        check_run(there, case.truth, run)
        check_windows(there, case, instance, stored)
        check_recovery(there, case, instance)
    record_property(
        "line of the fault matrix", (*line, "red, then green" if case.truth.next == "red" else "green" if missing(stored) else "-")
    )
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("klaviyo_")]


def check_run(there: Place, truth: Truth, run: dg.ExecuteInProcessResult) -> None:
    """Green or red, tried as often as DESIGN says, with the reason; the equation holds in every report."""
    assert run.success == (truth.run == "green"), failure(run)
    assert there.attempts == truth.attempts
    assert truth.says in failure(run)
    assert bool(there.reports) != truth.broke
    assert all(result.balanced for report in there.reports for result in report.results.values())
    if there.reports:
        found = total(there.reports[-1])
        assert {fate: found[fate] for fate in FATES[1:]} == {fate: getattr(truth, fate) for fate in FATES[1:]}


def check_windows(there: Place, case: Case, instance: dg.DagsterInstance, stored: dict[str, Metadata]) -> None:
    """A window is materialized if and only if all of it is known; its counts are those of the report; what it calls imported is held."""
    rows, held = there.rows(case.sync), there.held()
    assert all(list(attributes["properties"].values()) == [rows[id_][1]] for id_, attributes in held.items())
    proven = {} if case.truth.broke else {day: result for day, result in there.reports[-1].results.items() if result.proven}
    assert stored.keys() == proven.keys()
    assert there.asked(case.sync, instance) == set(DAYS) - stored.keys()
    for day, metadata in stored.items():
        assert all(metadata[part] == getattr(proven[day], part) for part in ("read", "superseded", "rejected", *FATES))
        left = {line["row"].removeprefix("external_id=") for line in there.rejects(case.sync, day) if line["outcome"] in FATES}
        called = {id_ for id_, (window, _) in rows.items() if window == day} - left
        assert len(called) == metadata["imported"]
        assert called <= held.keys()
        assert not left & held.keys()
    if there.reports:
        consent = Counter(there.consents().values())
        told = [counts for result in there.reports[-1].results.values() for counts in result.consent.values()]
        assert sum(counts.sent + counts.already for counts in told) == consent["SUBSCRIBED"] + consent["UNSUBSCRIBED"]
        assert sum(counts.refused + counts.unknown for counts in told) == case.truth.unsent
        checks = checks_of(instance, case.sync)
        assert all(checks["accounting", day] for day in stored)
        assert all(checks["delivery", day] == (not proven[day].refused + proven[day].failed) for day in stored)


def check_recovery(there: Place, case: Case, instance: dg.DagsterInstance) -> None:
    """Once the fault is over, the next run ends where an undisturbed one does. Nothing is asked for when nothing is missing."""
    if not there.asked(case.sync, instance):
        return
    if not there.control("GET", "state")["lists"]:
        there.control("POST", "lists", {"id": "VRgFBd", "name": "Loyalty members"})
    if case.truth.next == "red":
        run = there.run(case.sync, instance)
        assert "other import jobs of this Klaviyo account did not end" in failure(run)
        there.box.jobs.release(there.box.elapsed())
    assert there.run(case.sync, instance).success
    rows, held = there.rows(case.sync), there.held()
    assert held.keys() == rows.keys()
    assert not there.asked(case.sync, instance)
    assert not any(there.rejects(case.sync, day) for day in DAYS)
    if case.sync == "subscribers":
        assert Counter(there.consents().values()) == {"SUBSCRIBED": 20, "UNSUBSCRIBED": 10}


def wait_until_up(there: Place) -> None:
    """Returns once the sandbox answers again."""
    if not is_up(there):
        there.end_outage()
    until = time.monotonic() + 60
    while not is_up(there) and time.monotonic() < until:
        time.sleep(0.02)


def is_up(there: Place) -> bool:
    """Whether the sandbox answers."""
    try:
        there.control("GET", "state")
    except requests.ConnectionError:
        return False
    return True


def materialized(instance: dg.DagsterInstance, sync: str) -> dict[str, Metadata]:
    """The metadata of every window that is materialized."""
    records = instance.fetch_materializations(dg.AssetKey(["klaviyo", sync]), limit=100).records
    found = [record.asset_materialization for record in reversed(records) if record.asset_materialization]
    return {one.partition or "": {name: value.value for name, value in one.metadata.items()} for one in found}


def checks_of(instance: dg.DagsterInstance, sync: str) -> dict[tuple[str, str | None], bool]:
    """Whether each check of each window passed."""
    found: dict[tuple[str, str | None], bool] = {}
    for name in ("accounting", "delivery"):
        key = dg.AssetCheckKey(dg.AssetKey(["klaviyo", sync]), name)
        for record in reversed(instance.event_log_storage.get_asset_check_execution_history(key, limit=100)):
            event = record.event.dagster_event if record.event else None
            if event and isinstance(data := event.event_specific_data, dg.AssetCheckEvaluation):
                found[name, data.partition] = data.passed
    return found


def failure(run: dg.ExecuteInProcessResult) -> str:
    """What a red run says; nothing of a green one."""
    texts = [event.step_failure_data for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
    return "".join((one.user_failure_data.description or "") if one.user_failure_data else str(one.error) for one in texts)


def total(report: Report) -> Counter[str]:
    """The fates of all windows."""
    return Counter({fate: sum(getattr(result, fate) for result in report.results.values()) for fate in FATES})


def said(run: dg.ExecuteInProcessResult, stored: dict[str, Metadata]) -> str:
    """What Dagster shows: the counts of the windows that are done, else why there are none."""
    counts = [f"{number:,} {fate}" for fate in FATES if (number := sum(metadata[fate] for metadata in stored.values()))]
    lacking = [f"{missing(stored)} of {len(DAYS)} windows not done"] if missing(stored) else []
    why = [failure(run).partition(": ")[2].partition(": ")[0]] if not stored else []
    plotted = ("subscribed", "unsubscribed")
    consent = [f"{number} {part}" for part in plotted if (number := sum(one.get(f"email_marketing_{part}", 0) for one in stored.values()))]
    return ", ".join([*why, *counts, *consent, *lacking])


def missing(stored: dict[str, Metadata]) -> int:
    """How many windows are not done."""
    return len(set(DAYS) - stored.keys())


def holds(there: Place, sync: str) -> str:
    """What Klaviyo holds."""
    profiles = there.control("GET", "state")["profiles"]
    consent = Counter(there.consents().values())
    words = [f"{profiles:,} of {len(there.rows(sync)):,}", *(f"{number} {status.lower()}" for status, number in sorted(consent.items()))]
    return ", ".join(words)


def colour(green: bool, attempts: int) -> str:  # noqa: FBT001 - read beside its caller
    """Green or red, and how often Dagster tried."""
    word = "green" if green else "red"
    return word if attempts == 1 else f"{word}, try {attempts}"
