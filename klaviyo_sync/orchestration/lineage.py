"""What the catalogue in the Dagster UI says of a sync: its dataset upstream, its columns, where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg

from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.sync import Sync

PROFILES = dg.AssetKey(["klaviyo", "profiles"])
PROFILES_GROUP = "klaviyo"
PART = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|([^.`"]+)')


def asset_key(sync: Sync) -> dg.AssetKey:
    """The key of the sync's own asset."""
    return dg.AssetKey(["klaviyo", sync.name])


def dataset_key(sync: Sync) -> dg.AssetKey:
    """The key of what the sync reads: `upstream`, else the connection and the parts of the table's name, or the query's sync."""
    if sync.upstream:
        return dg.AssetKey(list(sync.upstream))
    parts = ["".join(found).replace('""', '"') for found in PART.findall(sync.dataset)] if sync.dataset else [f"{sync.name}_query"]
    return dg.AssetKey([sync.connection, *parts])


def dataset_spec(sync: Sync, warehouse: str) -> dg.AssetSpec:
    """An external asset for what the sync reads."""
    written = (
        f"The query of sync {sync.name}:\n\n```sql\n{sync.query}\n```" if sync.query else f"Read by Klaviyo syncs over {sync.connection}."
    )
    return dg.AssetSpec(
        dataset_key(sync),
        description=written,
        group_name=re.sub(r"\W", "_", sync.connection),
        kinds={warehouse},
        metadata={"dagster/storage_kind": warehouse, **({"dagster/table_name": sync.dataset} if sync.dataset else {})},
    )


def profiles_spec(syncs: Iterable[Sync]) -> dg.AssetSpec:
    """The external asset where all syncs end: the profiles of the Klaviyo account."""
    return dg.AssetSpec(
        PROFILES,
        deps=[asset_key(sync) for sync in syncs],
        description="The profiles of the Klaviyo account, as all syncs together write them.",
        group_name=PROFILES_GROUP,
        kinds={"klaviyo"},
    )


def sync_spec(sync: Sync, warehouse: str, windows: dg.TimeWindowPartitionsDefinition, file: Path, line: int) -> dg.AssetSpec:
    """The sync's own asset."""
    return dg.AssetSpec(
        asset_key(sync),
        deps=[dataset_key(sync)],
        description=sync.description or described(sync),
        group_name=sync.group or PROFILES_GROUP,
        owners=list(sync.owners),
        kinds={"klaviyo", warehouse},
        tags={"frequency": frequency_word(sync), **sync.tags},
        partitions_def=windows,
        metadata={
            "dagster/column_schema": dg.TableSchema(columns=columns(sync)),
            "dagster/column_lineage": dg.TableColumnLineage(
                {
                    name: [dg.TableColumnDep(asset_key=dataset_key(sync), column_name=column) for column in sources]
                    for name, _, sources, _, _ in fields(sync)
                }
            ),
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=file.name)]
            ),
        },
    )


def frequency_word(sync: Sync) -> str:
    """The frequency as a tag and in names: its word, or `cron`."""
    return sync.frequency if re.fullmatch(r"\w+", sync.frequency) else "cron"


def described(sync: Sync) -> str:
    """A description for a sync whose file has none."""
    rows = f"`{sync.dataset}`" if sync.dataset else "its query"
    parts = [
        f"Imports the rows of {rows} (connection `{sync.connection}`) as Klaviyo profiles.",
        f"A partition holds the rows whose `{sync.modified_at.column}` lies in its window ({sync.frequency}, {sync.modified_at.timezone}).",
        "The first partition also holds every older row."
        if sync.history == "include"
        else "Rows older than the first partition are left out.",
        f"People are told apart by {', '.join(sync.identifiers)}.",
    ]
    return " ".join(parts)


def fields(sync: Sync) -> list[tuple[str, str, list[str], str, list[str]]]:
    """Everything that the sync fills in Klaviyo: name, type, source columns, what it is, constraints."""
    filled = [
        (
            path,
            ATTRIBUTES[path].kind,
            some(field.column, field.country),
            ATTRIBUTES[path].about,
            ["identifier"] * ATTRIBUTES[path].identifier,
        )
        for path, field in sync.profile.items()
    ]
    properties = [
        (f"properties.{name}", field.type or "as in the warehouse", [field.column], "Custom property.", [])
        for name, field in sync.properties.items()
    ]
    consents = [
        (
            f"consent.{channel}",
            "consent",
            some(field.column, field.date_column),
            f"Consent, undated subscribes: {sync.consent.undated}.",
            [],
        )
        for channel, field in (sync.consent.channels().items() if sync.consent else ())
        if sync.consent
    ]
    return [*filled, *properties, *consents]


def columns(sync: Sync) -> list[dg.TableColumn]:
    """The sync's column schema; each description ends in where the value comes from."""
    origin = sync.dataset or f"{sync.name}_query"
    return [
        dg.TableColumn(
            name=name,
            type=kind,
            description=f"{about.rstrip('.')}, from {' and '.join(f'{origin}.{column}' for column in sources)}",
            constraints=dg.TableColumnConstraints(other=constraints),
        )
        for name, kind, sources, about, constraints in fields(sync)
    ]


def some(*names: str | None) -> list[str]:
    """The names that are given."""
    return [name for name in names if name is not None]


def one_each(specs: Sequence[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """The specs without repetitions of a key: several syncs may read one dataset."""
    return list({spec.key: spec for spec in reversed(specs)}.values())[::-1]
