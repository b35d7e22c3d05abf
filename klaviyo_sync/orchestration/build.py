"""A project as Dagster definitions."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from klaviyo_sync.config import Project
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.orchestration import resources
from klaviyo_sync.orchestration.assets import Importing, sync_asset
from klaviyo_sync.orchestration.done import destination_of
from klaviyo_sync.orchestration.lineage import asset_key, dataset_spec, one_each, profiles_spec, sync_spec
from klaviyo_sync.orchestration.partitions import partitions
from klaviyo_sync.orchestration.schedules import completeness_job, completeness_schedule, sync_job, sync_schedule


def build_definitions(project: Project, importing: Importing, environ: Mapping[str, str]) -> dg.Definitions:
    """Everything that Dagster shows of a project. ConfigError, with the sync's file, for what Dagster does not accept."""
    assets, jobs, schedules, datasets = [], [], [], []
    destination = destination_of(project.klaviyo)
    for sync in project.syncs:
        source = project.sources[sync.name]
        warehouse = project.connections[sync.connection].type
        try:
            spec = sync_spec(sync, warehouse, partitions(sync), source.path, min(source.lines.values(), default=1))
            job = sync_job(sync)
            datasets.append(dataset_spec(sync, warehouse))
            assets.append(sync_asset(sync, spec, importing, destination))
            schedules.append(sync_schedule(sync, job, destination))
            jobs.append(job)
        except (dg.DagsterInvalidDefinitionError, dg.DagsterInvariantViolationError) as error:
            raise ConfigError(f"{source.path}: Dagster does not accept this sync: {error}") from None
    if project.syncs:
        jobs.append(late := completeness_job(project.syncs))
        schedules.append(completeness_schedule(late))
    own = {asset_key(sync) for sync in project.syncs}
    return dg.Definitions(
        assets=[*(spec for spec in one_each(datasets) if spec.key not in own), *assets, profiles_spec(project.syncs)],
        jobs=jobs,
        schedules=schedules,
        resources={
            resources.KLAVIYO: resources.klaviyo(project.klaviyo, environ),
            **{resources.warehouse_name(name): resources.warehouse(found, environ) for name, found in project.connections.items()},
        },
        executor=dg.in_process_executor,
    )
