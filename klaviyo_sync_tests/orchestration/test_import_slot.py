"""The slot of an account: one import at a time in an instance, whatever its limits, and no slot lost to the dead."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from orchestration_bench import Bench
from slot_worker import idle

from klaviyo_sync.core.errors import ConfigError, SlotTakenError
from klaviyo_sync.orchestration import processes
from klaviyo_sync.orchestration.assets import POOL
from klaviyo_sync.orchestration.dagster_slots import Holder, free, holders, take
from klaviyo_sync.orchestration.import_slot import Patience, import_slot, slot_key
from klaviyo_sync.orchestration.killed_runs import end_killed_runs

WORKER = Path(__file__).with_name("slot_worker.py")
AT_ONCE = Patience(look=0.01, tell=1000.0, whole=0.0)
FIRST, SECOND = "2024-03-04-00:00", "2024-03-04-01:00"
FAR = processes.Process("another-machine", "boot", "4026531836", 42, "4711")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of Dagster's without any limits, its tables made: Dagster itself may fail where several processes make them at once."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.create_run_for_job(idle)
        instance.fetch_materializations(dg.AssetKey("any"), limit=1)
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of that home."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@contextmanager
def workers(home: Path, count: int, rounds: int) -> Iterator[list[subprocess.Popen[str]]]:
    """So many workers, all of which begin at the same moment."""
    command = [sys.executable, str(WORKER), str(home), str(home / "flag"), str(rounds)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        while len(list(home.glob("flag.*.ready"))) < count:
            assert all(worker.poll() is None for worker in started), [worker.communicate() for worker in started if worker.poll()]
            time.sleep(0.01)
        (home / "flag.go").touch()
        yield started
    finally:
        for worker in started:
            worker.kill()
            worker.communicate()


def holds(instance: dg.DagsterInstance, process: processes.Process, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> Holder:
    """A run, started as far as Dagster knows, whose slot was taken by this process and never given back."""
    run = instance.create_run_for_job(idle, status=status)
    holder = Holder(run.run_id, process.written("token"))
    assert take(instance.event_log_storage, slot_key(), holder)
    return holder


def claim(instance: dg.DagsterInstance) -> None:
    """Claims the slot without waiting, and gives it back."""
    with import_slot(instance, "another-run", lambda _: None, AT_ONCE):
        assert [holder.run_id for holder in holders(instance.event_log_storage, slot_key())] == ["another-run"]
    assert holders(instance.event_log_storage, slot_key()) == []


@pytest.mark.parametrize(("count", "rounds"), [(3, 5), pytest.param(5, 8, marks=pytest.mark.long)])
def test_many_processes_at_the_same_moment_hold_it_one_after_the_other(home: Path, count: int, rounds: int) -> None:
    """The first to come make the slot, and none of them meets another inside, however often they claim it."""
    with workers(home, count, rounds) as started:
        ended = [(*worker.communicate(timeout=280), worker.returncode) for worker in started]
    assert [code for _, _, code in ended] == [0] * count, ended


def test_a_killed_process_loses_the_slot(home: Path, instance: dg.DagsterInstance) -> None:
    """Nobody gave it back and Dagster knows nothing of the death, yet the next run need not wait."""
    with workers(home, 1, rounds=0) as [worker]:
        assert worker.stdout
        run_id = worker.stdout.readline().strip()
        assert [holder.run_id for holder in holders(instance.event_log_storage, slot_key())] == [run_id]
        with pytest.raises(SlotTakenError, match=f"run {run_id[:8]}"):
            claim(instance)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        claim(instance)
        run = instance.get_run_by_id(run_id)
        assert run
        assert run.status == dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("before", "after"),
    [(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE), (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)],
)
def test_a_run_whose_process_is_gone_ends(instance: dg.DagsterInstance, before: dg.DagsterRunStatus, after: dg.DagsterRunStatus) -> None:
    """A tick ends it, and gives back the slot and its place in the pool, which Dagster would hold for hours."""
    storage = instance.event_log_storage
    holder = holds(instance, processes.own()._replace(started="0"), before)
    storage.set_concurrency_slots(POOL, 1)
    assert storage.claim_concurrency_slot(POOL, holder.run_id, "step").is_claimed
    assert end_killed_runs(instance, slot_key()) == [holder.run_id]
    run = instance.get_run_by_id(holder.run_id)
    assert run
    assert run.status == after
    assert holders(storage, slot_key()) == holders(storage, POOL) == []


def test_a_tick_leaves_other_runs_alone(instance: dg.DagsterInstance) -> None:
    """Neither a run whose process is there, nor one of another machine, is ended."""
    for process in (processes.own(), FAR):
        holder = holds(instance, process)
        assert end_killed_runs(instance, slot_key()) == []
        run = instance.get_run_by_id(holder.run_id)
        assert run
        assert not run.is_finished
        free(instance.event_log_storage, holder)


def test_a_process_that_still_runs_keeps_the_slot(home: Path, instance: dg.DagsterInstance) -> None:
    """Even when somebody has marked its run as cancelled: it may still be sending."""
    with workers(home, 1, rounds=0) as [worker]:
        assert worker.stdout
        run = instance.get_run_by_id(worker.stdout.readline().strip())
        assert run
        instance.report_run_canceled(run)
        with pytest.raises(SlotTakenError):
            claim(instance)


def test_of_another_machine_only_dagster_knows(instance: dg.DagsterInstance) -> None:
    """A run there keeps the slot until Dagster says that it has ended, by itself or because somebody marked it."""
    holder = holds(instance, FAR)
    with pytest.raises(SlotTakenError):
        claim(instance)
    run = instance.get_run_by_id(holder.run_id)
    assert run
    instance.report_run_failed(run)
    claim(instance)


def test_a_run_that_was_deleted_holds_nothing(instance: dg.DagsterInstance) -> None:
    """Its slot is free for the next one."""
    instance.delete_run(holds(instance, FAR).run_id)
    claim(instance)


def test_a_boot_of_this_machine_ends_what_ran_before(instance: dg.DagsterInstance) -> None:
    """With its event log in files, the machine that held the slot is this one; another process of this boot is known by its start."""
    here = processes.own()
    for gone in (here._replace(boot="before"), here._replace(started="0"), here._replace(pid=2**22 + 1)):
        holds(instance, gone)
        claim(instance)


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_limits_that_somebody_sets_do_not_matter(instance: dg.DagsterInstance, limit: int) -> None:
    """The slot's own limit, taken away or raised in the UI: there is one holder, before and after."""
    holder = holds(instance, FAR)
    instance.event_log_storage.set_concurrency_slots(slot_key(), limit)
    with pytest.raises(SlotTakenError):
        claim(instance)
    free(instance.event_log_storage, holder)
    claim(instance)
    holds(instance, FAR)
    with pytest.raises(SlotTakenError):
        claim(instance)


