"""Spools: rows that wait on disk, in a private folder, until a run knows enough to go on with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from klaviyo_sync.scratch import Scratch

PROFILE = "profile"
BATCH_BYTES = 16 * 2**20


class Spool:
    """Profiles with their rows, as `pack` takes them. They lie in a private folder, which is made when the first of them comes."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._folder: Path | None = None
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Spool:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._open:  # the folder goes even when the disk is too full for the end of a file
            for writer in self._writers.values():
                writer.close()

    def add(self, window: int, profiles: pa.Array, rows: pa.Table) -> None:
        """Puts profiles of one window behind those that wait there."""
        self.add_rows(window, rows.append_column(PROFILE, profiles))

    def add_rows(self, window: int, table: pa.Table) -> None:
        """Puts rows without profiles behind those that wait there. A spool holds rows with profiles, or rows without."""
        if not len(table):
            return
        if window not in self._writers:
            self._writers[window] = pa.ipc.new_stream(self._file(window), table.schema)
        self._writers[window].write_table(table)

    def take(self, window: int) -> Iterator[tuple[pa.Array, pa.Table]]:
        """The profiles of one window in the order in which they came, some thousands at a time. They can be taken again."""
        for table in self.take_rows(window):
            yield table.column(PROFILE).chunk(0), table.drop_columns([PROFILE])

    def take_rows(self, window: int) -> Iterator[pa.Table]:
        """The same of rows without profiles."""
        if (writer := self._writers.get(window)) is None:
            return
        writer.close()
        with pa.OSFile(str(self._file(window))) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                yield pa.table(batch)

    def drop(self, window: int) -> None:
        """Lets go of what waits there."""
        if self._writers.pop(window, None) is not None:
            self._file(window).unlink(missing_ok=True)

    def _file(self, window: int) -> Path:
        if self._folder is None:
            self._folder = self._open.enter_context(Scratch())
        return self._folder / f"{window}.arrow"


class RowSpool:
    """Rows of a warehouse, in the order in which they came. Each iteration reads them from the start, in batches of at most BATCH_BYTES."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._path: Path | None = None

    def __enter__(self) -> RowSpool:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def writing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches, each written before it is passed on. All have one schema; they can be read once all were passed on."""
        with ExitStack() as opened:
            writers: list[pa.ipc.RecordBatchStreamWriter] = []

            def written(batch: pa.RecordBatch) -> pa.RecordBatch:
                if not writers:
                    self._path = self._open.enter_context(Scratch()) / "rows.arrow"
                    file = opened.enter_context(pa.OSFile(str(self._path), "wb"))
                    writers.append(opened.enter_context(pa.ipc.new_stream(file, batch.schema)))
                for piece in cut(batch):
                    writers[0].write_batch(piece)
                return batch

            # map, not a loop: no name here keeps the last batch alive while the next one is made.
            yield from map(written, batches)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._path is None:
            return
        # Not memory-mapped: mapped pages count as memory of the process.
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as batches:
            yield from batches


def cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of about BATCH_BYTES at most, one row at least."""
    rows = max(batch.num_rows * BATCH_BYTES // max(batch.nbytes, 1), 1)
    return (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))
