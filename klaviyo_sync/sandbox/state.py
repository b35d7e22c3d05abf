"""The whole state of the local Klaviyo, in one object."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Literal

from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox.answers import Answer
from klaviyo_sync.sandbox.checks import MAX_PROFILE_BYTES
from klaviyo_sync.sandbox.consent_jobs import ConsentJobs
from klaviyo_sync.sandbox.consents import TEXTS, Consents, How, Person
from klaviyo_sync.sandbox.faults import Faults, RowFault
from klaviyo_sync.sandbox.jobs import Failure, Job, Jobs, Row, sent, size
from klaviyo_sync.sandbox.limits import Limits
from klaviyo_sync.sandbox.merging import Merging
from klaviyo_sync.sandbox.profiles import Profiles, TakenError, UnknownProfileError
from klaviyo_sync.sandbox.readings import Readings

OptIn = Literal["single_opt_in", "double_opt_in"]
PayloadShape = Literal["flat", "attributes", "absent"]
Moment = datetime | float
"""A time with its zone, or seconds since 1970."""


@dataclass
class SandboxList:
    """A list. `members` maps the number of a profile to when it joined, as a POSIX time."""

    id: str
    name: str
    opt_in_process: OptIn = "single_opt_in"
    created: float = 0.0
    members: dict[int, float] = field(default_factory=dict)


@dataclass
class SuppressionJob:
    """A job that suppresses e-mail addresses, or lifts that. `created` and `completed` are POSIX times."""

    id: str
    kind: str
    created: float
    total: int
    lists: tuple[str, ...]
    completed: float | None = None
    done: int = 0
    skipped: int = 0


LISTS = (SandboxList("Y6nRLr", "Newsletter", "double_opt_in"), SandboxList("VRgFBd", "Loyalty members"))


class Sandbox:
    """A Klaviyo account that lives in this process. Its attributes may be changed while a server runs over it.

    Args:
        lists: the lists it has; by default Y6nRLr (double opt-in) and VRgFBd (single opt-in).
        keys: the private keys it knows, with the scopes of each; None takes every key that starts with pk_, for everything.
        limits: whether requests are limited as Klaviyo limits them.
        time_scale: how many sandbox seconds pass in a real one, for limits and jobs. Retry-After stays in whole real
            seconds, at least 1. Timestamps in answers are real times.
        job_seconds: how long an import job takes, in sandbox seconds: one number, or the least and the most.
        errors_reported: how many errors a 400 names at most; None for all (Klaviyo's own habit is not known).
        original_payload: the shape of `original_payload` in import errors (not documented by Klaviyo).
        sms: whether the account can text, without which a phone number alone does not identify a profile.
        whatsapp: whether the account can send WhatsApp messages.
        sms_regions: the countries that the account has sending numbers for, such as "US"; None for all.
        age_gating: whether consent to texts takes a date of birth.
        opt_in_process: how people opt in when they are subscribed without a list.
        consent_seconds: how long it takes until consent that was accepted can be seen, in sandbox seconds.
        profile_seconds: how long it takes until listings of profiles show a new one, in sandbox seconds.
        readings: how it reads what Klaviyo says about identifiers of two profiles, merges, and consent on merges.
        account: six characters, the id of the account.
        seed: of everything that is left to chance: job ids, durations, the order in which jobs end.
        clock: the time, in seconds since 1970.
    """

    def __init__(
        self,
        *,
        lists: Collection[SandboxList] = LISTS,
        keys: Mapping[str, Collection[str]] | None = None,
        limits: bool = True,
        time_scale: float = 1.0,
        job_seconds: float | tuple[float, float] = (1.0, 3.0),
        errors_reported: int | None = None,
        original_payload: PayloadShape = "flat",
        sms: bool = True,
        whatsapp: bool = True,
        sms_regions: Collection[str] | None = None,
        age_gating: bool = False,
        opt_in_process: OptIn = "double_opt_in",
        consent_seconds: float = 1.0,
        profile_seconds: float = 0.0,
        readings: Readings = Readings(),  # noqa: B008 - frozen
        account: str = "SANDBX",
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keys = keys
        self.limited = limits
        self.time_scale = time_scale
        self.job_seconds = job_seconds if isinstance(job_seconds, tuple) else (job_seconds, job_seconds)
        self.errors_reported = errors_reported
        self.original_payload: PayloadShape = original_payload
        self.sms = sms
        self.whatsapp = whatsapp
        self.sms_regions = sms_regions
        self.age_gating = age_gating
        self.opt_in_process: OptIn = opt_in_process
        self.consent_seconds = consent_seconds
        self.profile_seconds = profile_seconds
        self.readings = self._read_at_first = readings
        self.account = account
        self.clock = clock
        self.lock = threading.RLock()
        self.faults = Faults()
        self._lists = tuple(lists)
        self._seed = seed
        self._born = clock()
        self.reset()

    def reset(self) -> None:
        """Back to the account as it was made: its lists empty, no profiles, jobs, faults or counts."""
        with self.lock:
            random = Random(self._seed)  # noqa: S311 - chance that can be repeated, nothing secret
            self.jobs = Jobs(self.account, random, self.job_seconds)
            self.lists = {one.id: SandboxList(one.id, one.name, one.opt_in_process, one.created or self._born) for one in self._lists}
            self.consents = Consents()
            merging = Merging(self.consents, lambda: self.readings, lambda: [one.members for one in self.lists.values()])
            self.profiles = Profiles(merging, lambda: self.readings)
            self.consent_jobs = ConsentJobs(self.profiles, self.consents, self._join, lambda: self.readings)
            self.suppression_jobs: dict[str, SuppressionJob] = {}
            self.limits = Limits()
            self.requests: Counter[tuple[str, int]] = Counter()
            self.rows_seen = 0
            self.faults.clear()

    def restore_readings(self) -> None:
        """Back to the readings that the account was made with."""
        self.readings = self._read_at_first

    def now(self) -> float:
        """The real time, in seconds since 1970; what timestamps show."""
        return self.clock()

    def elapsed(self) -> float:
        """The sandbox time, in seconds: what limits and jobs go by."""
        return self._born + (self.clock() - self._born) * self.time_scale

    def count(self, operation: str, answer: Answer) -> None:
        """Notes one answered request; a connection that was reset counts under status 0."""
        with self.lock:
            self.requests[operation, answer.status] += 1

    def add_job(self, rows: list[Row], lists: tuple[str, ...]) -> Job:
        """An import job for these rows, which starts on its own."""
        with self.lock:
            fate = self.faults.for_job([text for text, *_ in rows])
            return self.jobs.add(rows, lists, fate, now=self.now(), at=self.elapsed(), scale=self.time_scale)

    def settle(self) -> None:
        """Carries out what is due: import jobs, then consent."""
        with self.lock:
            for job in self.jobs.due(self.elapsed()):
                if job.fate == "complete":
                    self._carry_out(job)
            self.consent_jobs.settle(self.elapsed())

    def lists_profile(self, number: int) -> bool:
        """Whether listings show a profile, which new ones are not at once."""
        return self.now() - self.profiles.times(number)[0] >= self.profile_seconds / self.time_scale

    def _join(self, list_id: str, number: int, at: float) -> None:
        if list_id in self.lists:
            self.lists[list_id].members.setdefault(number, at)

    def add_suppression_job(self, kind: str, total: int, lists: tuple[str, ...]) -> SuppressionJob:
        """A job that suppresses, or lifts, which its maker carries out."""
        with self.lock:
            job = SuppressionJob(f"{int(self.now() * 1000):013}{len(self.suppression_jobs):013}", kind, self.now(), total, lists)
            self.suppression_jobs[job.id] = job
            return job

    def person(self, identifier: str, at: float | None = None) -> int:
        """The number of the profile with this e-mail address or phone number, made when there is none."""
        name = "email" if "@" in identifier else "phone_number"
        with self.lock:
            found = self.profiles.find(name, identifier)
            return self.profiles.upsert(None, {name: identifier}, self._at(at))[0] if found is None else found

    def opt_out(self, person: str, channel: Channel, at: Moment | None = None) -> None:
        """The person opts out by their own hand, now or at a moment that has passed. STOP ends both kinds of texts.

        `person` is an e-mail address or a phone number; who is not there yet is added.
        """
        with self.lock:
            self.settle()
            for each in TEXTS.get(channel, (channel,)):
                self.consents.unsubscribe(self.person(person), each, self._at(at), How("PREFERENCE_PAGE"))

    def opt_in(self, person: str, channel: Channel, at: Moment | None = None) -> None:
        """The person subscribes by their own hand, whatever was before. Arguments as for `opt_out`."""
        with self.lock:
            self.settle()
            self.consents.opt_in(self.person(person), channel, self._at(at), How("PREFERENCE_PAGE"))

    def suppress(self, email: str, reason: str, at: Moment | None = None) -> None:
        """The e-mail address is suppressed: by hand, a bounce, a report. Raises ValueError for a reason that does not exist."""
        with self.lock:
            self.settle()
            self.consents.suppress(self.person(email), reason, self._at(at))

    def confirm(self, person: str | None = None) -> int:
        """How many confirmed their double opt-in: those with this e-mail address or phone number, or everybody who is asked to."""
        with self.lock:
            self.settle()
            return self.consent_jobs.confirm(person, self.now())

    def consent(self, person: str) -> Person:
        """What the account holds of somebody's consent; a blank person for somebody unknown."""
        with self.lock:
            self.settle()
            number = self.profiles.find("email" if "@" in person else "phone_number", person)
            return Person() if number is None else self.consents.of(number)

    def _at(self, moment: Moment | None) -> float:
        if moment is None:
            return self.now()
        return moment.timestamp() if isinstance(moment, datetime) else moment

    def _carry_out(self, job: Job) -> None:
        """Writes the rows of a job, last row first: Klaviyo promises no order, so nobody may rely on the obvious one."""
        faults = self.faults.for_rows(early=False)
        numbers: dict[int, None] = {}
        write = self.profiles.write
        for row in reversed(job.rows):
            self.rows_seen += 1
            text, identifiers, beside = row
            id_ = beside.get("id") if beside else None
            failure = self._failure(row, faults) if faults or size(row) > MAX_PROFILE_BYTES else None
            if failure is None:
                try:
                    numbers[write(id_, text, identifiers, job.completed)] = None
                except TakenError as error:
                    detail = "A profile already exists with one of these identifiers."
                    failure = Failure(sent(row), "duplicate_profile", "Conflict.", detail, f"/data/attributes/{error.identifier}")
                except UnknownProfileError:
                    detail = f"A profile with id `{id_}` does not exist."
                    failure = Failure(sent(row), "not_found", "Not found.", detail, "/data/id")
            if failure is not None:
                job.failures.append(failure)
        numbers = dict.fromkeys(map(self.profiles.current, numbers))
        for list_id in job.lists:
            if list_id in self.lists:
                members = self.lists[list_id].members
                members.update((number, job.completed) for number in numbers if number not in members)
        job.profiles.extend(numbers)
        job.done = job.total - len(job.failures)

    def _failure(self, row: Row, faults: list[RowFault]) -> Failure | None:
        profile = sent(row)
        if size(row) > MAX_PROFILE_BYTES:
            return Failure(profile, "invalid", "Invalid input.", "The profile is larger than 100 KB.", "/data")
        for fault in faults:
            if fault.hits(profile, self.rows_seen):
                return Failure(profile, fault.code, fault.title, fault.detail, fault.place)
        return None
