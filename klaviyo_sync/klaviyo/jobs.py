"""Reading import jobs: their states, few or many at once, their errors, and whether others are still running.

https://developers.klaviyo.com/en/reference/get_bulk_import_profiles_jobs. States are queued, processing, complete and
cancelled; there is none for failure. A GET counts apart from the POST, 150 a minute for each of the three addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Event

from klaviyo_sync.core.errors import OtherImportsError, Unavailable
from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import Outcome, Reason
from klaviyo_sync.klaviyo.accounts import ListDetails
from klaviyo_sync.klaviyo.answers import Answer, Json, api_error, attributes, text
from klaviyo_sync.klaviyo.attribution import Attribution, whole
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import IMPORT_ERRORS, IMPORT_JOB, IMPORT_JOBS
from klaviyo_sync.klaviyo.looks import Pace
from klaviyo_sync.klaviyo.second_attempts import Sending, divided, replaced, without_refused
from klaviyo_sync.klaviyo.submission import Job

PAGE = 100
SPARE_PAGES = 50
STALE = timedelta(hours=6)
ENDED = ("complete", "cancelled")


@dataclass(frozen=True)
class Patience:
    """Seconds: the shortest and longest between two looks at one job, how long Klaviyo may not know a job that it just accepted, how
    long a job may take, and how long jobs of others are waited for. `pace` bounds the looks at all open jobs together.
    """

    shortest: float = 0.5
    longest: float = 30.0
    unheard_of: float = 30.0
    job: float = 3600.0
    others: float = 600.0
    pace: Pace = field(default_factory=Pace)

    def scaled(self, factor: float) -> Patience:
        """The same patience with a Klaviyo whose time runs `factor` times as fast."""
        return Patience(
            self.shortest / factor,
            self.longest / factor,
            self.unheard_of / factor,
            self.job / factor,
            self.others / factor,
            self.pace.scaled(factor),
        )

    def until_next_look(self, age: float) -> float:
        """Seconds to wait before looking again at a job of this age: soon at young ones, so that small jobs end soon."""
        return min(self.longest, max(self.shortest, age / 2))


def listed(klaviyo: Klaviyo, ids: Collection[str], stop: Event | None = None) -> dict[str, Json]:
    """The attributes of those of the jobs that are among the newest: one page of the listing in place of a request for each."""
    wanted = set(ids)
    found: dict[str, Json] = {}
    listing = klaviyo.pages(Request(IMPORT_JOBS, params={"sort": "-created_at", "page[size]": str(PAGE)}), stop)
    for page in islice(listing, 1 + len(wanted) // PAGE):
        found.update((job["id"], attributes(job)) for job in page.resources if job["id"] in wanted)
        if len(found) == len(wanted):
            break
    return found


def looked_up(klaviyo: Klaviyo, job_id: str, stop: Event | None = None) -> Json | None:
    """The attributes of one job, or None when Klaviyo does not know it, or answers about another one."""
    answer = klaviyo.request(Request(IMPORT_JOB, id=job_id), stop)
    return attributes(answer.resource) if isinstance(answer, Answer) and answer.resource["id"] == job_id else None


def settled(klaviyo: Klaviyo, job: Job, counts: Json, stop: Event | None = None) -> tuple[Outcome, Sending | None]:
    """What became of the rows of a complete job, and those that go again without the cells that its errors name, if any.

    All pages of its errors are read. Unreadable ones leave all rows unknown.
    """
    rows = job.batch.rows
    attribution = Attribution(rows)
    try:
        for page in error_pages(klaviyo, job, stop):
            attribution.add(api_error(attributes(item)) for item in page.resources)
    except Unavailable as error:
        return lost(job, f"The errors of the import job could not be read: {error}"), None
    outcome = with_job(job, attribution.outcome(counts))
    if not attribution.cells:
        return outcome, None
    texts = job.batch.profiles
    going = without_refused(texts, rows, attribution.cells)
    if not going:
        return outcome, None
    done, others = divided(outcome, going)
    again = replaced(Batch(job.batch.envelope, texts.take(list(going)), others), dict(enumerate(going.values())))
    if len(done.rows):
        return done, Sending(again)
    return done, Sending(again, outcome.jobs, outcome.requests, outcome.bytes)


def error_pages(klaviyo: Klaviyo, job: Job, stop: Event | None) -> Iterator[Answer]:
    """The pages of a job's errors, which end: a job cannot have many more pages than rows."""
    most = len(job.batch) + SPARE_PAGES
    for number, page in enumerate(klaviyo.pages(Request(IMPORT_ERRORS, id=job.id, params={"page[size]": str(PAGE)}), stop)):
        if number == most:
            raise Unavailable(f"The errors of the import job have more than {most} pages.")
        yield page


def lost(job: Job, why: str) -> Outcome:
    """All rows of a job of which nothing is proven."""
    return with_job(job, whole(job.batch.rows, "unknown", Reason("outcome_unknown", None, why)))


def with_job(job: Job, outcome: Outcome) -> Outcome:
    """The outcome with the job's id and costs."""
    return replace(outcome, jobs=(*job.earlier, job.id), requests=job.requests, bytes=job.bytes)


def utc_now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


def prepare(
    klaviyo: Klaviyo,
    list_ids: Iterable[str] = (),
    *,
    patience: Patience | None = None,
    now: Callable[[], datetime] = utc_now,
    stop: Event | None = None,
) -> dict[str, ListDetails]:
    """The lists by their ids, once a run may send its first batch: the key opens an account, they exist, no other import is running.

    An import that is still running, be it ours from a run that broke off, could write an older row over a newer one.
    One created more than six hours ago is taken for dead: Klaviyo keeps dead jobs for seven days.

    Raises:
        Refused: The key is not good.
        NoSuchListError: The account has no such list.
        OtherImportsError: Other imports did not end in time.
    """
    patience = patience or Patience()
    klaviyo.account()
    lists = {list_id: klaviyo.list_details(list_id) for list_id in dict.fromkeys(list_ids)}
    began = klaviyo.clock()
    while others := unfinished(klaviyo, now() - STALE, stop):
        waited = klaviyo.clock() - began
        if waited >= patience.others:
            raise OtherImportsError(
                f"{len(others)} other import jobs of this Klaviyo account did not end in {waited:.0f} s, {others[0]} among them. "
                "Two imports at once could write one profile in the wrong order. Nothing is to be corrected: the next run asks again."
            )
        klaviyo.pause(patience.until_next_look(waited), stop)
    return lists


def unfinished(klaviyo: Klaviyo, since: datetime, stop: Event | None) -> list[str]:
    """The ids of jobs created after `since` that are queued or processing, or in a state that is neither complete nor cancelled."""
    wanted = {"filter": 'any(status,["queued","processing"])', "sort": "-created_at", "page[size]": str(PAGE)}
    pages = islice(klaviyo.pages(Request(IMPORT_JOBS, params=wanted), stop), SPARE_PAGES)
    jobs = ((job["id"], attributes(job)) for page in pages for job in page.resources)
    return [job_id for job_id, job in jobs if job.get("status") not in ENDED and created(job, since) >= since]


def created(job: Json, otherwise: datetime) -> datetime:
    """When a job was created; `otherwise` when it does not say so."""
    try:
        moment = datetime.fromisoformat(text(job.get("created_at")))
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
