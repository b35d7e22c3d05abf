"""One asset per sync: a run imports its windows, stores what became of each, and checks them."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import dagster as dg

from klaviyo_sync.core.ledger import ANYWHERE, Destination
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tolerance import UNLIMITED
from klaviyo_sync.core.windows import Window
from klaviyo_sync.orchestration import evaluations
from klaviyo_sync.orchestration.checks import check_specs
from klaviyo_sync.orchestration.done import checkpoint, read_ledger
from klaviyo_sync.orchestration.failures import RETRIES, broken, unproven
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import MOST_WINDOWS_PER_RUN, partitions, window_of
from klaviyo_sync.orchestration.resources import KLAVIYO, OpenKlaviyo, OpenWarehouse, warehouse_name
from klaviyo_sync.orchestration.stored import Stored, latest, metadata, newest

if TYPE_CHECKING:  # pandas, pyarrow and duckdb, for a run only
    from klaviyo_sync.rejects import Rejects
    from klaviyo_sync.sync_window import Report

POOL = "klaviyo"
LET_THROUGH = "let_through"
LETTING_THROUGH = dg.Field(bool, default_value=False, description="Import also what stop_above would stop, this once.")
CHECKED_ALONE = 100  # windows, when the UI executes checks without naming any

Events = Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[None]]


class RunWindows(Protocol):
    """Imports contiguous windows, oldest first, and reports what became of every row.

    Raises ConfigError, Refused or Unavailable when it could not. `warehouse` and `klaviyo` are not open yet.
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
        retry_policy=importing.retries,
        pool=POOL,
        config_schema={LET_THROUGH: LETTING_THROUGH},
        required_resource_keys={warehouse_name(sync.connection), KLAVIYO},
    )
    def run(context: dg.AssetExecutionContext) -> Events:
        partitioned = context.has_partition_key or context.has_partition_key_range
        chosen = [window_of(windows, name) for name in context.partition_keys] if partitioned else []
        names = {check.name for check in context.selected_asset_check_keys}
        failed = None
        if context.selected_asset_keys:
            asked = sync.model_copy(update={"stop_above": UNLIMITED}) if context.op_execution_context.op_config[LET_THROUGH] else sync
            failed = yield from imported(context, asked, chosen, names, importing, destination=destination)
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


def imported(
    context: dg.AssetExecutionContext,
    sync: Sync,
    windows: Sequence[Window],
    names: Collection[str],
    importing: Importing,
    *,
    destination: Destination = ANYWHERE,
) -> Generator[dg.AssetMaterialization | dg.AssetCheckEvaluation, None, dg.Failure | None]:
    """Yields the windows whose every row is proven, each as a materialization and its checks; comes back with the failure of the rest."""
    if not windows:
        return dg.Failure(f"Sync {sync.name}: no window was chosen. Choose partitions to materialize.", allow_retries=False)
    key = asset_key(sync)
    try:
        before = read_ledger(context.instance, key)  # first of all: once rows were sent, nothing must keep their result from being stored
        rejects = importing.open_rejects()
        report = importing.run_windows(
            sync,
            windows,
            getattr(context.resources, warehouse_name(sync.connection)),
            getattr(context.resources, KLAVIYO),
            now=importing.clock(),
            rejects=rejects,
            log=context.log.info,
        )
        results = [(window, report.results[window.key], rejects.address(sync.name, window.key)) for window in windows]
    except Exception as error:  # noqa: BLE001 - whatever it is, Dagster must show a text that says what to do and quotes no cell
        return broken(sync.name, windows, error)
    proven = [(window, result, file) for window, result, file in results if result.proven]
    for window, result, file in proven:
        values = metadata(sync, window, result, report, file, sandbox=destination.sandbox)
        newest = checkpoint(before) if window is proven[-1][0] else {}
        yield dg.AssetMaterialization(key, partition=window.key, metadata={**values, **newest})
    stored = latest(context.instance, key, [window.key for window, _, _ in proven])
    yield from evaluations.of_windows(sync, stored.values(), names)
    open_questions = [(window, result, file) for window, result, file in results if not result.proven]
    return unproven(sync.name, open_questions) if open_questions else None
