"""Import jobs: every row that is handed in comes back once, with what became of it, whatever Klaviyo does."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from importing import counted, fates, no_threads_left, people, reasons, run, shop
from scripted_klaviyo import KEY, Asked, Importing, Says, batch, complete, errors, import_error, quick, serving

from klaviyo_sync.core.errors import Refused, Unavailable
from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import Outcome, Reason
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import Patience
from klaviyo_sync.klaviyo.limits import LIMITS


def test_every_row_is_imported_once() -> None:
    """Batches become jobs; each row comes back once, with the job's id, requests and bytes."""
    batches = [batch(50, start) for start in range(0, 1000, 50)]
    outcomes, server = run(Importing(), *batches)
    assert counted(outcomes) == {"imported": 1000}
    assert sum(outcome.requests for outcome in outcomes) == len(server.bodies()) == 20
    assert sum(outcome.bytes for outcome in outcomes) == sum(len(asked.body) for asked in server.bodies())
    assert len({job for outcome in outcomes for job in outcome.jobs}) == 20
    assert no_threads_left()


def test_nothing_to_import() -> None:
    """Without batches there are no outcomes and no requests."""
    outcomes, server = run(Importing())
    assert (outcomes, server.asked) == ([], [])


def test_late_failures_over_many_pages() -> None:
    """Errors of all pages are read and given to their rows, by copies of what was sent."""
    script = Importing(look=lambda _, __, size: complete(size, failed=250))

    def pages(number: int, page: int) -> tuple[list[dict[str, Any]], str | None]:
        failed = script.jobs[number][0:500:2][page * 100 : page * 100 + 100]
        following = f"/api/profile-bulk-import-jobs/job{number}/import-errors?page[cursor]={page + 1}" if page < 2 else None
        return [import_error(payload=profile["attributes"]) for profile in failed], following

    script.pages = pages
    outcomes, _ = run(script, batch(1_000))
    assert counted(outcomes) == {"imported": 750, "failed": 250}
    assert {int(key.split()[1]) for key, fate in fates(outcomes).items() if fate == "failed"} == set(range(0, 500, 2))
    assert reasons(outcomes) == {Reason("import_failed", None, "Could not be written.")}


def test_failures_after_refusals_find_their_rows() -> None:
    """Places in the job's errors count in the request that was accepted, not in the batch."""
    script = shop(*people([0, 1]))
    script.look = lambda _, __, size: complete(size, failed=1)
    script.pages = lambda _, __: ([import_error("/data/attributes/profiles/data/0/attributes/phone_number")], None)
    found = fates(run(script, batch(4))[0])
    assert found == {"row 0": "refused", "row 1": "refused", "row 2": "failed", "row 3": "imported"}


def test_errors_are_read_even_when_none_is_counted() -> None:
    """A job that counts no failures is asked for its errors all the same."""
    script = Importing(look=lambda _, __, size: complete(size, failed=0))
    script.pages = lambda _, __: ([import_error("/data/attributes/profiles/data/1")], None)
    assert counted(run(script, batch(3))[0]) == {"imported": 2, "failed": 1}


@pytest.mark.parametrize(
    "says",
    [Says(500), Says(404, b""), Says(200, b"<html>"), Says(200, {"data": [], "links": {"next": "https://evil.example/api/"}})],
)
def test_errors_that_cannot_be_read_leave_rows_unknown(says: Says) -> None:
    """Without all pages of errors no row of the job counts as imported; the other jobs do."""
    script = Importing(pages=lambda number, _: says if number == 0 else ([], None))
    outcomes, _ = run(script, batch(10), batch(10, start=10), senders=1)
    assert counted(outcomes) == {"unknown": 10, "imported": 10}


def test_endless_error_pages_end() -> None:
    """A job cannot have endless pages of errors."""
    where = "/api/profile-bulk-import-jobs/job0/import-errors?page[cursor]="
    script = Importing(pages=lambda _, page: ([], f"{where}{page + 1}"))
    assert counted(run(script, batch(2))[0]) == {"unknown": 2}


