"""A project of two syncs, Dagster around it, and a local Klaviyo that is asked over HTTP what it holds. Time goes fast."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import requests

from klaviyo_sync.config import load
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.klaviyo.transport import Timeouts
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.orchestration.resources import OpenKlaviyo, OpenWarehouse
from klaviyo_sync.orchestration.schedules import asked_for
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows

NOW = datetime(2026, 1, 4, 6, tzinfo=UTC)
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
PER_BATCH = 8
SPEED = 10_000.0
PATIENT = 1e7  # seconds of the fast clock, so that the machine's own slowness is no fault
COMMON = """
connection: local
modified_at: updated_at
frequency: daily
start: 2026-01-01
catch_up: 30d
"""
SYNCS = {
    "members": """
dataset: crm.members
profile: {email: email, external_id: id}
properties: {Balance: balance}
list: VRgFBd
""",
    "subscribers": """
dataset: crm.subscribers
profile: {email: email, external_id: id}
properties: {Points: balance}
consent: {email_marketing: {column: consent, timestamp: consented_at}, undated: guard}
""",
    "many": """
dataset: crm.many
profile: {email: email, external_id: id}
properties: {Total: balance}
""",
}
ROWS = """
CREATE SCHEMA crm;
CREATE TABLE crm.members AS
  SELECT 'm' || n AS id, 'm' || n || '_@shop.example' AS email, n + 0.5 AS balance,
    TIMESTAMP '2026-01-01' + to_hours(n * 72 // 40) AS updated_at
  FROM range(40) AS _(n);
CREATE TABLE crm.subscribers AS
  SELECT 's' || n AS id, 's' || n || '_@shop.example' AS email, n + 0.5 AS balance,
    TIMESTAMP '2026-01-01' + to_hours(n * 72 // 40) AS updated_at,
    CASE n % 4 WHEN 0 THEN 'Subscribe' WHEN 1 THEN 'Unsubscribed' WHEN 2 THEN 'Subscribe' END AS consent,
    CASE n % 4 WHEN 2 THEN TIMESTAMP '2025-06-01' END AS consented_at
  FROM range(40) AS _(n);
CREATE TABLE crm.many AS
  SELECT 'n' || n AS id, 'n' || n || '_@shop.example' AS email, n + 0.5 AS balance, TIMESTAMP '2026-01-01 12:00' AS updated_at
  FROM range(10000) AS _(n);
"""


@dataclass
class Place:
    """The project, its Klaviyo, and what runs reported. `most` is the number of profiles in a request, `read` the read time-out."""

    folder: Path
    box: Sandbox
    url: str
    end_outage: Callable[[], None]
    most: int = PER_BATCH
    speed: float = SPEED
    read: float = 60.0
    reports: list[Report] = field(default_factory=list)
    attempts: int = 0

    @cached_property
    def defs(self) -> dg.Definitions:
        """The project as Dagster loads it; only the clock and the size of requests are the tests'."""
        environ = {"KEY": "pk_fault_matrix", "URL": self.url}
        project = load(self.folder / "klaviyo_sync.yaml", environ)
        self.syncs = {sync.name: sync for sync in project.syncs}
        retries = dg.RetryPolicy(max_retries=2, delay=0)
        return build_definitions(project, Importing(self.run_windows, lambda: Rejects(project.rejects), lambda: NOW, retries), environ)

    def run_windows(
        self,
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
        """The real import, by a client whose clock is fast."""
        del klaviyo
        self.attempts += 1
        with warehouse("tests") as opened, self.client() as client:
            report = sync_windows(
                sync, windows, opened, client, now=now, rejects=rejects, log=log, most=self.most, before=before, let_through=let_through
            )
        self.reports.append(report)
        return report

    def client(self) -> Klaviyo:
        """A client that waits ten thousand times as short as it thinks."""
        return Klaviyo(
            "pk_fault_matrix",
            self.url,
            limits=LIMITS,
            timeouts=Timeouts(read=self.read),
            request_seconds=PATIENT,
            clock=lambda: time.monotonic() * self.speed,
            sleep=lambda seconds: time.sleep(seconds / self.speed),
        )

    def run(self, sync: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """A run over all windows, as a backfill or a schedule asks for it."""
        self.reports.clear()
        self.attempts = 0
        span = {"dagster/asset_partition_range_start": DAYS[0], "dagster/asset_partition_range_end": DAYS[-1]}
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = self.defs.resolve_job_def(f"klaviyo_{sync}")
        return job.execute_in_process(run_config=quiet, tags=span, instance=instance, raise_on_error=False)

    def asked(self, sync: str, instance: dg.DagsterInstance) -> set[str]:
        """The windows that the next tick asks for."""
        requests_ = asked_for(self.syncs[sync], NOW, instance)
        if isinstance(requests_, dg.SkipReason):
            return set()
        found: set[str] = set()
        for one in requests_:
            first = one.partition_key or one.tags["dagster/asset_partition_range_start"]
            last = one.partition_key or one.tags["dagster/asset_partition_range_end"]
            found.update(day for day in DAYS if first <= day <= last)
        return found

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """What one of the sandbox's own addresses answers."""
        answer = requests.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def held(self) -> dict[str, dict[str, Any]]:
        """The attributes of every imported profile that Klaviyo holds, by external id, asked page by page.

        An opt-out whose row stayed behind makes a profile of an address alone.
        """
        found = {}
        address: str | None = f"{self.url}/api/profiles?page[size]=100"
        headers = {"Authorization": "Klaviyo-API-Key pk_reader", "revision": "2026-07-15"}
        with requests.Session() as session:
            session.headers.update(headers)
            while address:
                page = session.get(address, timeout=30).json()
                shown = (one["attributes"] for one in page["data"])
                found.update((one["external_id"], one) for one in shown if one["external_id"] is not None)
                address = page["links"]["next"]
        return found

    def consents(self) -> dict[str, str]:
        """The e-mail consent of everybody of whom Klaviyo holds some, by e-mail address."""
        people = self.control("GET", "consent")["people"]
        return {one["email"]: one["subscriptions"]["email"]["marketing"]["consent"] for one in people}

    def rows(self, sync: str) -> dict[str, tuple[str, float]]:
        """The window and the balance of every row of the warehouse, by external id."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            found = connection.execute(f"SELECT id, strftime(updated_at, '%Y-%m-%d'), CAST(balance AS DOUBLE) FROM crm.{sync}").fetchall()
        return {id_: (day, balance) for id_, day, balance in found}

    def rejects(self, sync: str, day: str) -> list[dict[str, str]]:
        """The lines of a window's rejects file."""
        file = self.folder / "rejects" / sync / f"{day}.csv"
        if not file.exists():
            return []
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def fresh(self) -> None:
        """An empty account without faults, and no rejects files."""
        self.control("POST", "reset")
        self.most = PER_BATCH
        for file in (self.folder / "rejects").rglob("*.csv"):
            file.unlink()


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A place in a folder of its own."""
    (folder / "syncs").mkdir(parents=True)
    (folder / "klaviyo_sync.yaml").write_text(
        "klaviyo: {api_key: {env: KEY}, base_url: {env: URL}}\n"
        "connections: {local: {type: duckdb, path: warehouse.duckdb}}\n"
        f"rejects: {folder / 'rejects'}\n",
        encoding="utf-8",
    )
    for name, text in SYNCS.items():
        (folder / "syncs" / f"{name}.yaml").write_text(COMMON + text, encoding="utf-8")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(ROWS)
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server:
        yield Place(folder, box, server.url, server.end_outage)
