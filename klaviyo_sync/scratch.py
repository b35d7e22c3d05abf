"""Private folders for what a run spills: gone at its end, and soon after it when its process was killed.

What is spilled holds personal data, so that nothing of it may stay behind. The owner of a folder holds a lock on a file in it, which
the system lets go of when a process ends, however it ends; whoever makes the next folder takes away those that nobody owns.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import duckdb

from klaviyo_sync.core.errors import ConfigError, Unavailable

try:
    import fcntl
except ImportError:  # Windows: folders of killed processes stay
    fcntl = None

PREFIX = "klaviyo_sync_"
LOCK = "owner.lock"
NEW = 60.0
"""Seconds for which a folder is left alone, as its owner may not have locked it yet."""
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
LOST = frozenset((errno.ENOENT, errno.ESTALE, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM))
# DuckDB's words when it cannot spill: https://duckdb.org/docs/stable/guides/performance/how_to_tune_workloads
CANNOT_SPILL = ("No space left", "max_temp_directory_size", "Could not write file")


class Scratch:
    """A folder that only its owner can read; a context manager that gives its path."""

    def __init__(self) -> None:
        """Makes the folder. Raises ConfigError when there is no place for it, Unavailable when it cannot be written."""
        temporary_folder()
        take_away_orphans()
        with spilling():
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
        """Takes the folder away, its lock last: a process that is killed meanwhile leaves nothing that cannot be told to be nobody's."""
        empty(self.path)
        self._lock.close()
        self._folder.cleanup()


def temporary_folder(choose: Callable[[], str] = tempfile.gettempdir) -> str:
    """Where folders are made. Raises ConfigError when nothing can be written in any place that Python tries."""
    try:
        return choose()
    except FileNotFoundError:
        raise ConfigError(
            "No temporary folder can be written: TMPDIR, /tmp and /var/tmp were tried, or their disks are full. Rows are spooled to disk "
            "during a run: name a folder with room in TMPDIR, which the user that runs Dagster may write."
        ) from None


@contextmanager
def spilling() -> Iterator[None]:
    """Raises Unavailable, which names the temporary folder, when what is spilled inside cannot be written or read again.

    An error without one of these numbers of the system's, and any other error of DuckDB's, goes on as it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Unavailable(full()) from None
        if error.errno in LOST:
            what = f"A file in the temporary folder {temporary_folder()} could not be used ({os.strerror(error.errno)})."
            raise Unavailable(
                f"{what} If this lasts, see that nothing clears the folder during a run, or name another one in TMPDIR."
            ) from None
        raise
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        if any(words in str(error) for words in CANNOT_SPILL):
            raise Unavailable(full()) from None
        raise


def full() -> str:
    """What to say when there is no more room."""
    return (
        f"The disk of the temporary folder {temporary_folder()} is full: a run spools its rows there. If this lasts, make room "
        "there, or name a folder on a larger disk in TMPDIR."
    )


def take_away_orphans() -> None:
    """Takes away the folders of processes that were killed."""
    if fcntl is None:
        return
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), ownerless(lock):
            empty(lock.parent)
            shutil.rmtree(lock.parent, ignore_errors=True)


def empty(folder: Path) -> None:
    """Removes everything in the folder but its lock, as far as possible."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path, ignore_errors=True)
                with suppress(OSError):
                    path.unlink(missing_ok=True)


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
