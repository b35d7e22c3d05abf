"""A project, its Klaviyo and Dagster's real daemon, with the repository's own dagster.yaml; only its waits are shorter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
from dagster._core.scheduler.instigation import InstigatorType, ScheduleInstigatorData  # the UI's switch goes this way too

from klaviyo_sync.sandbox import Sandbox, serve

ROOT = Path(__file__).parents[2]
KEY = dg.AssetKey(["klaviyo", "members"])
SCHEDULE = "klaviyo_members"
PATIENCE = 240.0
SYNC = """
connection: local
dataset: members
modified_at: updated_at
frequency: hourly
start: "{start}"
profile: {{email: email, external_id: id}}
"""
ROWS = """
CREATE TABLE members AS
  SELECT 'm' || n AS id, 'm' || n || '@shop.example' AS email,
    CAST($start AS TIMESTAMP) + to_minutes(n) AS updated_at FROM range($minutes) AS _(n)
"""
SHORTER = {
    r"base_dir: \.dagster": "base_dir: {home}/storage",
    r"poll_interval_seconds: \d+": "poll_interval_seconds: 1",
    r"free_slots_after_run_end_seconds: \d+": "free_slots_after_run_end_seconds: 1",
}


@dataclass
class DaemonPlace:
    """A schedule that was switched on `hours` ago, while no daemon ran."""

    folder: Path
    box: Sandbox
    environ: dict[str, str]
    instance: dg.DagsterInstance

    def switch(self, word: str) -> None:
        """`start` or `stop`."""
        command = ["-m", "dagster", "schedule", word, SCHEDULE, "-m", "klaviyo_sync.definitions"]
        subprocess.run([sys.executable, *command], env=self.environ, cwd=self.folder, check=True, capture_output=True, timeout=PATIENCE)

    def pretend_downtime(self, hours: float) -> None:
        """The schedule was on all the time, and nothing has ticked for hours."""
        [state] = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        data = state.instigator_data
        assert isinstance(data, ScheduleInstigatorData)
        self.instance.update_instigator_state(
            state.with_data(ScheduleInstigatorData(data.cron_schedule, start_timestamp=time.time() - hours * 3600))
        )

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Dagster's daemon, running."""
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "klaviyo_sync.definitions"]
        with (self.folder / "daemon.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(command, env=self.environ, cwd=self.folder, stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                process.wait(timeout=60)

    def until(self, what: Callable[[], object]) -> None:
        """Returns when `what` holds. Raises AssertionError, with the daemon's last lines, when that takes too long."""
        started = time.monotonic()
        while not what():
            lines = (self.folder / "daemon.log").read_text(encoding="utf-8")[-3_000:]
            assert time.monotonic() < started + PATIENCE, lines
            time.sleep(0.1)

    def pid(self, run_id: str) -> int | None:
        """The process of a run, as Dagster's launcher tells it."""
        for entry in self.instance.all_logs(run_id):
            if found := re.search(r"\(pid: (\d+)\)", entry.message + str(entry.dagster_event and entry.dagster_event.message)):
                return int(found[1])
        return None

    def imported(self) -> set[str]:
        """The windows that are materialized."""
        return set(self.instance.get_materialized_partitions(KEY))


@contextmanager
def daemon_place(folder: Path, hours: int, **options: object) -> Iterator[DaemonPlace]:
    """A place whose rows began so many whole hours ago, one a minute. `options` are the sandbox's."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
    (folder / "syncs").mkdir(parents=True)
    (folder / "klaviyo_sync.yaml").write_text(
        "klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}\n"
        "connections: {local: {type: duckdb, path: warehouse.duckdb}}\n",
        encoding="utf-8",
    )
    (folder / "syncs" / "members.yaml").write_text(SYNC.format(start=start.strftime("%Y-%m-%d %H:%M")), encoding="utf-8")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(ROWS, {"start": start.replace(tzinfo=None), "minutes": hours * 60})
    settings = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    for old, new in SHORTER.items():
        settings, changed = re.subn(old, new.format(home=folder), settings)
        assert changed, old
    (folder / "dagster.yaml").write_text(settings, encoding="utf-8")
    box = Sandbox(**options)  # type: ignore[arg-type]
    with serve(box) as server:
        own = {"DAGSTER_HOME": str(folder), "KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml"), "KLAVIYO_BASE_URL": server.url}
        environ = {**os.environ, **own, "KLAVIYO_API_KEY": "pk_daemon"}
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield DaemonPlace(folder, box, environ, instance)