def test_what_an_error_leaves_behind(instance: dg.DagsterInstance) -> None:
    """The slot is given back however the block ends, and a slot in the name of this process that nobody holds is nobody's."""
    with pytest.raises(KeyboardInterrupt), import_slot(instance, "a-run", lambda _: None, AT_ONCE):
        raise KeyboardInterrupt
    claim(instance)
    holds(instance, processes.own())
    claim(instance)


def test_whoever_waits_says_for_whom(instance: dg.DagsterInstance) -> None:
    """The log names the run that holds the slot, once for all the time that it waits."""
    holder = holds(instance, FAR)
    logged: list[str] = []

    def log(line: str) -> None:
        logged.append(line)
        free(instance.event_log_storage, holder)

    with import_slot(instance, "another-run", log, Patience(look=0.01)):
        assert logged == [f"Waiting: run {holder.run_id[:8]} (idle) imports into this Klaviyo account. One import runs at a time."]


def test_an_instance_that_cannot_hold_it_imports_nothing(instance: dg.DagsterInstance) -> None:
    """The sentence says what is missing and what to do."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("DROP TABLE concurrency_slots")
    with pytest.raises(ConfigError, match=r"Nothing was read or sent\. Run `dagster instance migrate`"):
        claim(instance)


class Elsewhere:
    """A storage that is no database of ours, such as Dagster+'s: it answers, and says no more of itself."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def test_a_storage_that_claims_on_its_own_side(instance: dg.DagsterInstance) -> None:
    """It is asked by Dagster's own claim, which one of two gets."""
    storage: Any = Elsewhere(instance.event_log_storage)
    one, other = Holder("one", "step"), Holder("other", "step")
    assert take(storage, slot_key(), one)
    assert not take(storage, slot_key(), other)
    free(storage, other)
    free(storage, one)
    assert take(storage, slot_key(), other)


def test_checks_alone_need_no_slot(bench_of: Any) -> None:
    """An import waits for another one; evaluating stored results does not."""
    bench: Bench = bench_of()
    assert bench.run(FIRST).success
    holds(bench.instance, FAR)
    assert bench.run(FIRST, checks=["mapping"]).success


def test_a_failed_import_gives_the_slot_back(bench_of: Any, imports: Any) -> None:
    """The next run need not wait."""
    imports.error = ValueError("broken")
    bench: Bench = bench_of()
    assert not bench.run(FIRST).success
    assert holders(bench.instance.event_log_storage, slot_key()) == []
