"""One asset per sync: a run imports its windows, stores what became of each, and checks them."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import dagster as dg

from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.ledger import ANYWHERE, Destination
from klaviyo_sync.core.stopping import Changes, Stop
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.interrupts import not_swallowed
from klaviyo_sync.orchestration import acknowledgments, column_types, evaluations, open_opt_outs, stops
from klaviyo_sync.orchestration.acknowledgments import ACKNOWLEDGE
from klaviyo_sync.orchestration.attempts import attempt
from klaviyo_sync.orchestration.checks import check_specs
from klaviyo_sync.orchestration.done import checkpoint, read_ledger
from klaviyo_sync.orchestration.failures import RETRIES, broken, halted, together, unproven
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import MOST_WINDOWS_PER_RUN, partitions, window_of
from klaviyo_sync.orchestration.resources import KLAVIYO, OpenKlaviyo, OpenWarehouse, warehouse_name
from klaviyo_sync.orchestration.stops import LET_THROUGH
from klaviyo_sync.orchestration.stored import Stored, latest, metadata, newest
from klaviyo_sync.orchestration.verdicts import counted

if TYPE_CHECKING:  # pandas, pyarrow and duckdb, for a run only
    from klaviyo_sync.rejects import Rejects
    from klaviyo_sync.sync_window import Report

POOL = "klaviyo"
ACKNOWLEDGING = dg.Field(
    bool, default_value=False, description="Import nothing; note that somebody looked at what is red in these windows and leaves it so."
)
LETTING_THROUGH = dg.Field(bool, default_value=False, description="Import also what stop_above would stop, this once.")
CHECKED_ALONE = 100  # windows, when the UI executes checks without naming any

Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation
Events = Iterator[Event | dg.Output[None]]


class RunWindows(Protocol):
    """Imports contiguous windows, oldest first, and reports what became of every row.

    Raises ConfigError, Refused or Unavailable when it could not, HaltedError when every window stopped itself. `warehouse` and `klaviyo`
    are not open yet. `before` are the changes of the windows just before these, newest first. `let_through` stops nothing.
    """

    def __call__(
        self,
        sync: Sync,
        windows: Sequence[Window],
        warehouse: OpenWarehouse,
        klaviyo: OpenKlaviyo,
        *,
        now: datetime,
        rejects: "Rejects",
        log: Callable[[str], None],
        before: Sequence[Changes] = (),
        let_through: bool = False,
    ) -> "Report": ...


@dataclass(frozen=True)
class Importing:
    """What a run needs besides its sync; tests pass their own."""

    run_windows: RunWindows
    open_rejects: Callable[[], "Rejects"]
    clock: Callable[[], datetime]
    retries: dg.RetryPolicy = RETRIES


def sync_asset(sync: Sync, spec: dg.AssetSpec, importing: Importing, destination: Destination = ANYWHERE) -> dg.AssetsDefinition:
    """The asset of one sync, with its checks."""
    key, windows = asset_key(sync), partitions(sync)

    @dg.multi_asset(
        name=f"klaviyo__{sync.name}",
        specs=[spec],
        check_specs=check_specs(key, windows),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(MOST_WINDOWS_PER_RUN),
        pool=POOL,
        config_schema={LET_THROUGH: LETTING_THROUGH, ACKNOWLEDGE: ACKNOWLEDGING},
        required_resource_keys={warehouse_name(sync.connection), KLAVIYO},
    )
    def run(context: dg.AssetExecutionContext) -> Events:
        with attempt(context, importing.retries):
            yield from attempted(context)

    def attempted(context: dg.AssetExecutionContext) -> Events:
        partitioned = context.has_partition_key or context.has_partition_key_range
        chosen = [window_of(windows, name) for name in context.partition_keys] if partitioned else []
        names = {check.name for check in context.selected_asset_check_keys}
        failed = None
        if context.selected_asset_keys and context.op_execution_context.op_config[ACKNOWLEDGE]:
            failed = yield from acknowledging(context, sync, chosen, names, importing.clock())
        elif context.selected_asset_keys:
            failed = yield from imported(context, sync, chosen, names, importing, destination=destination)
        else:
            stored = stored_windows(context.instance, sync, chosen)
            context.log.info("Checking %d windows of sync %s from their stored results; nothing is imported.", len(stored), sync.name)
            yield from evaluations.of_windows(sync, stored.values(), names)
        # An import repeats what was counted last: only who executes the check alone waits for the warehouse.
        to_ask = None if context.selected_asset_keys else getattr(context.resources, warehouse_name(sync.connection))
        yield from evaluations.of_the_sync(sync, context.instance, importing.clock(), names, to_ask, destination=destination)
        if failed is not None:
            raise failed
        for check in context.selected_asset_check_keys:  # else Dagster logs that outputs are missing
            yield dg.Output(None, output_name=f"{check.asset_key.to_python_identifier()}_{check.name}")

    return run


def stored_windows(instance: dg.DagsterInstance, sync: Sync, chosen: Sequence[Window]) -> Mapping[str, Stored]:
    """What the event log holds of the chosen windows, or of those imported last when none is chosen."""
    key = asset_key(sync)
    return latest(instance, key, [window.key for window in chosen]) if chosen else newest(instance, key, CHECKED_ALONE)


def acknowledging(
    context: dg.AssetExecutionContext, sync: Sync, windows: Sequence[Window], names: Collection[str], now: datetime
) -> Generator[Event, None, dg.Failure | None]:
    """Yields an observation of each window that was imported, and its checks; comes back with the failure of the rest."""
    stored = latest(context.instance, asset_key(sync), [window.key for window in windows])
    context.log.info("Acknowledging %s of sync %s; nothing is imported.", counted(len(stored), "window"), sync.name)
    yield from acknowledgments.observations(sync, list(stored.values()), context.run.tags, context.run.run_id, now)
    yield from evaluations.of_windows(sync, stored.values(), names)
    without = [window.key for window in windows if window.key not in stored]
    if without or not windows:
        which = ", ".join(without) or "none was chosen"
        text = f"Sync {sync.name}: only imported windows can be acknowledged ({which}). Run the others, or choose partitions."
        return dg.Failure(text, allow_retries=False)
    return None


def imported(
    context: dg.AssetExecutionContext,
    sync: Sync,
    windows: Sequence[Window],
    names: Collection[str],
    importing: Importing,
    *,
    destination: Destination = ANYWHERE,
) -> Generator[Event, None, dg.Failure | None]:
    """Yields the windows whose every row is proven, each as a materialization and its checks; comes back with the failure of the rest.

    Windows that stopped themselves are yielded as observations.
    """
    if not windows:
        return dg.Failure(f"Sync {sync.name}: no window was chosen. Choose partitions to materialize.", allow_retries=False)
    from klaviyo_sync.orchestration.guarantees import forgets  # noqa: PLC0415 - SQLAlchemy, for a run only
    from klaviyo_sync.orchestration.import_slot import import_slot  # noqa: PLC0415

    key = asset_key(sync)
    types_before = column_types.stored_types(context.instance, key)
    if (warning := forgets(context.instance)) is not None:
        context.log.warning(warning)
    stopped: Mapping[str, Stop] = {}
    try:
        rejects = importing.open_rejects()
        with not_swallowed(), import_slot(context.instance, context.run.run_id, context.log.info):
            opened = open_opt_outs.read_open(context.instance, key)
            still_open = acknowledgments.not_acknowledged(context.instance, key, opened.windows)
            before = read_ledger(context.instance, sync)  # before a row is sent: nothing must keep its result from being stored
            now = importing.clock()
            report = importing.run_windows(
                sync,
                windows,
                getattr(context.resources, warehouse_name(sync.connection)),
                getattr(context.resources, KLAVIYO),
                now=now,
                rejects=rejects,
                log=context.log.info,
                before=stops.results_before(context.instance, sync, windows[0], destination),
                let_through=context.op_execution_context.op_config[LET_THROUGH],
            )
        stopped = report.stopped
        done = [window for window in windows if window.key not in stopped]
        results = [(window, report.results[window.key], rejects.address(sync.name, window.key)) for window in done]
    except HaltedError as error:
        yield from stops.observations(key, windows, error.stopped)
        return halted(sync.name, windows, error.stopped, importing.clock()) if error.stopped else broken(sync.name, windows, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, Dagster must show a text that says what to do and quotes no cell
        return broken(sync.name, windows, error)
    proven = [(window, result, file) for window, result, file in results if result.proven]
    for window, result, file in proven:
        types = column_types.metadata(report.types, types_before)
        values = metadata(sync, window, result, report, file, sandbox=destination.sandbox) | types
        values |= stops.judged(report, window, context.run.tags, context.run.run_id, now)
        newest = checkpoint(before) | open_opt_outs.carried(still_open, opened.as_of) if window is proven[-1][0] else {}
        yield dg.AssetMaterialization(key, partition=window.key, metadata={**values, **newest})
    stored = latest(context.instance, key, [window.key for window, _, _ in proven])
    yield from evaluations.of_windows(sync, stored.values(), names)
    yield from stops.observations(key, windows, stopped)
    open_questions = [(window, result, file) for window, result, file in results if not result.proven]
    failures = [unproven(sync.name, open_questions)] if open_questions else []
    if stopped:
        failures.append(halted(sync.name, windows, stopped, importing.clock()))
    return together(failures)
