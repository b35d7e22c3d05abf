"""Private folders for what a run spills: gone at its end, and soon after it when its process was killed.

What is spilled holds personal data, so that nothing of it may stay behind. The owner of a folder holds a lock on a file in it, which
the system lets go of when a process ends, however it ends; whoever makes the next folder takes away those that nobody owns.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: folders of killed processes stay
    fcntl = None

PREFIX = "klaviyo_sync_"
LOCK = "owner.lock"
NEW = 60.0
"""Seconds for which a folder is left alone, as its owner may not have locked it yet."""


class Scratch:
    """A folder that only its owner can read; a context manager that gives its path."""

    def __init__(self) -> None:
        take_away_orphans()
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self.path = Path(self._folder.name)
        self._lock = (self.path / LOCK).open("wb")
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the folder away."""
        self._lock.close()
        self._folder.cleanup()


def take_away_orphans() -> None:
    """Takes away the folders of processes that were killed."""
    if fcntl is None:
        return
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), ownerless(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def ownerless(lock: Path) -> Iterator[IO[bytes]]:
    """The lock, held. Raises OSError when its folder is new, or belongs to a process that runs, or to another user."""
    assert fcntl is not None
    with lock.open("r+b") as file:
        seen = os.fstat(file.fileno())
        if seen.st_uid != os.getuid() or seen.st_mtime > time.time() - NEW:
            raise BlockingIOError
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
