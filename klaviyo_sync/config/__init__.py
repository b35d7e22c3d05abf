"""Configuration: klaviyo_sync.yaml and syncs/*.yaml -> Project, Connection, Sync; errors with file and line."""

from __future__ import annotations

from klaviyo_sync.config.connections import BigQueryConnection, Connection, DuckDBConnection, KlaviyoSettings, SnowflakeConnection
from klaviyo_sync.config.env import Env, Secret
from klaviyo_sync.config.loading import load
from klaviyo_sync.config.project import Project, Source

__all__ = [
    "BigQueryConnection",
    "Connection",
    "DuckDBConnection",
    "Env",
    "KlaviyoSettings",
    "Project",
    "Secret",
    "SnowflakeConnection",
    "Source",
    "load",
]
