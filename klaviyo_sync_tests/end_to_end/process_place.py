"""A project, its Klaviyo, and runs of Dagster in processes of their own, which can be signalled. The instance has no limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb

from klaviyo_sync.sandbox import Sandbox, serve

PATIENCE = 120.0
PROMPTLY = 60.0
"""Seconds in which a cancelled run must have ended. It takes two or three; what it is kept from would take minutes or for ever."""

SYNC = """
connection: local
{source}
modified_at: changed
frequency: daily
start: 2026-05-01
stop_above: {{rejected: 100%}}
profile: {{email: email}}
properties: {{n: n}}
"""
PEOPLE = """
CREATE TABLE people AS SELECT 'p' || n || '@example.com' AS email, n, 'Subscribe' AS consent, TIMESTAMPTZ '2026-05-01 09:00+00' AS changed
  FROM range(50) AS _(n);
"""
# Its first row comes after longer than anybody waits, so that a run is in the middle of a query of DuckDB's when it is interrupted.
ENDLESS = "query: SELECT email, n, changed FROM people WHERE (SELECT sum(hash(a + b)) FROM range(1000000) x(a), range(1000000) y(b)) > 0"
# The same, and DuckDB streams it: no signal is looked at before the next batch of rows is there.
TRICKLE = (
    "query: SELECT email, people.n, changed FROM people, range(1000000) x(a), range(1000000) y(b) WHERE hash(a + b) % 1000000000000 = 3"
)


@dataclass
class ProcessPlace:
    """One home of Dagster's, and the processes that were started in it."""

    folder: Path
    box: Sandbox
    environ: Mapping[str, str]
    instance: dg.DagsterInstance
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def materialize(self, sync: str = "people", key: str = "2026-05-01") -> subprocess.Popen[str]:
        """A process that imports one window."""
        command = ["asset", "materialize", "--select", f'key:"klaviyo/{sync}"', "--partition", key, "-m", "klaviyo_sync.definitions"]
        return self.start("-m", "dagster", *command)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A process of Python with these arguments; what it prints goes to `output.log`."""
        with (self.folder / "output.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=self.environ, cwd=self.folder, stdout=log, stderr=log, text=True, start_new_session=True
            )
        self.processes.append(process)
        return process

    def run(self) -> dg.DagsterRun:
        """The newest run."""
        return self.instance.get_runs(limit=1)[0]

    def until(self, what: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Returns when `what` holds. Raises AssertionError, with what the processes printed last, when that takes too long."""
        started = time.monotonic()
        while not what():
            assert time.monotonic() < started + seconds, self.printed()[-6_000:]
            time.sleep(0.05)

    def printed(self) -> str:
        """What the processes printed."""
        return (self.folder / "output.log").read_text(encoding="utf-8", errors="replace")

    def reads(self, process: subprocess.Popen[str]) -> bool:
        """Whether a process has the warehouse open."""
        assert process.poll() is None, self.printed()[-6_000:]
        return any(opened == str(self.folder / "warehouse.duckdb") for opened in open_files(process.pid))

    def events(self, run_id: str) -> list[str]:
        """The kinds of a run's events, in order."""
        return [entry.dagster_event.event_type_value for entry in self.instance.all_logs(run_id) if entry.dagster_event]

    def messages(self, run_id: str) -> list[str]:
        """What a run has logged."""
        return [entry.user_message for entry in self.instance.all_logs(run_id)]

    def imported(self, sync: str = "people") -> set[str]:
        """The windows that are materialized."""
        return set(self.instance.get_materialized_partitions(dg.AssetKey(["klaviyo", sync])))

    def posted(self) -> int:
        """How many import jobs Klaviyo has accepted."""
        return self.box.requests["bulk_import_profiles", 202]


@contextmanager
def process_place(
    folder: Path, *, source: str = "dataset: people", more: str = "", settings: str = "", **options: object
) -> Iterator[ProcessPlace]:
    """A place with two syncs of the same table, `people` (read as `source` says, with `more` lines in its file) and `others`.

    `settings` are what stands in dagster.yaml; `options` are the sandbox's.
    """
    (folder / "syncs").mkdir(parents=True)
    (folder / "klaviyo_sync.yaml").write_text(
        "klaviyo: {api_key: {env: KLAVIYO_API_KEY}, base_url: {env: KLAVIYO_BASE_URL}}\n"
        "connections: {local: {type: duckdb, path: warehouse.duckdb}}\n",
        encoding="utf-8",
    )
    (folder / "syncs" / "people.yaml").write_text(SYNC.format(source=source) + more, encoding="utf-8")
    (folder / "syncs" / "others.yaml").write_text(SYNC.format(source="dataset: people").replace("{n: n}", "{other: n}"), encoding="utf-8")
    (folder / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{settings}", encoding="utf-8")
    (folder / "tmp").mkdir()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(PEOPLE)
    box = Sandbox(**options)  # type: ignore[arg-type]
    with serve(box) as server:
        own = {"DAGSTER_HOME": str(folder), "KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml"), "KLAVIYO_BASE_URL": server.url}
        environ = {**os.environ, **own, "KLAVIYO_API_KEY": "pk_process", "TMPDIR": str(folder / "tmp")}
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            place = ProcessPlace(folder, box, environ, instance)
            try:
                yield place
            finally:
                for process in place.processes:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def open_files(pid: int) -> Iterator[str]:
    """The files that a process has open; one that it closes meanwhile is left out."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())
