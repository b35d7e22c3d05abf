"""A warehouse whose rows change, a Klaviyo that takes its time, and a worker that is killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb

from klaviyo_sync.sandbox import Sandbox, serve

WORKER = Path(__file__).parent / "crash_worker.py"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SYNC = """
connection: local
dataset: people
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile: {email: email, external_id: id, phone_number: {column: phone, default_country: DE}}
properties: {Version: version}
consent: {email_marketing: {column: consent, timestamp: consented_at}, undated: guard}
list: VRgFBd
"""
TABLE = """
CREATE TABLE people (
  id VARCHAR, email VARCHAR, phone VARCHAR, version BIGINT, consent VARCHAR, consented_at TIMESTAMP, updated_at TIMESTAMP
);
"""
PEOPLE = """
INSERT INTO people
  SELECT CASE WHEN n % 50 = 49 THEN NULL ELSE 'p' || n END, CASE WHEN n % 50 >= 48 THEN 'junk ' || n ELSE 'p' || n || '@shop.example' END,
    '0151' || (10000000 + n), $version,
    CASE n % 5 WHEN 0 THEN 'Subscribe' WHEN 1 THEN 'Unsubscribed' WHEN 2 THEN 'Subscribe' WHEN 3 THEN 'no such word' END,
    CASE n % 5 WHEN 2 THEN TIMESTAMP '2025-06-01' END, CAST($at AS TIMESTAMP) + to_seconds(n % 60000)
  FROM range($people) AS _(n) WHERE (n + $offset) % $step = 0
"""


@dataclass
class CrashPlace:
    """The worker, and what it works between. Times are moments of the warehouse's rows; `day` is the number of days that have passed."""

    folder: Path
    box: Sandbox
    worker: subprocess.Popen[str]
    people: int
    day: int = 0
    version: int = 0
    child: SimpleQueue[int] = field(default_factory=SimpleQueue)
    """The process ids of runs, each as it starts."""

    def change(self, step: int = 1, offset: int = 0) -> None:
        """Every `step`-th person changes; a day passes."""
        self.version += 1
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as connection:
            at = FIRST + timedelta(days=self.day, hours=6)
            values = {"version": self.version, "at": at.replace(tzinfo=None), "people": self.people, "step": step, "offset": offset}
            connection.execute(PEOPLE, values)
        self.day += 1

    def run(self, days: range, *, dies: int = 0, requests: int = 0, seconds: float = 0.0) -> tuple[int, int]:
        """How the run of these days ended (0, or minus the signal), and how many events it had.

        It is killed by its own hand at event `dies`, or from here after so many requests to Klaviyo, or after so many seconds.
        """
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        windows = [(FIRST + timedelta(days=day)).strftime("%Y-%m-%d") for day in days]
        now = FIRST + timedelta(days=self.day, hours=1)
        before, started = self.requests(), time.monotonic()
        print(now.isoformat(), dies, *windows, file=self.worker.stdin, flush=True)
        child = int(self.worker.stdout.readline())
        self.child.put(child)
        if requests or seconds:
            with suppress(ProcessLookupError):
                while self.requests() < before + requests or time.monotonic() < started + seconds:
                    time.sleep(0.0005)
                    os.kill(child, 0)
                os.kill(child, signal.SIGKILL)
        ended, events = self.worker.stdout.readline().split()
        return int(ended), int(events)

    def requests(self) -> int:
        """How many requests Klaviyo has answered."""
        return sum(self.box.requests.copy().values())

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Every profile by its e-mail address, or its external id."""
        with self.box.lock:
            self.box.settle()
            found = [self.box.profiles.attributes(number) for number in range(len(self.box.profiles))]
        return {one.get("email") or one.get("external_id") or one["phone_number"]: one for one in found}

    def expected(self) -> dict[str, int]:
        """The newest version of everybody who can be told, by e-mail address, external id or phone number."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            rows = connection.execute("SELECT email, id, phone, MAX(version) FROM people GROUP BY ALL").fetchall()
        return {email if "@" in email else id_ or f"+49{phone[1:]}": version for email, id_, phone, version in rows}

    def consents(self) -> dict[str, str]:
        """The e-mail consent of everybody."""
        return {name: self.box.consent(name).status("email_marketing") for name in self.profiles() if "@" in name}

    def members(self) -> set[str]:
        """The e-mail addresses of the list's members."""
        return {self.box.profiles.attributes(number).get("email", "") for number in self.box.lists["VRgFBd"].members}

    def rejects(self) -> dict[str, str]:
        """What lies in the rejects folder, by name."""
        folder = self.folder / "rejects"
        return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in folder.rglob("*") if file.is_file()}


@contextmanager
def crash_place(folder: Path, people: int, most: int = 50, *, kind: type[Sandbox] = Sandbox, **options: Any) -> Iterator[CrashPlace]:
    """A place with so many people, and `most` profiles in a request; options are those of the sandbox, which is of this kind."""
    folder.mkdir(parents=True)
    (folder / "people.yaml").write_text(SYNC, encoding="utf-8")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(TABLE)
    box = kind(limits=False, consent_seconds=0.0, opt_in_process="single_opt_in", **options)
    with serve(box) as server:
        command = [sys.executable, str(WORKER), str(folder), server.url, str(most)]
        # A place for temporary files of its own: what others left on this machine is looked at too, and would count as events.
        (folder / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            yield CrashPlace(folder, box, worker, people)
        finally:
            worker.communicate()
