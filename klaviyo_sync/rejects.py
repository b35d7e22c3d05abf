"""The rejects file: every issue of a window with the row that it belongs to, for the owner of the data. Nobody else sees it.

One CSV file per window, `<folder>/<sync>/<window>.csv`, in a local folder or at an address such as `s3://...`. It is written at the
end of a run, whole or not at all, takes the place of the one of an earlier run, and is removed when a run has nothing to say.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from upath import UPath

from klaviyo_sync.core.errors import KlaviyoSyncError
from klaviyo_sync.core.formulas import harmless
from klaviyo_sync.core.reports import COLUMNS
from klaviyo_sync.rejects_store import Store
from klaviyo_sync.scratch import Scratch


class Rejects:
    """The place that the configuration names, and for how long files are kept there (None: for good). Errors as for Store."""

    def __init__(self, folder: str, keep: timedelta | None = None) -> None:
        self.folder = folder
        self.keep = keep
        self.store = Store(folder)
        self.path = self.store.path

    def file(self, sync_name: str, window_key: str) -> UPath:
        """Where the issues of one window lie."""
        return self.path / sync_name / f"{window_key}.csv"

    def address(self, sync_name: str, window_key: str) -> str:
        """The same, as a text to show."""
        return str(self.file(sync_name, window_key))

    def open(self, sync_name: str, window_keys: Sequence[str]) -> RejectsFiles:
        """The files of the windows of one run."""
        return RejectsFiles(self, sync_name, window_keys)

    def remove_old(self, sync_name: str, now: datetime, log: Callable[[str], object]) -> None:
        """Removes files of a sync that are older than `keep`. A failure is logged, not raised: the next run tries again."""
        if self.keep is None:
            return
        try:
            removed = self.store.remove_older(self.path / sync_name, now - self.keep)
        except KlaviyoSyncError as error:
            log(f"Rejects files older than {self.keep.days} days could not be removed. {error}")
            return
        if removed:
            log(f"{removed} rejects files older than {self.keep.days} days were removed.")


class RejectsFiles:
    """Collects the issues of a run in a private folder; `publish` puts the files in their places."""

    def __init__(self, rejects: Rejects, sync_name: str, window_keys: Sequence[str]) -> None:
        self.rejects = rejects
        self.sync_name = sync_name
        self.window_keys = window_keys
        self.draft = Scratch()
        self.started: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.draft.close()

    def add(self, lines: Iterable[tuple[int, Mapping[str, object]]]) -> None:
        """Writes lines (COLUMNS), each with the position of its window."""
        by_window: dict[int, list[Mapping[str, object]]] = {}
        for window, line in lines:
            by_window.setdefault(window, []).append(line)
        for window, some in by_window.items():
            with self.drafted(window).open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if window not in self.started:
                    writer.writeheader()
                    self.started.add(window)
                writer.writerows({name: harmless(cell) for name, cell in line.items()} for line in some)

    def drafted(self, window: int) -> Path:
        """The draft of one window's file."""
        return self.draft.path / f"{window}.csv"

    def publish(self) -> None:
        """Puts every file in its place; removes those of windows that have no issue."""
        for window, key in enumerate(self.window_keys):
            target = self.rejects.file(self.sync_name, key)
            if window in self.started:
                self.rejects.store.put(self.drafted(window), target)
            else:
                self.rejects.store.remove(target)
