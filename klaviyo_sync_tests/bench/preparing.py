"""One way to turn the table into request bodies, in this process: prints rows, seconds, CPU seconds, requests and peak memory as JSON.

Run as `python -m bench.preparing WAY TABLE ROWS`; a process of its own for each figure keeps memory and caches apart.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from bench.data import CONSENT, SYNC

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)
LOCATION = {"city": "city", "country": "country", "zip": "zip"}
TOP = {"external_id": "external_id", "email": "email", "phone_number": "phone", "first_name": "first_name", "last_name": "last_name"}
MAX_PROFILES, MAX_BYTES = 10_000, 5_000_000


def ours(table: Path, rows: int) -> Iterator[int]:
    """Rows per body, the product's own way."""
    from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

    warehouse = DuckDBWarehouse(table)
    yield from bodies(warehouse, SYNC)
    warehouse.close()


def stating(table: Path, rows: int) -> Iterator[int]:
    """The same with consent, whose statements are compared where rows are contested."""
    from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

    warehouse = DuckDBWarehouse(table)
    yield from bodies(warehouse, SYNC | CONSENT)
    warehouse.close()


def bodies(warehouse: Any, keys: dict[str, Any]) -> Iterator[int]:
    """Rows per body, from any warehouse: read with rivals marked, cleaned, mapped, encoded, packed."""
    from klaviyo_sync.core.packing import import_envelope, pack
    from klaviyo_sync.core.sync import Sync
    from klaviyo_sync.core.tally import Tally
    from klaviyo_sync.core.windows import Window
    from klaviyo_sync.engine import engine
    from klaviyo_sync.rejects import Rejects
    from klaviyo_sync.source import open_source
    from klaviyo_sync.sync_window import profiles

    source = open_source(Sync.model_validate(keys), warehouse, NOW)
    windows = [Window("all", START, NOW, first=True)]
    with engine() as connection, Rejects("memory://bench").open("bench", ["all"]) as files:
        for batch in pack(profiles(source, windows, connection, Tally(windows), files), import_envelope()):
            batch.body()
            yield len(batch)


def frames(table: Path, rows: int) -> Iterator[Any]:
    """The table as pandas frames, the usual way to read it."""
    connection = duckdb.connect(str(table), read_only=True)
    reader = connection.sql(f"SELECT * FROM profiles LIMIT {rows}").to_arrow_reader(20_000)
    for batch in reader:
        yield batch.to_pandas()


def profile_of(row: dict[str, Any], present: Callable[[Any], bool]) -> dict[str, Any]:
    """A row as the attributes of a profile."""
    attributes = {path: row[column] for path, column in TOP.items() if present(row[column])}
    attributes["location"] = {path: row[column] for path, column in LOCATION.items() if present(row[column])}
    attributes["properties"] = {name: row[column] for name, column in SYNC["properties"].items() if present(row[column])}
    return attributes


def present(cell: Any) -> bool:
    """Whether a cell of a pandas frame holds something."""
    return hasattr(cell, "__len__") or (cell is not None and cell == cell)  # noqa: PLR0124 - NaN is not itself


def plain(cell: Any) -> Any:
    """What json cannot write, as text or list."""
    return cell.tolist() if hasattr(cell, "tolist") else str(cell)


def packed(profiles: Iterator[str]) -> Iterator[int]:
    """Rows per body, cut by count and bytes."""
    held: list[str] = []
    size = 0
    for profile in profiles:
        length = len(profile.encode()) + 1
        if held and (len(held) == MAX_PROFILES or size + length > MAX_BYTES - 100):
            ('{"data":{"attributes":{"profiles":{"data":[' + ",".join(held) + "]}}}}").encode()
            yield len(held)
            held, size = [], 0
        held.append(profile)
        size += length
    yield len(held)


def to_dict(table: Path, rows: int) -> Iterator[int]:
    """`to_dict` and `json.dumps`, without any cleaning: what most scripts do."""
    profiles = (
        json.dumps({"type": "profile", "attributes": profile_of(row, present)}, default=plain)
        for frame in frames(table, rows)
        for row in frame.to_dict("records")
    )
    return packed(profiles)


def official(table: Path, rows: int) -> Iterator[int]:
    """The models of the official klaviyo-api package, their `to_dict`, and `json.dumps`, without any cleaning."""
    from openapi_client.models.profile_enum import ProfileEnum
    from openapi_client.models.profile_location import ProfileLocation
    from openapi_client.models.profile_upsert_query_resource_object import ProfileUpsertQueryResourceObject
    from openapi_client.models.profile_upsert_query_resource_object_attributes import ProfileUpsertQueryResourceObjectAttributes

    def written(row: dict[str, Any]) -> str:
        attributes = profile_of(row, present)
        attributes["location"] = ProfileLocation(**attributes["location"])
        attributes["properties"] = json.loads(json.dumps(attributes["properties"], default=plain))
        profile = ProfileUpsertQueryResourceObject(
            type=ProfileEnum.PROFILE, attributes=ProfileUpsertQueryResourceObjectAttributes(**attributes)
        )
        return json.dumps(profile.to_dict())

    return packed(written(row) for frame in frames(table, rows) for row in frame.to_dict("records"))


WAYS: dict[str, Callable[[Path, int], Iterator[int]]] = {"ours": ours, "stating": stating, "to_dict": to_dict, "official": official}


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def main(way: str, table: str, rows: str) -> None:
    """Pins the process to one core, runs the way, prints the figures."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    began, used = time.perf_counter(), time.process_time()
    bodies = list(WAYS[way](Path(table), int(rows)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    sys.stdout.write(
        json.dumps({"rows": sum(bodies), "seconds": seconds, "cpu": cpu, "requests": len(bodies), "peak_mb": peak_megabytes()})
    )


if __name__ == "__main__":
    main(*islice(sys.argv, 1, 4))
