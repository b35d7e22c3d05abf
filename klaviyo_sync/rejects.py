"""The rejects file: every issue of a window with the row that it belongs to, for the owner of the data. Nobody else sees it.

One CSV file per window, `<folder>/<sync>/<window>.csv`, in a local folder or at an `s3://`, `gs://` address. It is written at the
end of a run, whole or not at all, takes the place of the one of an earlier run, and is removed when a run has nothing to say.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from upath import UPath

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.reports import COLUMNS
from klaviyo_sync.scratch import Scratch

OWNER_ONLY = 0o600

# What a spreadsheet would run as a formula; phone numbers and signed numbers are none.
FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.][\d\s().,/-]*$)", re.ASCII)


class Rejects:
    """The folder that the configuration names. Raises ConfigError when its address needs a package that is not installed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        try:
            self.path = UPath(folder)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"rejects: {folder!r} cannot be opened: {error}") from None

    def file(self, sync_name: str, window_key: str) -> UPath:
        """Where the issues of one window lie."""
        return self.path / sync_name / f"{window_key}.csv"

    def address(self, sync_name: str, window_key: str) -> str:
        """The same, as a text to show."""
        return str(self.file(sync_name, window_key))

    def open(self, sync_name: str, window_keys: Sequence[str]) -> RejectsFiles:
        """The files of the windows of one run."""
        return RejectsFiles(self, sync_name, window_keys)


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
                place(self.drafted(window), target)
            else:
                target.unlink(missing_ok=True)
                if is_local(target):
                    beside(target).unlink(missing_ok=True)


def harmless(cell: object) -> object:
    """The cell, with an apostrophe before it when a spreadsheet would take it for a formula: the file is opened by people."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def place(draft: Path, target: UPath) -> None:
    """Copies a draft to its address: a reader sees the old file or the new one, never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not is_local(target):
        with draft.open("rb") as source, target.open("wb") as stored:
            shutil.copyfileobj(source, stored)
        return
    part = beside(target)
    with draft.open("rb") as source, owned(part) as stored:
        shutil.copyfileobj(source, stored)
    part.replace(str(target))


def is_local(target: UPath) -> bool:
    """Whether the file lies on this machine; elsewhere, what is stored appears as a whole."""
    return target.protocol in ("", "file", "local")


def beside(target: UPath) -> Path:
    """Where a local file is written before it takes its place; a process that was killed may have left it."""
    return Path(f"{target}.part")


def owned(path: Path) -> IO[bytes]:
    """A new file that only its owner can read."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb")
