"""The whole configuration, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from klaviyo_sync.config.connections import Connection, KlaviyoSettings
from klaviyo_sync.core.sync import Sync


@dataclass(frozen=True)
class Source:
    """Where a sync is configured: its file, and the line of each key path, written as `profile.email`."""

    path: Path
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """What klaviyo_sync.yaml and syncs/*.yaml say. `notes` are worth knowing, and no errors.

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

    def sync(self, name: str) -> Sync | None:
        """The sync with this name."""
        return next((sync for sync in self.syncs if sync.name == name), None)