# The job never says that it is complete.


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (lambda *_: {"status": "cancelled"}, "cancelled"),
        (lambda *_: {"status": "queued"}, "is queued"),
        (lambda *_: {"status": "processing"}, "is processing"),
        (lambda *_: {"status": ["complete"]}, "is "),
        (lambda *_: {}, "is None"),
        (lambda *_: None, "unheard of"),
    ],
)
@pytest.mark.parametrize("jobs", [1, 5])
def test_jobs_that_do_not_complete_are_unknown(look: Any, why: str, jobs: int) -> None:
    """Cancelled, stuck and vanished jobs prove nothing, whether they are looked at alone or in the listing."""
    outcomes, _ = run(Importing(look=look), *(batch(3, start=3 * n) for n in range(jobs)), patience=Patience(job=120))
    assert counted(outcomes) == {"unknown": 3 * jobs}
    assert all(reason.code == "outcome_unknown" and why in reason.detail for reason in reasons(outcomes))
    assert all(len(outcome.jobs) == 1 for outcome in outcomes)


def test_a_job_may_be_heard_of_late() -> None:
    """A job that Klaviyo does not show at first is waited for."""
    outcomes, _ = run(Importing(look=lambda _, looks, size: complete(size) if looks > 3 else None), batch(3))
    assert counted(outcomes) == {"imported": 3}


def test_many_jobs_are_looked_at_together() -> None:
    """With many jobs open, one page of the listing replaces a request for each."""
    script = Importing(look=lambda _, looks, size: complete(size) if looks > 8 else {"status": "processing"})
    _, server = run(script, *(batch(1, start=n) for n in range(30)))
    alone = [asked for asked in server.asked if asked.method == "GET" and asked.path.rpartition("/")[2].startswith("job")]
    assert len(alone) < 30 * 8 / 4


# Threads, order, memory.


def test_at_most_so_many_jobs_are_open() -> None:
    """No more than `in_flight` jobs are open, and no more bodies than senders are on their way."""
    lock, open_jobs, most_open = threading.Lock(), set[int](), [0]
    script = Importing()

    def look(number: int, looks: int, size: int) -> dict[str, Any]:
        with lock:
            open_jobs.add(number)
            most_open[0] = max(most_open[0], len(script.jobs) - sum(1 for n in script.looks if script.looks[n] > 3))
        return complete(size) if looks > 3 else {"status": "queued"}

    script.look = look
    outcomes, _ = run(script, *(batch(1, start=n) for n in range(40)), in_flight=5)
    assert counted(outcomes) == {"imported": 40}
    assert most_open[0] <= 5 + 2


