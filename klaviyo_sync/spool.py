"""A spool: prepared rows that wait on disk, by window, until it is known whether they may go out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from klaviyo_sync.scratch import Scratch

PROFILE = "profile"


class Spool:
    """Profiles with their rows, as `pack` takes them. They lie in a private folder, which is made when the first of them comes."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._folder: Path | None = None
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Spool:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._open.close()

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
