"""What Dagster shows of a project, as a committed file: what people bookmark, join to and automate against.

`KLAVIYO_SYNC_UPDATE_SNAPSHOTS=1 pytest -k snapshot` writes it anew; the difference belongs into the changelog.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from orchestration_bench import ENVIRON, Imports

from klaviyo_sync.config import Project
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.rejects import Rejects

SNAPSHOT = Path(__file__).with_name("definitions.json")
SYNCS: dict[str, dict[str, Any]] = {
    "loyalty": {"owners": ["team:crm"], "tags": {"domain": "crm"}},
    "scores": {
        "dataset": None,
        "query": "SELECT * FROM ml.scores",
        "frequency": "30 5 * * 1-5",
        "settle": "90m",
        "profile": {"external_id": "customer_id"},
        "properties": {"Score": {"column": "score", "type": "number"}},
        "consent": None,
        "description": "Scores of the model.",
    },
    "stores": {
        "dataset": '"Crm Data"."Store.Members"',
        "frequency": "daily",
        "start": "2024-01-01",
        "modified_at": {"column": "changed", "timezone": "Europe/Berlin"},
        "profile": {"phone_number": {"column": "phone", "country": "country"}},
        "properties": {},
        "consent": None,
        "upstream": ["dbt", "store_members"],
        "group": "stores",
    },
}


def test_definitions_snapshot(project_of: Callable[..., Project], imports: Imports) -> None:
    """Asset keys, lineage, checks, partitions, columns, jobs, schedules, resources and the pool are as committed."""
    importing = Importing(imports, lambda: Rejects("rejects"), clock=lambda: datetime(2024, 3, 4, tzinfo=UTC))
    defs = build_definitions(project_of(**SYNCS), importing, ENVIRON)
    dg.Definitions.validate_loadable(defs)
    found = json.dumps(described(defs), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("KLAVIYO_SYNC_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8")


def described(defs: dg.Definitions) -> dict[str, Any]:
    """Definitions as plain values, without what differs from machine to machine."""
    graph = defs.resolve_asset_graph()
    specs = {spec.key: spec for spec in defs.resolve_all_asset_specs()}
    return {
        "assets": {key.to_user_string(): asset(spec) for key, spec in sorted(specs.items())},
        "checks": {
            check.to_user_string(): {
                "description": graph.get_check_spec(check).description,
                "partitioned": graph.get(check).partitions_def is not None,
                "blocking": graph.get_check_spec(check).blocking,
            }
            for check in sorted(graph.asset_check_keys)
        },
        "jobs": {job.name: dict(job.tags) for job in defs.resolve_all_job_defs() if not job.name.startswith("__")},
        "schedules": {
            name: {
                "cron": schedule.cron_schedule,
                "zone": schedule.execution_timezone,
                "tags": dict(schedule.tags),
                "job": schedule.job_name,
            }
            for name in ("klaviyo_loyalty", "klaviyo_scores", "klaviyo_stores", "check_completeness")
            for schedule in [defs.resolve_schedule_def(name)]
        },
        "resources": {
            name: found.description.splitlines()[2:]
            for name, found in (defs.resources or {}).items()
            if isinstance(found, dg.ResourceDefinition) and found.description and "path" not in found.description
        },
        "pools": sorted({pool for key in specs for pool in pools(defs, key)}),
    }


def asset(spec: dg.AssetSpec) -> dict[str, Any]:
    """What people see of an asset."""
    schema = spec.metadata.get("dagster/column_schema")
    references = spec.metadata.get("dagster/code_references")
    windows = spec.partitions_def
    return {
        "upstream": [dep.asset_key.to_user_string() for dep in spec.deps],
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "tags": {name: value for name, value in spec.tags.items() if not name.startswith("dagster/kind")},
        "description": spec.description,
        "table": spec.metadata.get("dagster/table_name"),
        "windows": [windows.cron_schedule, windows.timezone, windows.fmt, windows.start.isoformat()]
        if isinstance(windows, dg.TimeWindowPartitionsDefinition)
        else None,
        "columns": [[column.name, column.type, column.description] for column in schema.columns] if schema else None,
        "file": [f"{reference.label}:{reference.line_number}" for reference in references.code_references] if references else None,
    }


def schedule(found: dg.ScheduleDefinition) -> dict[str, Any]:
    """When a schedule ticks, and what for."""
    return {"cron": found.cron_schedule, "zone": found.execution_timezone, "tags": dict(found.tags), "job": found.job_name}


def pools(defs: dg.Definitions, key: dg.AssetKey) -> set[str]:
    """The pools that materializing an asset takes a place in."""
    node = defs.resolve_asset_graph().get(key)
    return set(node.pools or ()) if node.is_executable else set()
