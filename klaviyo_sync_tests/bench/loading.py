"""How long a code location with many syncs takes to load: prints seconds as JSON. Run as `python -m bench.loading COUNT`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = """
klaviyo: {api_key: {env: KLAVIYO_API_KEY}}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
"""
SYNC = """
connection: local
dataset: crm.table_{number}
modified_at: updated_at
frequency: hourly
start: 2026-01-01
profile: {{email: email, external_id: id}}
properties: {{Property_{number}: a, Other_{number}: b}}
"""


def main(count: int) -> None:
    """Writes a project of that many syncs, and loads its definitions in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
        (folder / "syncs").mkdir()
        for number in range(count):
            (folder / "syncs" / f"sync_{number}.yaml").write_text(SYNC.format(number=number), encoding="utf-8")
        environ = {**os.environ, "KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml"), "KLAVIYO_API_KEY": "pk_bench"}
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import klaviyo_sync.definitions"], env=environ, check=True)
        sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
