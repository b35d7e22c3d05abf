"""The imports of the demo, one after the other, and whether what arrived is what had to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import dagster as dg
from rich.console import Console

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import windows
from klaviyo_sync.demo.account import Questions
from klaviyo_sync.demo.expectation import Sample
from klaviyo_sync.demo.folder import QUIET_INSTANCE
from klaviyo_sync.demo.running import materialise, plan, results
from klaviyo_sync.demo.telling import tell_comparison, tell_consent, tell_members, tell_people, tell_refusers, tell_sync

ASKED_ABOUT = 5
ORDER = ("crm_contacts", "loyalty_members", "churn_scores", "segments")

T = TypeVar("T")


def timed(console: Console, label: str, work: Callable[[], T]) -> T:
    """What the work gives, once a line says what it was and how long it took."""
    began = time.monotonic()
    with console.status(label):
        done = work()
    console.print(f"{label}: {time.monotonic() - began:.1f} s", markup=False)
    return done


def imports(console: Console, sample: Sample, url: str, now: datetime) -> int:
    """Imports every window that had closed at `now`, prints it all, and asks Klaviyo. How many things do not add up.

    The environment names the configuration and the account. Raises Unavailable when a run of Dagster fails.
    """
    from klaviyo_sync.definitions import defs, project  # noqa: PLC0415 - reads the configuration that the environment names

    syncs = sorted(project.syncs, key=lambda sync: ORDER.index(sync.name) if sync.name in ORDER else len(ORDER))
    # Capturing logs starts processes, which answer Ctrl-C with a traceback.
    instance = dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"], QUIET_INSTANCE)
    for sync in syncs:
        for planned in plan(sync, now):
            failure = timed(console, planned.label, lambda planned=planned: materialise(defs, instance, planned))
            if failure:
                raise Unavailable(f"{planned.label}: the run failed.\n{failure}")
    console.print()
    return tell(console, syncs, sample, instance, Questions(url), now=now)


def tell(
    console: Console, syncs: Sequence[Sync], sample: Sample, instance: dg.DagsterInstance, questions: Questions, *, now: datetime
) -> int:
    """Prints what Dagster's event log and Klaviyo say, beside what must come out. How many things do not add up."""
    ends = {sync.name: list(windows(sync, now))[-1].end for sync in syncs}
    totals = {sync.name: tell_sync(console, sync, results(instance, sync, now)) for sync in syncs}
    wrong = tell_comparison(console, [(name, sample.counts(name, ends[name], now), total) for name, total in totals.items()])
    for sync in syncs:
        if sync.consent:
            wrong += tell_consent(console, sync, sample.consent(sync.name, ends[sync.name], now), totals[sync.name])
    wrong += tell_refusers(console, [(refuser, questions.consent(refuser.email)) for refuser in sample.refusers()])
    lists = [(sync.name, sync.list_id, totals[sync.name].imported, questions.members(sync.list_id)) for sync in syncs if sync.list_id]
    wrong += tell_members(console, lists)
    return wrong + tell_people(
        console, [(person, questions.person(person.email)) for person in sample.people(ASKED_ABOUT, min(ends.values()))]
    )
