"""The code location: it loads without drivers, and says plainly what is wrong with a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from orchestration_bench import ENVIRON, Imports

from klaviyo_sync.config import Project
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.rejects import Rejects

HEAVY = (
    "pandas",
    "pyarrow",
    "numpy",
    "duckdb",
    "requests",
    "snowflake.connector",
    "google.cloud",
    "dagster_snowflake",
    "dagster_gcp",
)
LOAD = f"""
import sys, time
import klaviyo_sync.definitions
print(sorted(set({HEAVY!r}) & set(sys.modules)))
print(time.process_time())
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh Python with the project's configuration in its environment."""
    environ = {**os.environ, **ENVIRON, "KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml")}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False, timeout=300)


def test_a_hundred_syncs_load_without_drivers(project_of: Callable[..., Project], tmp_path: Path) -> None:
    """No warehouse driver and no data frame is imported to show a hundred syncs, nothing warns, and it takes seconds, not minutes."""
    project_of(**{f"sync_{number}": {"properties": {f"Property_{number}": "balance"}, "consent": None} for number in range(100)})
    loaded = python(LOAD, tmp_path)
    assert loaded.stderr == ""
    heavy, seconds = loaded.stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 20  # 4 on an idle machine


def test_a_wrong_configuration_says_what_is_wrong(project_of: Callable[..., Project], tmp_path: Path) -> None:
    """The last line is the error's own text with file and line, and the trace above it is one frame long."""
    project_of(loyalty={})
    file = tmp_path / "syncs" / "loyalty.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("hourly", "hurly"), encoding="utf-8")
    loaded = python("import klaviyo_sync.definitions", tmp_path)
    assert loaded.returncode == 1
    last = loaded.stderr.splitlines()[-1]
    assert last.startswith("klaviyo_sync.core.errors.ConfigError: ")
    assert "loyalty.yaml:" in last
    assert 'did you mean "hourly"?' in last
    assert loaded.stderr.count("File ") == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"owners": ["nobody"]}, "nobody"),
        ({"tags": {"a tag": "with a value"}}, "tag"),
    ],
)
def test_what_only_dagster_refuses(project_of: Callable[..., Project], imports: Imports, changes: dict[str, Any], told: str) -> None:
    """What the configuration lets pass and Dagster does not is an error about the sync's file."""
    with pytest.raises(ConfigError, match=told) as error:
        build_definitions(project_of(loyalty=changes), Importing(imports, lambda: Rejects("rejects"), clock=unused), ENVIRON)
    assert "loyalty.yaml" in str(error.value)


def unused() -> Any:
    """A clock that nobody looks at."""
    raise AssertionError
