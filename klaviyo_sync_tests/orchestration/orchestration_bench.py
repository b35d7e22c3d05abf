"""An import that answers what a test tells it, and Dagster in this process around one sync."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import PartitionBackfill
from dagster._time import get_current_timestamp

from klaviyo_sync.core.column_types import ColumnType
from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.stopping import Changes, Stop
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.accounts import Account
from klaviyo_sync.orchestration.partitions import partitions
from klaviyo_sync.orchestration.schedules import asked_for
from klaviyo_sync.sync_window import Report

KEY = dg.AssetKey(["klaviyo", "loyalty"])
NOW = datetime(2024, 3, 4, 6, 10, tzinfo=UTC)
LOYALTY: dict[str, Any] = {
    "connection": "local",
    "dataset": "analytics.loyalty_members",
    "modified_at": "updated_at",
    "frequency": "hourly",
    "start": "2024-03-04 00:00",
    "profile": {"email": "email", "external_id": "customer_id"},
    "properties": {"Loyalty_Balance": "balance"},
    "consent": {"email_marketing": "email_consent"},
}
FILE: dict[str, Any] = {
    "klaviyo": {"api_key": {"env": "KLAVIYO_API_KEY"}},
    "connections": {"local": {"type": "duckdb", "path": "warehouse.duckdb"}},
}
TABLE = """
CREATE SCHEMA analytics;
CREATE TABLE analytics.loyalty_members (email VARCHAR, customer_id VARCHAR, balance DOUBLE, email_consent VARCHAR, updated_at TIMESTAMP);
"""
SHOP = Account("AbC123", "Shop", "UTC", test_account=False)
ENVIRON: dict[str, str] = {"KLAVIYO_API_KEY": "pk_value_that_nobody_may_see"}


@dataclass
class Imports:
    """Stands where the import does: says what it was given, and keeps what it was asked."""

    results: dict[str, Result] = field(default_factory=dict)
    usual: Result = field(default_factory=lambda: Result(read=10, imported=10, requests=1, bytes=900, jobs=("job-1",)))
    error: Exception | None = None
    undated: int = 0
    opt_in: str | None = None
    notes: tuple[str, ...] = ()
    types: tuple[ColumnType, ...] = ()
    stops: dict[str, Stop] = field(default_factory=dict)
    changes: Changes | None = None
    account: Account | None = SHOP
    zone: str | None = None
    asked: list[list[str]] = field(default_factory=list)
    before: list[list[Changes]] = field(default_factory=list)

    def __call__(
        self,
        sync: Sync,
        windows: Sequence[Window],
        warehouse: object,
        klaviyo: object,
        *,
        now: datetime,
        rejects: object,
        log: Callable[[str], None],
        before: Sequence[Changes] = (),
        let_through: bool = False,
    ) -> Report:
        del warehouse, klaviyo, now, rejects
        self.before.append(list(before))
        self.asked.append([window.key for window in windows])
        stops = {window.key: self.stops[window.key] for window in windows if window.key in self.stops}
        exceeded = {key: stop.reasons for key, stop in stops.items()} if let_through else {}
        stopped = {} if let_through else stops
        if len(stopped) == len(windows):
            raise HaltedError("The run stopped itself.", stopped)
        log(f"importing {len(windows)} windows of {sync.name}")
        if self.error is not None:
            raise self.error
        results = {window.key: self.results.get(window.key, self.usual) for window in windows if window.key not in stopped}
        changes = {key: self.changes for key in results if self.changes}
        return Report(
            results,
            undated=self.undated,
            future=0,
            seconds=1.5,
            opt_in=self.opt_in,
            notes=self.notes,
            account=self.account,
            types=self.types,
            stopped=stopped,
            exceeded=exceeded,
            changes=changes,
            zone=self.zone,
        )


@dataclass
class Bench:
    """Dagster around one sync named `loyalty`: definitions, instance, and short words for what tests do."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    sync: Sync
    imports: Imports

    def run(
        self, first: str | None = None, last: str | None = None, checks: Sequence[str] | None = None, **config: object
    ) -> dg.ExecuteInProcessResult:
        """A run over one window, a range, or none; with `checks`, only those and no import. `config` is the run config of the sync."""
        tags = {} if first is None else {"dagster/partition": first}
        if last is not None and first is not None:
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        whole = self.defs.resolve_implicit_global_asset_job_def()
        chosen = None if checks is None else {dg.AssetCheckKey(KEY, name) for name in checks}
        job = whole.get_subset(asset_selection=set() if checks is not None else {KEY}, asset_check_selection=chosen)
        run_config = {"ops": {"klaviyo__loyalty": {"config": config}}} if config else None
        return job.execute_in_process(run_config, tags=tags, instance=self.instance, raise_on_error=False)

    def imported(self) -> set[str]:
        """The windows that are materialized."""
        return set(self.instance.get_materialized_partitions(KEY))

    def checks(self, name: str) -> dict[str | None, tuple[bool, str]]:
        """The newest evaluation of a check by window, as (passed, severity)."""
        return {data.partition: (data.passed, data.severity.value) for data in self.evaluations(name)}

    def check_metadata(self, name: str) -> Mapping[str, Any]:
        """The metadata of the newest evaluation of a check."""
        return self.evaluations(name)[-1].metadata

    def evaluations(self, name: str) -> list[dg.AssetCheckEvaluation]:
        """Every evaluation of a check, oldest first."""
        records = self.instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(KEY, name), limit=1000)
        found = [record.event.dagster_event.event_specific_data for record in records if record.event and record.event.dagster_event]
        return [data for data in reversed(found) if isinstance(data, dg.AssetCheckEvaluation)]

    def failure(self, run: dg.ExecuteInProcessResult) -> str:
        """What a failed run says."""
        [event] = [event for event in run.all_events if event.event_type_value == "STEP_FAILURE"]
        data = event.step_failure_data
        return data.user_failure_data.description or "" if data.user_failure_data else str(data.error)

    def everything_stored(self) -> str:
        """Every event of every run, as Dagster stores it."""
        runs = self.instance.get_runs()
        return "\n".join(str(entry) for run in runs for entry in self.instance.all_logs(run.run_id))

    def tick(self, at: datetime) -> list[str | tuple[str, str]]:
        """What the schedule asks for at a moment: a key for a single window, first and last for a range."""
        requests = asked_for(self.sync, at, self.instance)
        return [] if isinstance(requests, dg.SkipReason) else [asked(request) for request in requests]


def asked(request: dg.RunRequest) -> str | tuple[str, str]:
    """The windows of a request: a key for a single one, first and last for a range."""
    if request.partition_key is not None:
        return request.partition_key
    return request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"]


def backfill(bench: Bench, keys: list[str], launched: list[str]) -> PartitionBackfill:
    """A backfill that launched some of its windows."""
    windows = partitions(bench.sync)

    def subset(names: list[str]) -> AssetGraphSubset:
        return AssetGraphSubset(partitions_subsets_by_asset_key={KEY: windows.subset_with_partition_keys(names)})

    now = get_current_timestamp()
    graph = bench.defs.resolve_asset_graph()
    data = AssetBackfillData.empty(subset(keys), now, dynamic_partitions_store=bench.instance)
    made = PartitionBackfill.from_asset_graph_subset(
        backfill_id="b",
        backfill_timestamp=now,
        tags={},
        dynamic_partitions_store=bench.instance,
        asset_graph_subset=subset(keys),
        title=None,
        description=None,
        run_config=None,
    )
    return made.with_asset_backfill_data(data.replace_requested_subset(subset(launched)), bench.instance, graph)
