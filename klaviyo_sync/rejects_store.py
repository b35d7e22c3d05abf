"""The place of the rejects files: a local folder, or an address such as s3://, gs:// or az://, through fsspec.

Whatever a store raises becomes one of the three kinds of failed runs, with a sentence that says what to do.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fsspec import get_filesystem_class
from upath import UPath

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable

OWNER_ONLY = 0o600
LOCAL = ("", "file", "local")
# The extra of this package that brings what an address needs.
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "adl": "azure"}
# Names of window files, `<key>.csv`; nothing else in the folder is ours to remove.
PROBE = ".klaviyo_sync-probe"
OWN_FILE = re.compile(r"\d{4}-\d{2}-\d{2}(-\d{2}:\d{2}([+-]\d{4})?)?\.csv(\.part)?", re.ASCII)
# Where each file system says when a file was written.
WRITTEN = ("LastModified", "last_modified", "updated", "mtime", "created")
PAUSES = (1.0, 4.0, 15.0)
LONGEST_TEXT = 200
UNDONE = "Everything was sent, but the windows do not count as done: the reasons of their rows would be lost. Running them again is safe."

# Names of classes, as the packages of stores are not imported for this: botocore's, google's and azure's errors share no base.
NO_RIGHTS = frozenset(
    (
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "NoAuthTokenError", "TokenRetrievalError"),
        *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError", "ProfileNotFound", "UnauthorizedSSOTokenError"),
    )
)
WRONG_PLACE = frozenset(("NoSuchBucket", "ParamValidationError", "ResourceNotFoundError", "NoRegionError", "InvalidEndpointError"))
WRONG_LOCAL = frozenset(
    (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
)


class Store:
    """The folder or address that the configuration names.

    Raises:
        ConfigError: Nothing opens such an address, or the package that does is not installed.
    """

    def __init__(self, folder: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.folder = folder
        self._sleep = sleep
        protocol = folder.partition("://")[0] if "://" in folder else ""
        try:
            if protocol:
                get_filesystem_class(protocol)
            self.path = UPath(folder)
        except ImportError as error:
            extra = EXTRAS.get(protocol)
            advice = f"Install klaviyo-sync[{extra}]" if extra else "Install the package that it names"
            raise ConfigError(f"rejects: {folder!r} needs a package that is not installed ({error}). {advice}, or name a folder.") from None
        except ValueError as error:
            raise ConfigError(f"rejects: {folder!r} cannot be opened ({error}). Name a folder, or s3://..., gs://..., az://...") from None
        self.local = self.path.protocol in LOCAL

    def probe(self) -> None:
        """Returns when a file can be written here and removed again.

        Raises:
            ConfigError: There is no such place, or a local folder that cannot be written.
            Refused: The store does not let us in, or does not let us write or remove.
            Unavailable: The store did not answer.
        """
        probe = self.path / PROBE
        with self.failing("Nothing was read or sent."):
            self._make_folder(self.path)
            with probe.open("wb") as file:
                file.write(b"klaviyo_sync writes and removes this file to see that it may.\n")
            probe.unlink(missing_ok=True)  # one name for all runs, however many were killed here: another may have removed it

    def put(self, draft: Path, target: UPath) -> None:
        """Copies a draft to its address, again after pauses if that fails: a reader sees the old file or the new one, never a part."""
        self._patiently(lambda: self._put(draft, target))

    def remove(self, target: UPath) -> None:
        """Removes the file at an address, if there is one."""
        self._patiently(lambda: self._remove(target))

    def remove_older(self, folder: UPath, before: datetime) -> int:
        """Removes window files in a folder that were written before a moment, and nothing else; returns how many."""
        removed = 0
        with self.failing("Files older than `keep` are still there."):
            if not folder.exists():
                return 0
            for entry in folder.fs.ls(folder.path, detail=True):
                name = str(entry["name"]).rstrip("/").rpartition("/")[2]
                at = written_at(entry)
                if entry["type"] == "file" and OWN_FILE.fullmatch(name) and at is not None and at < before:
                    (folder / name).unlink(missing_ok=True)
                    removed += 1
        return removed

    @contextmanager
    def failing(self, consequence: str) -> Iterator[None]:
        """Turns what a store raises into one of the three kinds of failed runs; `consequence` says what it means for the run."""
        try:
            yield
        except KlaviyoSyncError:
            raise
        except Exception as error:  # noqa: BLE001 - stores raise what they like
            raised = self._meaning(error, consequence)
        else:
            return
        raise raised

    def _meaning(self, error: Exception, consequence: str) -> KlaviyoSyncError:
        text = ", ".join((type(error).__name__, " ".join(str(error).split())))[:LONGEST_TEXT].rstrip(" ,.")
        what = f"The rejects files cannot be written to {self.folder}: {text}. {consequence}"
        names = {kind.__name__ for kind in type(error).__mro__}
        if self.local and isinstance(error, OSError) and (error.errno in WRONG_LOCAL or isinstance(error, FileExistsError)):
            return ConfigError(f"{what} Name another folder under `rejects`, or give the user that runs Dagster the right to write to it.")
        if isinstance(error, ImportError | FileNotFoundError) or names & WRONG_PLACE:
            return ConfigError(f"{what} Check the address under `rejects`: the bucket or container must exist.")
        if isinstance(error, PermissionError) or names & NO_RIGHTS or status_of(error) in (401, 403):
            return Refused(f"{what} The run needs credentials that may write, list and delete there.")
        if isinstance(error, ValueError | TypeError):
            return ConfigError(f"{what} Check the address under `rejects`, and the variables with the store's credentials.")
        return Unavailable(f"{what} The next run tries again.")

    def _patiently(self, work: Callable[[], object]) -> object:
        for pause in PAUSES:
            with suppress(Unavailable), self.failing(UNDONE):
                return work()
            self._sleep(pause)
        with self.failing(UNDONE):
            return work()

    def _put(self, draft: Path, target: UPath) -> None:
        self._make_folder(target.parent)
        if self.local:
            part = beside(target)
            with draft.open("rb") as source, owned(part) as stored:
                shutil.copyfileobj(source, stored)
            part.replace(str(target))
            return
        with draft.open("rb") as source, target.open("wb") as stored:
            shutil.copyfileobj(source, stored)

    def _remove(self, target: UPath) -> None:
        target.unlink(missing_ok=True)
        if self.local:
            beside(target).unlink(missing_ok=True)

    def _make_folder(self, folder: UPath) -> None:
        """Makes a folder. Object stores have none, and would make a bucket of a misspelt name."""
        if self.path.protocol not in EXTRAS:
            folder.mkdir(parents=True, exist_ok=True)


def beside(target: UPath) -> Path:
    """Where a local file is written before it takes its place; a process that was killed may have left it."""
    return Path(f"{target}.part")


def owned(path: Path) -> IO[bytes]:
    """A new file that only its owner can read."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb")


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error of a store carries, whichever way its package writes it."""
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if str(value).isdigit():
            return int(str(value))
    return None


def written_at(entry: Mapping[str, Any]) -> datetime | None:
    """When a file was written, from an entry of fsspec's listing; None when the store does not say."""
    value = next((entry[name] for name in WRITTEN if entry.get(name) is not None), None)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
