"""The composition root: configuration and environment become `defs`. The only place where real things are chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from klaviyo_sync.config import Project, load
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.orchestration.resources import OpenKlaviyo, OpenWarehouse

if TYPE_CHECKING:  # pandas, pyarrow and duckdb, for a run only
    from klaviyo_sync.klaviyo.client import Klaviyo
    from klaviyo_sync.rejects import Rejects
    from klaviyo_sync.sync_window import Report
    from klaviyo_sync.warehouses import Warehouse


def run_windows(
    sync: Sync,
    windows: Sequence[Window],
    warehouse: OpenWarehouse,
    klaviyo: OpenKlaviyo,
    *,
    now: datetime,
    rejects: Rejects,
    log: Callable[[str], None],
    before: Sequence[Changes] = (),
    let_through: bool = False,
) -> Report:
    """What became of the windows: both sides are opened, and their drivers imported, here and no sooner."""
    from klaviyo_sync.sync_window import sync_windows  # noqa: PLC0415 - for a run only

    span = "..".join(dict.fromkeys((windows[0].key, windows[-1].key)))
    with warehouse(f"klaviyo_sync {sync.name} {span}") as opened, klaviyo() as client:
        return sync_windows(sync, windows, opened, client, now=now, rejects=rejects, log=log, before=before, let_through=let_through)


def importing(project: Project) -> Importing:
    """The real import, the rejects folder of the project, and the clock."""

    def open_rejects() -> Rejects:
        from klaviyo_sync.rejects import Rejects  # noqa: PLC0415 - for a run only

        with project.at("rejects"):
            return Rejects(project.rejects, project.keep_rejects)

    def located(sync: Sync, windows: Sequence[Window], warehouse: OpenWarehouse, klaviyo: OpenKlaviyo, **more: Any) -> Report:
        def located_warehouse(label: str) -> AbstractContextManager[Warehouse]:
            return project.opening(warehouse(label), "connections", sync.connection)

        @contextmanager
        def located_klaviyo() -> Iterator[Klaviyo]:
            with project.opening(klaviyo(), "klaviyo", "api_key") as client:
                with project.at("klaviyo", "api_key"):
                    client.account()
                yield client

        with project.located(sync.name):
            return run_windows(sync, windows, located_warehouse, located_klaviyo, **more)

    return Importing(located, open_rejects, clock=lambda: datetime.now(UTC))


try:
    project = load()
    defs = build_definitions(project, importing(project), os.environ)
except ConfigError as error:
    raise error.with_traceback(None) from None  # Dagster shows the text first; how we came to read the file is no news
