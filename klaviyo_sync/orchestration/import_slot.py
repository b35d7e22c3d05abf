"""One import at a time per Klaviyo account and Dagster instance: each run claims a slot, waits for it, and gives it back.

Two imports at once could write one profile in the wrong order. A pool of Dagster's does not rule that out: its limit stands in
somebody's `dagster.yaml` or is set by hand, and with run granularity it does not hold back runs from the command line. So a run claims
a slot of our own in the instance's event log, whatever limits are set there.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from klaviyo_sync.core.errors import ConfigError, SlotTakenError
from klaviyo_sync.orchestration import dagster_slots, killed_runs, processes
from klaviyo_sync.orchestration.dagster_slots import Holder

SHORT_ID = 8
MIGRATE = (
    "This Dagster instance cannot make sure that only one import runs at a time: its event log ({storage}) has no concurrency slots. "
    "Nothing was read or sent. Run `dagster instance migrate`, or use the SQLite, Postgres or MySQL storage of Dagster."
)


@dataclass(frozen=True)
class Patience:
    """Seconds: between two looks at a slot that is taken, between two log lines about it, and until the run gives up."""

    look: float = 2.0
    tell: float = 300.0
    whole: float = 4 * 3600.0


def slot_key(account: str | None = None) -> str:
    """The name of the slot of an account: of the one under `klaviyo:` when no account is named."""
    return "klaviyo_import" if account is None else f"klaviyo_import_{account}"


def unsupported(instance: dg.DagsterInstance) -> str | None:
    """Why the instance cannot hold a slot; None when it can."""
    storage = instance.event_log_storage
    return None if dagster_slots.has_slots(storage) else MIGRATE.format(storage=type(storage).__name__)


@contextmanager
def import_slot(instance: dg.DagsterInstance, run_id: str, log: Callable[[str], None], patience: Patience = Patience()) -> Iterator[None]:
    """The slot of the account is held inside the block, by this run alone.

    A slot whose holder has ended without giving it back is taken over: its process is gone from this machine, or Dagster says
    that its run has ended. A run whose process is gone is marked as failed, so that Dagster does not show it as running for hours.
    A run whose process is still there keeps the slot, even when somebody marked that run as cancelled.

    Raises:
        ConfigError: The instance cannot hold slots.
        SlotTakenError: Another run held it for `patience.whole` seconds.
    """
    if (reason := unsupported(instance)) is not None:
        raise ConfigError(reason)
    slot = _Slot(instance, slot_key(), Holder(run_id, processes.own().written(uuid.uuid4().hex)))
    with _held_here(slot.me):
        try:
            _wait(slot, log, patience)
            yield
        finally:
            slot.release()


_HELD: set[Holder] = set()
"""What this process claims or holds: a slot in its name that is not among these was not given back when it should have been."""


@contextmanager
def _held_here(holder: Holder) -> Iterator[None]:
    _HELD.add(holder)
    try:
        yield
    finally:
        _HELD.discard(holder)


@dataclass(frozen=True)
class _Slot:
    """One account's slot, and who wants it."""

    instance: dg.DagsterInstance
    key: str
    me: Holder

    def claimed(self) -> Holder | None:
        """None when the slot is now ours, else its holder. Holders that have ended lose it first."""
        storage = self.instance.event_log_storage
        for holder in dagster_slots.holders(storage, self.key):
            if not self._has_ended(holder):
                return holder
            if killed_runs.is_gone(self.instance, holder):
                killed_runs.end(self.instance, holder)
            dagster_slots.free(storage, holder)
        if not dagster_slots.take(storage, self.key, self.me):
            return next(iter(self._others()), self.me)
        # Whoever changes limits in the UI can make a second slot of this name. Who is not alone steps back.
        if others := self._others():
            self.release()
            return others[0]
        return None

    def release(self) -> None:
        """Gives the slot back, or up."""
        dagster_slots.free(self.instance.event_log_storage, self.me)

    def _others(self) -> list[Holder]:
        return [holder for holder in dagster_slots.holders(self.instance.event_log_storage, self.key) if holder != self.me]

    def _has_ended(self, holder: Holder) -> bool:
        described = processes.read(holder.step_key)
        if described is not None:
            process, _ = described
            if process == processes.own():
                return holder not in _HELD
            state = processes.state(process, same_disk=dagster_slots.is_local(self.instance.event_log_storage))
            if state != "unknown":
                return state == "gone"
        run = self.instance.get_run_by_id(holder.run_id)
        return run is None or run.is_finished


def _wait(slot: _Slot, log: Callable[[str], None], patience: Patience) -> None:
    """Returns when the slot is ours."""
    began = time.monotonic()
    told_at: float | None = None
    while (holder := slot.claimed()) is not None:
        waited = time.monotonic() - began
        if waited >= patience.whole:
            raise SlotTakenError(
                f"{described(slot.instance, holder)} has been importing into this Klaviyo account for {waited:,.0f} s and more, "
                "and only one import runs at a time. Nothing was read or sent."
            )
        if holder != slot.me and (told_at is None or waited - told_at >= patience.tell):
            told_at = waited
            log(f"Waiting: {described(slot.instance, holder)} imports into this Klaviyo account. One import runs at a time.")
        # Not all at the same moment: those who meet step back for each other.
        time.sleep(patience.look * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


def described(instance: dg.DagsterInstance, holder: Holder) -> str:
    """The run that holds the slot, as the UI names it, with what it imports."""
    run = instance.get_run_by_id(holder.run_id)
    keys = sorted(key.to_user_string() for key in (run.asset_selection or ())) if run else []
    what = f" ({', '.join(keys)})" if keys else f" ({run.job_name})" if run else ""
    return f"run {holder.run_id[:SHORT_ID]}{what}"
