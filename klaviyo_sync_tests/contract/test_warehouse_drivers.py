"""A warehouse's driver is loaded by its own connections only; one that is not installed is named, with what installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from backend_duckdb import DuckDBPlace
from backend_snowflake import connection_of
from backends import make_table

from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.warehouses import connect

DRIVERS = ("snowflake.connector", "google.cloud", "dagster_snowflake", "dagster_gcp", "dagster", "grpc")
RUN = """
import sys
from datetime import datetime, timezone
from klaviyo_sync.config.connections import DuckDBConnection
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import window
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.source import open_source
from klaviyo_sync.engine import engine
from klaviyo_sync.sync_window import profiles
from klaviyo_sync.warehouses import connect
sync = Sync.model_validate(dict(name="people", connection="local", dataset="people", modified_at="changed", frequency="daily",
                                start="2026-01-01", profile=dict(external_id="id")))
warehouse = connect(DuckDBConnection(name="local", path=sys.argv[1]), "drivers")
source, windows = open_source(sync, warehouse, datetime(2026, 6, 1, tzinfo=timezone.utc)), [window(sync, "2026-01-01")]
with engine() as connection, Rejects("memory://drivers").open("people", ["2026-01-01"]) as files:
    print(sum(len(texts) for texts, _ in profiles(source, windows, connection, Tally(windows), files)))
print(*(name for name in %r if name in sys.modules))
"""


def test_a_duckdb_run_loads_no_driver(tmp_path: Path) -> None:
    """Reading, mapping and encoding out of DuckDB touches neither Snowflake's nor Google's libraries, nor Dagster."""
    place = DuckDBPlace(tmp_path / "warehouse.duckdb")
    make_table(place, "people", {"id": "text", "changed": "instant"}, [("x", "2026-01-01 12:00:00")])
    done = subprocess.run([sys.executable, "-c", RUN % (DRIVERS,), str(place.path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1", ""]


@pytest.mark.parametrize(("name", "package"), [("snowflake", "dagster_snowflake"), ("bigquery", "dagster_gcp")])
def test_a_driver_that_is_not_installed(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra that brings it."""
    for module in [module for module in sys.modules if module.startswith((package, f"klaviyo_sync.warehouses.{name}"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    connections = {
        "snowflake": connection_of({"account": "a", "user": "u", "password": "p"}),
        "bigquery": BigQueryConnection(name="bigquery", project="p"),
    }
    with pytest.raises(ConfigError, match=rf"klaviyo-sync\[{name}\]"):
        connect(connections[name], "drivers")
