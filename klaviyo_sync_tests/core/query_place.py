"""Sources of a sync over tables in a DuckDB file of their own, and the rows that their windows take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, window
from klaviyo_sync.engine import engine
from klaviyo_sync.source import Source, open_source
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Opens = Callable[..., Source]


def sync_of(**changes: Any) -> Sync:
    """A sync of the table `people`, with changes."""
    plain = {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
    }
    return Sync.model_validate({key: value for key, value in {**plain, **changes}.items() if value is not None})


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Opens the source of a sync over tables that some SQL makes."""
    opened: list[DuckDBWarehouse] = []

    def source(tables: str, now: datetime = NOW, **changes: Any) -> Source:
        file = tmp_path / f"{len(opened)}.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute(tables)
        opened.append(DuckDBWarehouse(file))
        return open_source(sync_of(**changes), opened[-1], now)

    yield source
    for warehouse in opened:
        warehouse.close()


def taken(source: Source, *keys: str) -> dict[str, list[str]]:
    """The external ids that each window takes, sorted."""
    windows = [window(source.sync, key) for key in keys]
    return taken_by(source, windows)


def taken_by(source: Source, windows: list[Window]) -> dict[str, list[str]]:
    """The external ids that each window takes, sorted."""
    found: dict[str, list[str]] = {one.key: [] for one in windows}
    with engine() as connection:
        for rows in source.newest(windows, Rivals(connection.cursor(), source.plan), Tally(windows)):
            for position, name, held in zip(rows.windows, rows.mapped.profiles["external_id"], rows.held, strict=True):
                if not held:
                    found[windows[position].key].append(name)
    return {key: sorted(names) for key, names in found.items()}


TABLE = "CREATE TABLE people (id VARCHAR, changed TIMESTAMP); INSERT INTO people VALUES "
