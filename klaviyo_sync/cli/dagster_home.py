"""What the Dagster that would be started here keeps of what was imported, told without loading Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

HOME = "DAGSTER_HOME"
FILE = "dagster.yaml"
STORAGES = ("storage", "event_log_storage")
LOST = (
    "Dagster deletes the record of what was imported when it ends, and every window then counts as missing. "
    f"Set {HOME} to a folder that stays, or start Dagster where a {FILE} says where its storage is."
)


def forgets(environ: Mapping[str, str], folder: Path) -> str | None:
    """Why a Dagster that is started in `folder` forgets what was imported; None when it keeps it.

    Without DAGSTER_HOME Dagster reads `dagster.yaml` in the working directory, and keeps what this file gives no place for in a
    folder that it deletes in the end.
    """
    if environ.get(HOME):
        return None
    file = folder / FILE
    if not file.is_file():
        return f"{HOME} is not set, and {folder} has no {FILE}. {LOST}"
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return f"{HOME} is not set, and {file} cannot be read. {LOST}"
    if isinstance(settings, dict) and any(settings.get(name) for name in STORAGES):
        return None
    return f"{HOME} is not set, and {file} has no `storage`. {LOST}"
