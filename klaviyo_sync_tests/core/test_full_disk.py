"""A temporary folder that is full, or that somebody clears: the run is tried again, and says where to make room."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from klaviyo_sync.core.errors import ConfigError, Unavailable
from klaviyo_sync.engine import engine
from klaviyo_sync.scratch import LOCK, PREFIX, Scratch, empty, temporary_folder
from klaviyo_sync.spool import RowSpool, Spool
from klaviyo_sync.warehouses.duckdb_failures import of_failure

FULL_DISK = Path("/dev/full")
MANY = "CREATE TEMP TABLE many AS SELECT md5(n::VARCHAR) AS a, md5((n + 1)::VARCHAR) AS b FROM range(2000000) AS _(n)"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders for temporary files of the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def fills_the_disk(_: duckdb.DuckDBPyConnection) -> None:
    """Rows that are written to a disk without room."""
    with pa.OSFile(str(FULL_DISK), "wb") as file:
        file.write(b"rows")


def is_cleared(_: duckdb.DuckDBPyConnection) -> None:
    """A folder that somebody clears while rows lie in it."""
    with RowSpool() as spool:
        list(spool.writing([pa.record_batch({"n": [1]})]))
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            (folder / "rows.arrow").unlink(missing_ok=True)
        list(spool)


def spills_too_much(connection: duckdb.DuckDBPyConnection) -> None:
    """A sort of DuckDB's that finds no room."""
    connection.execute("SET max_temp_directory_size = '1MB'")
    connection.execute(MANY)


@pytest.mark.skipif(not FULL_DISK.exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(
    ("happens", "said"), [(fills_the_disk, "is full"), (is_cleared, "nothing clears the folder"), (spills_too_much, "is full")]
)
def test_what_cannot_be_spilled(tmp_path: Path, happens: Callable[[duckdb.DuckDBPyConnection], None], said: str) -> None:
    """It is nobody's bug: the run is tried again, names the folder and TMPDIR, and leaves nothing there."""
    with pytest.raises(Unavailable) as caught, engine() as connection:
        happens(connection)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_no_place_for_temporary_files() -> None:
    """Where no temporary folder can be written at all, the message names TMPDIR."""

    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    with pytest.raises(ConfigError, match="TMPDIR"):
        temporary_folder(nowhere)


@pytest.mark.skipif(not FULL_DISK.exists(), reason="only Linux has a disk that is always full")
def test_a_spool_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """Its folder goes even when the end of a file cannot be written."""
    spool = Spool()
    with pytest.raises(OSError, match="No space"), spool:  # noqa: PT012 - it fails at the end of the block
        spool.add_rows(0, pa.table({"n": [1]}))
        spool._writers[1] = pa.ipc.new_stream(pa.OSFile(str(FULL_DISK), "wb"), pa.schema([("n", pa.int64())]))
    assert not list(tmp_path.iterdir())


def test_the_lock_goes_last() -> None:
    """Rows go before the lock: a process that is killed in between leaves nothing that the next run cannot tell to be nobody's."""
    with Scratch() as folder:
        (folder / "rows.arrow").write_text("x", encoding="utf-8")
        (folder / "duckdb").mkdir()
        empty(folder)
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_warehouse_that_cannot_spill() -> None:
    """DuckDB's limit of the temporary folder is its disk, and no matter of memory_limit."""
    text = (
        "Out of Memory Error: failed to offload data block of size 256.0 KiB.\nThis limit was set by the 'max_temp_directory_size' setting."
    )
    error = of_failure(duckdb.OutOfMemoryException(text), Path("w.duckdb"))
    assert isinstance(error, Unavailable)
    assert "TMPDIR" in str(error)
