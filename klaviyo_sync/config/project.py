"""The whole configuration, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from klaviyo_sync.config.connections import Connection, KlaviyoSettings
from klaviyo_sync.config.problems import KeyPath, dotted
from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, NoSuchListError
from klaviyo_sync.core.sync import Sync

Opened = TypeVar("Opened")


@dataclass(frozen=True)
class Source:
    """Where a sync is configured: its file, and the line of each key path, written as `profile.email`."""

    path: Path
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: KeyPath) -> str:
        """`syncs/members.yaml:12` for a key path, or for the nearest part of it that the file has."""
        written = (dotted(key[:length]) for length in range(len(key), 0, -1))
        return f"{self.path}:{next((self.lines[name] for name in written if name in self.lines), 1)}"


@dataclass(frozen=True)
class Project:
    """What klaviyo_sync.yaml and syncs/*.yaml say. `notes` are worth knowing, and no errors.

    `source` is where klaviyo_sync.yaml says it, `sources` where each sync does.
    `rejects` is the folder or address of the rejects files, `keep_rejects` how long they are kept (None: for good).
    """

    path: Path
    klaviyo: KlaviyoSettings
    connections: Mapping[str, Connection]
    syncs: tuple[Sync, ...]
    rejects: str = "rejects"
    keep_rejects: timedelta | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: Source | None = None

    def sync(self, name: str) -> Sync | None:
        """The sync with this name."""
        return next((sync for sync in self.syncs if sync.name == name), None)

    @contextmanager
    def located(self, name: str) -> Iterator[None]:
        """A ConfigError about a key of this sync that is raised inside begins with the key's file and line."""
        try:
            yield
        except ConfigError as error:
            sync = self.sync(name)
            if isinstance(error, NoSuchListError) and sync is not None:
                error.key = sync.list_key(error.list_id)
            if error.key and name in self.sources:
                error.args = (f"{self.sources[name].place(error.key)}: {error}",)
                error.key = ()
            raise

    @contextmanager
    def at(self, *key: str) -> Iterator[None]:
        """One of the three errors that is raised inside begins with file, line and this key of klaviyo_sync.yaml."""
        try:
            yield
        except KlaviyoSyncError as error:
            text = str(error)
            if self.source is not None and not text.startswith(f"{self.source.path}:"):
                named = text if text.startswith(f"{dotted(key)}: ") else f"{dotted(key)}: {text}"
                error.args = (f"{self.source.place(key)}: {named}",)
            raise

    @contextmanager
    def opening(self, opened: AbstractContextManager[Opened], *key: str) -> Iterator[Opened]:
        """What a context manager opens; only errors of the opening itself are put at this key of klaviyo_sync.yaml."""
        with ExitStack() as stack:
            with self.at(*key):
                value = stack.enter_context(opened)
            yield value
