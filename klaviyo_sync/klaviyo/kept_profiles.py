"""Profiles of import jobs that are under way, on disk: those whose cells Klaviyo refuses go again, and their texts are needed then."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import pyarrow as pa

from klaviyo_sync.scratch import Scratch

PROFILE = "profile"


@dataclass(frozen=True)
class Kept:
    """The profiles of one job."""

    path: Path

    def texts(self) -> pa.ChunkedArray:
        """The profiles as they were sent (large_string), in the job's order."""
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as batches:
            return batches.read_all().column(PROFILE)

    def drop(self) -> None:
        """Removes them."""
        self.path.unlink(missing_ok=True)


class KeptProfiles:
    """A private folder for the profiles of all jobs under way, made when the first job is. Several threads may use it at once."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._lock = Lock()
        self._folder: Path | None = None
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def keep(self, profiles: pa.ChunkedArray) -> Kept:
        """Writes down the profiles of a job."""
        with self._lock:
            if self._folder is None:
                self._folder = self._open.enter_context(Scratch())
            kept = Kept(self._folder / f"{next(self._numbers)}.arrow")
        table = pa.table({PROFILE: profiles})
        with pa.OSFile(str(kept.path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        return kept
