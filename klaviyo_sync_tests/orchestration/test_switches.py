"""Switches of schedules: kept when the frequency changes, and missed by `completeness` when they are off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, ScheduleInstigatorData
from dagster._daemon.types import DaemonHeartbeat
from orchestration_bench import Bench

from klaviyo_sync.config import Project
from klaviyo_sync.orchestration.schedules import job_name
from klaviyo_sync.orchestration.switches import schedule_switched_off

FIRST, LAST = "2024-03-04-00:00", "2024-03-04-05:00"


@pytest.fixture
def bench(bench_of: Callable[..., Bench]) -> Iterator[Bench]:
    """A bench whose instance keeps the switches of schedules, with every window imported."""
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}, "nux": {"enabled": False}}) as instance:
        made = replace(bench_of(), instance=instance)
        made.run(FIRST, LAST)
        yield made


def scheduler_runs(instance: dg.DagsterInstance) -> None:
    """A daemon that makes schedules tick has been here."""
    instance.add_daemon_heartbeat(DaemonHeartbeat(timestamp=1.0, daemon_type="SCHEDULER", daemon_id="d"))


def switch(instance: dg.DagsterInstance, name: str, status: InstigatorStatus) -> None:
    """Switches a schedule, as the UI does."""
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("klaviyo_sync"), "__repository__"), name)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, status, ScheduleInstigatorData("* * * * *")))


def test_the_name_does_not_depend_on_the_frequency(project_of: Callable[..., Project]) -> None:
    """Job and schedule are called after the sync alone, since Dagster keeps switches by name."""
    [hourly] = project_of(loyalty={}).syncs
    [weekly] = project_of(loyalty={"frequency": "weekly"}).syncs
    assert job_name(hourly) == job_name(weekly) == "klaviyo_loyalty"


def test_a_schedule_that_is_off_is_amber(bench: Bench) -> None:
    """A sync with imported windows whose schedule is off gets no more of them: the check says so, where a scheduler runs."""
    assert bench.checks("completeness") == {None: (True, "WARN")}
    scheduler_runs(bench.instance)
    bench.run(checks=["completeness"])
    assert bench.checks("completeness") == {None: (False, "WARN")}
    assert "the schedule klaviyo_loyalty is off: switch it on under Automation" in (bench.evaluations("completeness")[-1].description or "")


def test_a_schedule_that_is_on_is_green(bench: Bench) -> None:
    """It passes once the schedule is on."""
    scheduler_runs(bench.instance)
    switch(bench.instance, "klaviyo_loyalty", InstigatorStatus.RUNNING)
    bench.run(checks=["completeness"])
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_a_schedule_that_was_on_under_its_former_name(bench: Bench) -> None:
    """After the upgrade the check names the schedule that was on."""
    scheduler_runs(bench.instance)
    switch(bench.instance, "loyalty_hourly", InstigatorStatus.RUNNING)
    assert schedule_switched_off(bench.instance, bench.sync) == (
        "the schedule klaviyo_loyalty is off, and was on under its former name loyalty_hourly: switch it on under Automation"
    )


def test_an_instance_that_cannot_tell(bench_of: Callable[..., Bench]) -> None:
    """Where no switches are kept nothing is said of them."""
    bench = bench_of()
    assert schedule_switched_off(bench.instance, bench.sync) is None
