"""A whole `dagster asset materialize`, into a sandbox in another process: prints rows, CPU seconds and peak memory as JSON.

Run as `python -m bench.materializing TABLE ROWS`. The peak is that of the process that imports: Python, Dagster, the project, the rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.data import SYNC
from bench.sending import KEY, sandbox

PROJECT = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}
connections: {local: {type: duckdb, path: %s}}
"""
MODULE = "klaviyo_sync.definitions"
EVERY = 0.01  # seconds between two looks at a process


def peaks(command: list[str], environment: dict[str, str], folder: Path) -> tuple[dict[int, int], float]:
    """The peak of each process that a command starts, in kB by its id; the CPU seconds of all."""
    found: dict[int, int] = {}
    before = os.times()
    with (
        (folder / "printed.txt").open("wb") as out,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out) as process,
    ):
        while process.poll() is None:
            for pid in family(process.pid):
                if peak := high_water(pid):
                    found[pid] = peak
            time.sleep(EVERY)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if process.returncode:
        raise SystemExit((folder / "printed.txt").read_text(encoding="utf-8")[-3000:])
    return found, cpu


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for one in found:
        try:
            found += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii").split()]
        except OSError:
            continue
    return found


def high_water(pid: int) -> int:
    """The most that a process had in memory so far, in kB; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    _, _, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) if rest else 0


def measured(table: Path, rows: int) -> dict[str, Any]:
    """The figures of one run over so many rows of the table."""
    with tempfile.TemporaryDirectory() as name, sandbox() as url:
        folder = Path(name)
        (folder / "syncs").mkdir()
        (folder / "klaviyo_sync.yaml").write_text(PROJECT % table.resolve(), encoding="utf-8")
        changes = {"query": f"SELECT * FROM profiles LIMIT {rows}", "frequency": "monthly"}
        sync = {key: value for key, value in {**SYNC, **changes}.items() if key not in ("name", "dataset")}
        (folder / "syncs" / "bench.yaml").write_text(yaml.safe_dump(sync), encoding="utf-8")
        environment = {
            **os.environ,
            "DAGSTER_HOME": name,
            "KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml"),
            "KLAVIYO_API_KEY": KEY,
            "KLAVIYO_BASE_URL": url,
        }
        command = ["-m", "dagster", "asset", "materialize", "-m", MODULE, "--select", 'key:"klaviyo/bench"', "--partition", "2026-01-01"]
        found, cpu = peaks([sys.executable, *command], environment, folder)
    return {"rows": rows, "cpu": cpu, "peak_mb": max(found.values()) * 1024 / 1e6}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(Path(sys.argv[1]), int(sys.argv[2]))))
