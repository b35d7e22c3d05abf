"""Batches on disk: from when one is packed until its import job is done, no more of it is in memory than what is being sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import pyarrow as pa

from klaviyo_sync.core.packing import Batch, Envelope, text_view
from klaviyo_sync.scratch import Scratch

PROFILE = "profile"


@dataclass(frozen=True)
class Kept:
    """A batch on disk, in two files: its profiles, which are sent, and its rows, which are needed once its job is done."""

    envelope: Envelope
    profiles_file: Path
    rows_file: Path
    count: int
    size: int
    """Bytes of the body."""

    def __len__(self) -> int:
        return self.count

    def body(self) -> KeptBody:
        """The request body, read while it is sent."""
        return KeptBody(self)

    @property
    def profiles(self) -> pa.ChunkedArray:
        """The profiles, as in the batch; read from disk each time."""
        return read(self.profiles_file).column(PROFILE)

    @property
    def rows(self) -> pa.Table:
        """The rows, as in the batch; read from disk each time."""
        return read(self.rows_file)

    def load(self) -> Batch:
        """The batch, in memory."""
        return Batch(self.envelope, self.profiles, self.rows)

    def drop(self) -> None:
        """Removes the files."""
        for path in (self.profiles_file, self.rows_file):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class KeptBody:
    """The body of a request, piece by piece from disk, as often as it is sent."""

    kept: Kept

    def __len__(self) -> int:
        return self.kept.size

    def __iter__(self) -> Iterator[bytes | memoryview]:
        yield self.kept.envelope.head
        left = self.kept.size - self.kept.envelope.size
        # Not memory-mapped: mapped pages count as memory of the process.
        with pa.OSFile(str(self.kept.profiles_file)) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                view = text_view(batch.column(0))[:left]  # less the last comma
                left -= len(view)
                yield view
                del batch, view  # else it would stay while the next one is read
        yield self.kept.envelope.tail

    def __bytes__(self) -> bytes:
        return b"".join(self)


class KeptBatches:
    """A private folder for all batches under way, made when the first is. Several threads may use it at once."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._lock = Lock()
        self._folder: Path | None = None
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def keep(self, batch: Batch) -> Kept:
        """Writes down a batch."""
        with self._lock:
            if self._folder is None:
                self._folder = self._open.enter_context(Scratch())
            number = next(self._numbers)
        kept = Kept(batch.envelope, self._folder / f"{number}.arrow", self._folder / f"{number}_rows.arrow", len(batch), batch.size)
        write(kept.profiles_file, pa.table({PROFILE: batch.profiles}))
        write(kept.rows_file, batch.rows)
        return kept


def write(path: Path, table: pa.Table) -> None:
    """Writes a table, one record batch per chunk."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def read(path: Path) -> pa.Table:
    """The table that was written."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as batches:
        return batches.read_all()
