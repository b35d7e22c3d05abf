"""When DuckDB refuses: who must act, in words that say what to do, never a cell, and never an exception of the driver's."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from query_place import TABLE, Opens

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.core.query import Query
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse
from klaviyo_sync.warehouses.duckdb_failures import explained, of_failure

CELL = "anna@example.com"
PEOPLE = TABLE + f"('{CELL}', '2026-01-02')"
HOLDS_THE_FILE = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM read_parquet('/nowhere/members/*.parquet')", 'No files found that match the pattern "/nowhere/members/*.parquet"'),
        ("SELECT * FROM 'members.csv'", "a relative name is looked for in the working directory"),
        ("SELECT * FROM read_json_auto('/nowhere.json')", "Correct the file's name"),
        ("SELECT * FROM peple", "people"),
        ("SELECT idd AS id, changed FROM people", "idd"),
        ("SELECT no_such_function(id) AS id, changed FROM people", "no_such_function"),
        ("SELECT sum(id) AS id, changed FROM people", "sum"),
        ("SELECT * FROM crm.people", "people"),
    ],
)
def test_what_is_not_there(opens: Opens, query: str, said: str) -> None:
    """Files, tables, columns and functions that are not there are the author's, who is told which, and where the query stands."""
    with pytest.raises(ConfigError) as caught:
        opens(PEOPLE, dataset=None, query=query)
    assert said in str(caught.value)
    assert caught.value.key == ("query",)


def test_a_view_over_a_file_that_is_gone(opens: Opens, tmp_path: Path) -> None:
    """A view whose file has gone away is refused before anything is read."""
    file = tmp_path / "members.csv"
    file.write_text("id,changed\nx,2026-01-02 00:00:00\n", encoding="utf-8")
    source = opens(f"CREATE VIEW people AS SELECT id::VARCHAR AS id, changed FROM read_csv('{file}')")
    file.unlink()
    with pytest.raises(ConfigError, match=r"members\.csv"):
        source.warehouse.columns(source.relation)
    with pytest.raises(ConfigError, match=r"members\.csv"):
        list(source.warehouse.batches(source.rows_query(None, source.now)))


@pytest.mark.parametrize(
    "column", ["id::INTEGER::VARCHAR", f"error('{CELL}')", "strptime(id, '%Y')::VARCHAR", "(9223372036854775807 + len(id))::VARCHAR"]
)
def test_cells_that_break_a_query(opens: Opens, column: str) -> None:
    """A value that a query cannot work with is the owner's of the data, and is never repeated."""
    source = opens(PEOPLE, dataset=None, query=f"SELECT {column} AS id, changed FROM people")
    with pytest.raises(Refused, match="run it in DuckDB") as caught:
        list(source.warehouse.batches(source.rows_query(None, source.now)))
    assert CELL not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (duckdb.Error("An error occurred while trying to install the required extension 'httpfs:\nFailed"), ConfigError, "INSTALL httpfs"),
        (
            duckdb.IOException('Extension "/home/x/.duckdb/sqlite_scanner.duckdb_extension" not found.'),
            ConfigError,
            "INSTALL sqlite_scanner",
        ),
        (
            duckdb.HTTPException("HTTP Error: HTTP GET error on 'https://x.example/a.csv?key=s3cret' (HTTP 404 Not Found)"),
            ConfigError,
            "address",
        ),
        (duckdb.HTTPException("HTTP Error: HTTP 403 on 'https://x.example/a.csv?key=s3cret'"), Refused, "CREATE PERSISTENT SECRET"),
        (duckdb.HTTPException("HTTP Error: HTTP 503 on 'https://x.example/a.csv?key=s3cret'"), Unavailable, "asks again"),
        (duckdb.IOException("IO Error: Could not establish connection error for HTTP HEAD"), Unavailable, "asks again"),
        (duckdb.IOException('IO Error: Cannot open file "x": Permission denied'), Refused, "user that runs Dagster"),
        (duckdb.Error("Corrupt database file: computed checksum 1 does not match 2"), Refused, "damaged"),
        (duckdb.OutOfMemoryException("Out of Memory Error: ..."), Refused, "memory_limit"),
        (pa.ArrowInvalid(CELL), Refused, "ArrowInvalid"),
        (RuntimeError(CELL), Refused, "RuntimeError"),
    ],
)
def test_what_duckdb_says(error: Exception, kind: type[KlaviyoSyncError], said: str) -> None:
    """A missing extension, an address, a right, memory, damage: each says who must do what, without parameters of addresses."""
    failure = of_failure(error, Path("w.duckdb"))
    assert type(failure) is kind
    assert said in str(failure)
    assert "s3cret" not in str(failure)
    assert CELL not in str(failure)


EVERY = [kind for _, kind in inspect.getmembers(duckdb, inspect.isclass) if issubclass(kind, duckdb.Error)]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_class_of_duckdbs_is_one_of_ours(kind: type[Exception]) -> None:
    """Whatever class an exception of DuckDB's has, it becomes one of the three kinds, without what it might quote of a cell."""
    with pytest.raises(KlaviyoSyncError), explained(Path("w.duckdb")):
        raise kind("Nobody foresaw this.")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is a folder"), (b"", "not a valid DuckDB database file"), (b"no database " * 1_000, "not a valid DuckDB database file")],
)
def test_what_is_no_database(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A folder, or a file that is none of DuckDB's, is the author's."""
    file = tmp_path / "warehouse.duckdb"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        DuckDBWarehouse(file)


def test_a_file_that_another_process_writes(tmp_path: Path) -> None:
    """While another process has the file open for writing it is nobody's fault, and the next run asks again."""
    file = tmp_path / "warehouse.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLDS_THE_FILE, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Unavailable, match="Another process has the file open"):
            DuckDBWarehouse(file)
        other.communicate()


def test_a_query_that_nobody_could_check(opens: Opens) -> None:
    """What only the warehouse can tell of a query is told as one of the three kinds when it runs, too."""
    source = opens(PEOPLE)
    with pytest.raises(ConfigError, match="nowhere"):
        list(source.warehouse.batches(Query("SELECT * FROM nowhere")))