def test_batches_are_read_in_the_callers_thread() -> None:
    """The warehouse is read by the thread that asked, and only a few batches ahead."""
    ahead, finished, threads = [0], [0], set[int]()

    def batches() -> Iterator[Batch]:
        for start in range(0, 60, 2):
            threads.add(threading.get_ident())
            ahead.append(start // 2 - finished[0])
            yield batch(2, start=start)

    with serving(Importing()) as server, quick(server.url) as (klaviyo, _):
        for _ in import_batches(klaviyo, batches(), senders=2, in_flight=4):
            finished[0] += 1
    assert threads == {threading.get_ident()}
    assert max(ahead) <= 4 + 2 + 1 + 1


def test_batches_that_wait_are_on_disk() -> None:
    """No batch is in memory any more when the next one is made, however many wait to be sent or for the end of their jobs."""
    released = threading.Event()
    script = Importing(look=lambda _, __, size: complete(size) if released.is_set() else {"status": "processing"})
    made: list[weakref.ref[Batch]] = []
    left: list[int] = []

    def batches() -> Iterator[Batch]:
        for n in range(12):
            left.append(sum(one() is not None for one in made))
            # map, not a loop: nothing here keeps the batch.
            yield from map(remembered, [n])
        released.set()

    def remembered(number: int) -> Batch:
        one = batch(4, start=4 * number)
        made.append(weakref.ref(one))
        return one

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        outcomes = list(import_batches(klaviyo, batches(), senders=2, patience=Patience(job=1e9)))
    assert counted(outcomes) == {"imported": 48}
    assert left == [0] * 12


def test_jobs_under_way_take_no_memory() -> None:
    """While jobs run, neither their profiles nor their rows are kept in memory: 32 open jobs must not hold 32 batches."""
    released = threading.Event()
    script = Importing(look=lambda _, __, size: complete(size) if released.is_set() else {"status": "processing"})
    arrow_bytes: list[int] = []

    def batches() -> Iterator[Batch]:
        for n in range(12):
            made = batch(4, start=4 * n, pad=100_000)
            yield replace(made, rows=made.rows.append_column("wide", pa.array(["x" * 100_000] * 4)))
            del made
        until = time.monotonic() + 60
        while pa.total_allocated_bytes() - before >= 100_000 and time.monotonic() < until:
            time.sleep(0.01)
        arrow_bytes.append(pa.total_allocated_bytes() - before)
        released.set()

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        before = pa.total_allocated_bytes()
        outcomes = list(import_batches(klaviyo, batches(), senders=2, patience=Patience(job=1e9)))
    assert counted(outcomes) == {"imported": 48}
    assert arrow_bytes[0] < 100_000


def test_closing_early_ends_everything() -> None:
    """A caller who stops listening leaves no thread behind, also while threads wait for Klaviyo."""
    script = Importing(look=lambda number, _, size: complete(size) if number == 0 else {"status": "processing"})
    with serving(script) as server, Klaviyo(KEY, server.url, limits=LIMITS.scaled(1000)) as klaviyo:
        outcomes = import_batches(klaviyo, (batch(1, start=n) for n in range(100)), in_flight=8, patience=Patience(shortest=0.02))
        next(outcomes)
        began = time.monotonic()
        outcomes.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
        assert time.monotonic() - began < 60  # its jobs would keep it for hours
        assert no_threads_left()
    assert len(script.jobs) <= 8 + 1


def test_an_error_of_the_warehouse_ends_everything() -> None:
    """What the batches raise is raised as it is, and no thread stays."""

    def batches() -> Iterator[Batch]:
        yield batch(1)
        raise LookupError("the warehouse is gone")

    with serving(Importing()) as server, quick(server.url) as (klaviyo, _), pytest.raises(LookupError, match="warehouse"):
        list(import_batches(klaviyo, batches()))
    assert no_threads_left()


def test_klaviyo_goes_down_in_the_middle() -> None:
    """What is known by then comes first; then the run breaks as Unavailable, without waiting for the jobs that are open."""
    read: list[int] = []
    script = Importing(pages=lambda number, _: (read.append(number) or [], None))

    def failing(asked: Asked) -> Says:
        return Says(503) if asked.method == "POST" and len(script.jobs) >= 3 else script(asked)

    def batches() -> Iterator[Batch]:
        for n in range(50):
            while n == 3 and len(read) < 3:
                time.sleep(0.001)
            yield batch(5, start=5 * n)

    outcomes: list[Outcome] = []
    with serving(failing) as server, quick(server.url) as (klaviyo, _), pytest.raises(Unavailable, match="503"):
        outcomes.extend(import_batches(klaviyo, batches(), senders=1))
    assert counted(outcomes) == {"imported": 15}
    assert no_threads_left()


def test_a_revoked_key_ends_the_run() -> None:
    """A 401 while jobs are open is raised as Refused."""
    script = Importing()
    refused = Says(401, errors((None, "Incorrect authentication credentials.")))
    with pytest.raises(Refused, match="401"):
        run(lambda asked: script(asked) if asked.method == "POST" else refused, batch(3))
    assert no_threads_left()
