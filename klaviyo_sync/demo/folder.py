"""The folder that the demo runs in: a project of its own, so that what went to the sandbox is never taken for an import into Klaviyo."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from klaviyo_sync.core.errors import ConfigError, Unavailable
from klaviyo_sync.demo.account import ACCOUNT

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two demos apart
    fcntl = None

DAYS = {"hourly": 1}
MOST_DAYS = 3
CONFIGURATION = "klaviyo_sync.yaml"
WAREHOUSE = "warehouse.duckdb"
START = re.compile(r"^start: \S+", re.MULTILINE)
FREQUENCY = re.compile(r"^frequency: (\S+)", re.MULTILINE)
MODELINE = re.compile(r"^# yaml-language-server:.*\n", re.MULTILINE)
LOCAL = re.compile(r"^  local: .*$", re.MULTILINE)
SECRETS = ("password", "private_key", "credentials")
COPIED = "# Copied by the demo from "
INSTANCE = "dagster.yaml"
QUIET_INSTANCE = "dagster-quiet.yaml"
NO_COMPUTE_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def check_folders(project: Path, folder: Path) -> None:
    """Raises ConfigError when `project` is not the folder with the example configuration, or when `folder` is somebody's own."""
    missing = [name for name in (CONFIGURATION, INSTANCE, "workspace.yaml", "syncs") if not (project / name).exists()]
    if missing:
        raise ConfigError(f"{project} has no {', '.join(missing)}: run the demo in the folder of the repository")
    present = folder / CONFIGURATION
    if present.is_file() and not present.read_text(encoding="utf-8").startswith(COPIED):
        raise ConfigError(f"{present} was not made by the demo: choose another folder for it")


@contextmanager
def reserved(project: Path, folder: Path) -> Iterator[None]:
    """Keeps every other demo out of `folder`, which is made if need be.

    Raises:
        ConfigError: As `check_folders` does.
        Unavailable: Another demo runs there; a new one would delete the history that its Dagster UI shows.
    """
    check_folders(project, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Unavailable(
            f"Another make demo or make dev is running in {folder}, and a new one would delete its history. Stop it with Ctrl-C first."
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def lay_out(project: Path, folder: Path, now: datetime) -> None:
    """Makes `folder` a copy of the project's configuration, its syncs starting a few days before `now`, so that any day is a good day.

    What an earlier demo left there goes: the new Klaviyo knows nothing of it. Raises ConfigError as `check_folders` does.
    """
    check_folders(project, folder)
    for leftover in ("syncs", ".dagster", "rejects"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    (folder / "syncs").mkdir(parents=True)
    for name in (INSTANCE, "workspace.yaml"):
        shutil.copyfile(project / name, folder / name)
    quiet = yaml.safe_load((project / INSTANCE).read_text(encoding="utf-8")) | {"compute_logs": NO_COMPUTE_LOGS}
    (folder / QUIET_INSTANCE).write_text(f"# {INSTANCE} for the demo's own runs.\n{yaml.safe_dump(quiet)}", encoding="utf-8")
    copy(project, folder, CONFIGURATION)
    pin_to_sandbox(folder / CONFIGURATION)
    for sync in sorted((project / "syncs").glob("*.yaml")):
        copy(project, folder, f"syncs/{sync.name}", now)


def pin_to_sandbox(file: Path) -> None:
    """Replaces the value of `klaviyo.account`, if there is one: the demo sends to the sandbox, whichever account the project is for."""
    text = file.read_text(encoding="utf-8")
    value = yaml_value(yaml.compose(text), "klaviyo", "account")
    if value is not None:
        start = value.start_mark.index
        end = start + len(text[start : value.end_mark.index].rstrip())
        file.write_text(f"{text[:start]}{ACCOUNT}{text[end:]}", encoding="utf-8")


def yaml_value(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """The node of a value inside mappings, by its keys; None where there is none."""
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for name, value in pairs if name.value == key), None)
    return node


def connect_to(folder: Path, connection: Mapping[str, Any]) -> str:
    """Has the demo's syncs read from another warehouse, given a connection's keys; its secrets go into the environment. Its type."""
    keys = dict(connection)
    for name in SECRETS:
        if name in keys:
            variable = f"DEMO_{name.upper()}"
            os.environ[variable] = keys[name]
            keys[name] = {"env": variable}
    file = folder / CONFIGURATION
    file.write_text(LOCAL.sub(lambda _: f"  local: {json.dumps(keys)}", file.read_text(encoding="utf-8")), encoding="utf-8")
    return str(keys["type"])


def copy(project: Path, folder: Path, name: str, now: datetime | None = None) -> None:
    """Copies one file of the configuration, saying where it comes from; with `now`, a sync of its frequency starts a few windows before."""
    text = f"{COPIED}{name}: change that file.\n" + MODELINE.sub("", (project / name).read_text(encoding="utf-8"), count=1)
    frequency = FREQUENCY.search(text)
    if now and frequency:
        day = (now.astimezone(UTC) - timedelta(days=DAYS.get(frequency[1], MOST_DAYS))).date()
        text = START.sub(f"start: {day}", text)
    (folder / name).write_text(text, encoding="utf-8")
