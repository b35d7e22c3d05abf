"""Import jobs: accepted at once, carried out later, in an order of their own.

Life of a job: https://developers.klaviyo.com/en/docs/use_klaviyos_bulk_profile_import_api.
"""

from __future__ import annotations

import heapq
import math
from array import array
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from klaviyo_sync.sandbox.faults import JobFate
from klaviyo_sync.sandbox.profiles import Identifiers

QUEUED_SHARE = 0.3
"""How much of a job's duration passes before it starts."""

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long a job can be read: seven days after it was made."""


Row = tuple[bytes, Identifiers, Mapping[str, Any] | None]
"""One profile of a job: its attributes encoded, without nulls, its identifiers, and what else was sent, when it was more than the type.

A plain tuple of few objects: hundreds of thousands may wait, and each costs the garbage collector time.
"""


AROUND_ATTRIBUTES = len(b'{"type":"profile","attributes":}')
"""Bytes of a profile beside its attributes, when it has nothing else."""


def size(row: Row) -> int:
    """Bytes of the profile."""
    text, _, beside = row
    return len(text) + (AROUND_ATTRIBUTES if beside is None else len(orjson.dumps({**beside, "attributes": 0})) - 1)


def sent(row: Row) -> dict[str, Any]:
    """The profile as it was sent."""
    text, _, beside = row
    return {**(beside or {"type": "profile"}), "attributes": orjson.loads(text)}


@dataclass(frozen=True)
class Failure:
    """A row that did not make it."""

    profile: Mapping[str, Any]
    code: str
    title: str
    detail: str
    pointer: str | None


@dataclass
class Job:
    """One import job. `created` is a POSIX time; `starts` and `ends` are sandbox times, infinite when never."""

    id: str
    created: float
    starts: float
    ends: float
    started: float
    completed: float
    total: int
    lists: tuple[str, ...]
    fate: JobFate
    rows: list[Row]
    settled: bool = False
    profiles: array[int] = field(default_factory=lambda: array("q"))
    done: int = 0
    failures: list[Failure] = field(default_factory=list)

    def status(self, at: float) -> str:
        """queued, processing, complete or cancelled at a sandbox time."""
        if self.settled:
            return "cancelled" if self.fate == "cancelled" else "complete"
        return "queued" if at < self.starts else "processing"


class Jobs:
    """Every import job of the account, in the order of creation."""

    def __init__(self, account: str, random: Random, seconds: tuple[float, float]) -> None:
        self._account = account
        self._random = random
        self._seconds = seconds
        self._jobs: dict[str, Job] = {}
        self._due: list[tuple[float, int, Job]] = []

    def add(self, rows: list[Row], lists: tuple[str, ...], fate: JobFate, *, now: float, at: float, scale: float) -> Job:
        """A new job, accepted at POSIX time `now`, sandbox time `at`."""
        seconds = self._random.uniform(*self._seconds)
        starts = math.inf if fate == "stuck_queued" else at + seconds * QUEUED_SHARE
        ends = math.inf if fate.startswith("stuck") else at + seconds
        started, completed = now + seconds * QUEUED_SHARE / scale, now + seconds / scale
        job = Job(self._id(now), now, starts, ends, started, completed, len(rows), lists, fate, rows)
        if fate != "vanished":
            self._jobs[job.id] = job
            heapq.heappush(self._due, (ends, len(self._jobs), job))
        return job

    def due(self, at: float) -> Iterator[Job]:
        """The jobs whose end has come, in the order in which they end; each is settled after it was yielded."""
        while self._due and self._due[0][0] <= at:
            job = heapq.heappop(self._due)[2]
            yield job
            job.rows = []
            job.settled = True

    def release(self, at: float) -> None:
        """Lets the jobs that are stuck end as complete, at sandbox time `at`: Klaviyo has come round."""
        for job in self._jobs.values():
            if math.isinf(job.ends):
                job.fate, job.starts, job.ends = "complete", at, at
        self._due = [(job.ends, number, job) for _, number, job in self._due]
        heapq.heapify(self._due)

    def get(self, id_: str, now: float) -> Job | None:
        """The job with this id, unless it has expired."""
        job = self._jobs.get(id_)
        return job if job and now < job.created + KEPT_SECONDS else None

    def all(self, now: float, wanted: Callable[[Job], bool]) -> list[Job]:
        """The jobs that can still be read, oldest first."""
        return [job for job in self._jobs.values() if now < job.created + KEPT_SECONDS and wanted(job)]

    def _id(self, now: float) -> str:
        def word() -> str:
            return "".join(self._random.choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=6))

        name = f"{self._account}_maintenance.{word()}.{int(now)}.{word()}"
        return urlsafe_b64encode(name.encode()).decode().rstrip("=")
