"""A project in a folder, and Dagster around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml
from orchestration_bench import ENVIRON, FILE, LOYALTY, NOW, TABLE, Bench, Imports

from klaviyo_sync.config import Project, load
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.rejects import Rejects


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The two warnings that klaviyo_sync/__init__.py silences; pytest's own filters come after those."""
    for item in items:
        if "/orchestration/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::dagster.BetaWarning"))


@pytest.fixture
def imports() -> Imports:
    """The import, as the test wants it."""
    return Imports()


@pytest.fixture
def project_of(tmp_path: Path) -> Callable[..., Project]:
    """A project with these syncs; what a test leaves out is as in LOYALTY."""

    def make(**syncs: dict[str, Any]) -> Project:
        folder = tmp_path / "syncs"
        folder.mkdir(exist_ok=True)
        (tmp_path / "klaviyo_sync.yaml").write_text(yaml.safe_dump(FILE), encoding="utf-8")
        for name, changes in syncs.items():
            text = yaml.safe_dump({key: value for key, value in {**LOYALTY, **changes}.items() if value is not None}, sort_keys=False)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return load(tmp_path / "klaviyo_sync.yaml", ENVIRON)

    return make


@pytest.fixture
def bench_of(project_of: Callable[..., Project], imports: Imports, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """A bench around `loyalty` with these changes to its file."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(TABLE)
    with dg.DagsterInstance.ephemeral() as instance:

        def make(now: datetime = NOW, **changes: Any) -> Bench:
            project = project_of(loyalty=changes)
            importing = Importing(imports, lambda: Rejects("rejects"), clock=lambda: now, retries=dg.RetryPolicy(max_retries=1, delay=0))
            return Bench(build_definitions(project, importing, ENVIRON), instance, project.syncs[0], imports)

        yield make
