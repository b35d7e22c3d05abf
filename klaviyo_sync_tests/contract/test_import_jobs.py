"""Import jobs: every row that is handed in comes back once, with what became of it, whatever Klaviyo does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from scripted_klaviyo import KEY, Asked, Importing, Says, Scripted, bad_rows, batch, complete, errors, import_error, quick, serving

from klaviyo_sync.core.errors import Refused, Unavailable
from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import FATES, Outcome, Reason
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import Patience, prepare
from klaviyo_sync.klaviyo.limits import LIMITS

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def fates(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """The fate of every row by its key; a row that comes back twice, or a loss without a reason, is an error."""
    found: dict[str, str] = {}
    for outcome in outcomes:
        for row, key in enumerate(outcome.rows["key"].to_pylist()):
            assert key not in found
            found[key] = FATES[outcome.fates[row]]
            assert (row in outcome.reasons) == (found[key] != "imported")
    return found


def counted(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many rows met each fate."""
    return dict(Counter(fates(outcomes).values()))


def reasons(outcomes: Iterable[Outcome]) -> set[Reason]:
    """The different reasons."""
    return {reason for outcome in outcomes for reason in outcome.reasons.values()}


def run(script: Any, *batches: Batch, **options: Any) -> tuple[list[Outcome], Scripted]:
    """The outcomes of importing these batches by a script, and what the server was asked."""
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        return list(import_batches(klaviyo, iter(batches), **options)), server


def no_threads_left() -> bool:
    """Whether all threads of imports have ended."""
    return not [thread for thread in threading.enumerate() if thread.name.startswith("klaviyo")]


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


# The request is refused.


def shop(*bad: str, most: int | None = None, named: bool = True) -> Importing:
    """A Klaviyo that refuses these e-mail addresses, naming at most so many rows in one answer, or none."""

    def judge(profiles: list[dict[str, Any]]) -> Says | None:
        found = [n for n, profile in enumerate(profiles) if profile["attributes"]["email"] in bad]
        if not found:
            return None
        return Says(400, bad_rows(*found[:most]) if named else errors(("/data", "Something is wrong.")))

    return Importing(judge=judge)


def people(numbers: Iterable[int]) -> list[str]:
    """The addresses of the people of these numbers."""
    return [f"person{n}@shop.example" for n in numbers]


def test_one_bad_row_in_ten_thousand() -> None:
    """One refused row stays behind with its reason; the other 9,999 are imported by one more request."""
    outcomes, server = run(shop(*people([7_311])), batch(10_000))
    assert counted(outcomes) == {"imported": 9_999, "refused": 1}
    assert fates(outcomes)["row 7311"] == "refused"
    assert reasons(outcomes) == {Reason("refused", "email", "Invalid email address")}
    assert len(server.bodies()) == sum(outcome.requests for outcome in outcomes) == 2


def test_only_the_first_bad_rows_are_named() -> None:
    """When an answer names three rows at most, sending goes on until all bad rows are out, and only those."""
    bad = {n for n in range(400) if n % 7 == 0}
    outcomes, server = run(shop(*people(bad), most=3), batch(400))
    assert {int(key.split()[1]) for key, fate in fates(outcomes).items() if fate == "refused"} == bad
    assert len(server.bodies()) <= len(bad) // 3 + 20


@pytest.mark.parametrize("most", [1, None])
def test_every_row_is_bad(most: int | None) -> None:
    """When every row is refused, every row comes back as refused and no job exists."""
    script = shop(*people(range(40)), most=most)
    outcomes, _ = run(script, batch(40))
    assert counted(outcomes) == {"refused": 40}
    assert script.jobs == []


def test_halving_finds_rows_that_are_not_named() -> None:
    """A refusal that names no row halves the batch until the bad rows stand alone."""
    outcomes, server = run(shop(*people([3, 777]), named=False), batch(1_000))
    assert sorted(key for key, fate in fates(outcomes).items() if fate == "refused") == ["row 3", "row 777"]
    assert reasons(outcomes) == {Reason("refused", None, "Something is wrong.")}
    assert len(server.bodies()) < 45


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad request</html>",
        errors(("/data/attributes/profiles/data/9999/attributes/email", "No.")),
        errors((None, "No.")),
        errors(("/data/attributes/profiles/data", "No.")),
    ],
)
def test_refusals_that_point_nowhere_end(body: object) -> None:
    """Pages, pointers past the end and pointers to nothing name no row: the rows are refused one by one."""
    outcomes, _ = run(Importing(judge=lambda _: Says(400, body)), batch(9))
    assert counted(outcomes) == {"refused": 9}


def test_a_request_that_is_refused_whatever_it_holds() -> None:
    """When nothing is accepted and no cause is named, the run ends instead of asking twice for every row."""
    with serving(Importing(judge=lambda _: Says(400, b"{}"))) as server, quick(server.url) as (klaviyo, _):
        with pytest.raises(Refused, match="one by one"):
            list(import_batches(klaviyo, [batch(10_000)]))
        assert len(server.bodies()) < 400


def test_too_large_a_body_is_halved() -> None:
    """413 halves; a profile that is too large alone is refused."""
    script = Importing(judge=lambda profiles: Says(413, b"") if len(profiles) > 30 or "title" in profiles[0]["attributes"] else None)
    outcomes, _ = run(script, batch(100), batch(1, start=100, pad=10))
    assert counted(outcomes) == {"imported": 100, "refused": 1}
    assert [len(job) for job in script.jobs] == [25] * 4


def test_conflicts_are_refusals_of_rows() -> None:
    """A 409 that names a row takes that row out, as a 400 does."""
    judge = shop(*people([2])).judge
    script = Importing(judge=lambda profiles: Says(409, said.body) if (said := judge(profiles)) else None)
    assert counted(run(script, batch(5))[0]) == {"imported": 4, "refused": 1}


@pytest.mark.parametrize(
    "says", [Says(400, errors(("/data/relationships/lists/data/0/id", "List does not exist."))), Says(404, errors(("/data/", "No list.")))]
)
def test_a_list_that_is_gone_ends_the_run(says: Says) -> None:
    """A list that Klaviyo does not know is nobody's row: the error names the list."""
    with serving(Importing(judge=lambda _: says)) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused, match="list Y6nRLr"):
        list(import_batches(klaviyo, [batch(10, list_id="Y6nRLr")]))
    assert no_threads_left()


def test_personal_data_stays_in_reasons() -> None:
    """Klaviyo's words go whole into the reason of the row, and without the address into the error of the run."""
    said = errors(("/data/relationships/lists/data/0/id", "ada@shop.example may not join."))
    with serving(Importing(judge=lambda _: Says(400, said))) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused) as raised:
        list(import_batches(klaviyo, [batch(3, list_id="Y6nRLr")]))
    assert "ada@" not in str(raised.value)
    row = errors(("/data/attributes/profiles/data/0/attributes/email", "ada@shop.example is no address."))
    outcomes, _ = run(Importing(judge=lambda profiles: Says(400, row) if len(profiles) == 3 else None), batch(3))
    assert reasons(outcomes) == {Reason("refused", "email", "ada@shop.example is no address.")}


# The answer is lost.


@pytest.mark.parametrize(
    "says", [Says(how="reset"), Says(202, b"\x00{]"), Says(202, {"data": {"id": "j"}}, how="truncated"), Says(504, b"<html>")]
)
def test_a_lost_answer_is_asked_for_again(says: Says) -> None:
    """Whether or not Klaviyo took the request, sending it again is safe, and each row counts once."""
    script = Importing()
    first = iter([says])

    def lossy(asked: Asked) -> Says:
        answer = script(asked)
        return next(first, answer) if asked.method == "POST" else answer

    outcomes, server = run(lossy, batch(20))
    assert counted(outcomes) == {"imported": 20}
    assert sum(outcome.requests for outcome in outcomes) == len(server.bodies()) == 2


# The job fails rows.


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
    script.pages = lambda _, __: ([import_error("/data/attributes/profiles/data/1/attributes/email")], None)
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


def test_an_accepted_batch_lets_its_profiles_go() -> None:
    """While jobs run, only their rows are kept: 32 open jobs must not hold 32 bodies."""
    released = threading.Event()
    script = Importing(look=lambda _, __, size: complete(size) if released.is_set() else {"status": "processing"})
    held: list[int] = []

    def batches() -> Iterator[Batch]:
        for n in range(12):
            made = batch(4, start=4 * n, pad=100_000)
            held.append(pa_bytes() - before)
            yield made
            del made
        time.sleep(0.2)
        held.append(pa_bytes() - before)
        released.set()

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        before = pa_bytes()
        outcomes = list(import_batches(klaviyo, batches(), senders=2, patience=Patience(job=1e9)))
    assert counted(outcomes) == {"imported": 48}
    assert held[-1] < 100_000
    assert max(held) < 6 * 400_000


def pa_bytes() -> int:
    """Bytes that Arrow holds."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.total_allocated_bytes()


def test_closing_early_ends_everything() -> None:
    """A caller who stops listening leaves no thread behind, also while threads wait for Klaviyo."""
    script = Importing(look=lambda number, _, size: complete(size) if number == 0 else {"status": "processing"})
    with serving(script) as server, Klaviyo(KEY, server.url, limits=LIMITS.scaled(1000)) as klaviyo:
        outcomes = import_batches(klaviyo, (batch(1, start=n) for n in range(100)), in_flight=8, patience=Patience(shortest=0.02))
        next(outcomes)
        began = time.monotonic()
        outcomes.close()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
        assert time.monotonic() - began < 2
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


# Before the first batch.


def prepared(*open_jobs: dict[str, Any], ends_after: int = 10**9) -> Any:
    """A script of an account with these open jobs, gone after so many looks."""
    looks = [0]

    def script(asked: Asked) -> Says:
        if asked.path == "/api/accounts":
            return Says(200, {"data": [{"type": "account", "id": "AbC123", "attributes": {}}]})
        if asked.path.startswith("/api/lists/"):
            return Says(200, {"data": {"type": "list", "id": "L", "attributes": {}}}) if asked.path.endswith("Y6nRLr") else Says(404)
        assert asked.query["filter"] == 'any(status,["queued","processing"])'
        looks[0] += 1
        found = open_jobs if looks[0] <= ends_after else ()
        return Says(200, {"data": [{"type": "profile-bulk-import-job", "id": "other", "attributes": job} for job in found]})

    return script


OPEN = {"status": "processing", "created_at": (NOW - timedelta(minutes=3)).isoformat()}


def test_a_run_may_start() -> None:
    """A good key, lists that exist and no other import: nothing stands in the way."""
    with serving(prepared()) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, ["Y6nRLr", "Y6nRLr"], now=lambda: NOW)
        assert passing.slept == 0
    assert [asked.path for asked in server.asked] == ["/api/accounts", "/api/lists/Y6nRLr", "/api/profile-bulk-import-jobs"]


def test_a_list_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    """The error names the list."""
    with serving(prepared()) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused, match="'NOPE01'"):
        prepare(klaviyo, ["NOPE01"], now=lambda: NOW)


def test_other_imports_are_waited_for() -> None:
    """An import that is still running is waited for until it ends."""
    with serving(prepared(OPEN, ends_after=4)) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, now=lambda: NOW)
        assert passing.slept > 1


@pytest.mark.parametrize("job", [OPEN, {"status": "queued"}, {"status": "queued", "created_at": "soon"}])
def test_other_imports_that_do_not_end_are_unavailable(job: dict[str, Any]) -> None:
    """Waiting has an end; the error says what stands in the way."""
    with serving(prepared(job)) as server, quick(server.url) as (klaviyo, passing), pytest.raises(Unavailable, match="1 other import job"):
        prepare(klaviyo, now=lambda: NOW)
    assert passing.slept == pytest.approx(600, abs=31)


def test_dead_imports_do_not_stop_everything() -> None:
    """A job that has been open for hours is dead, and is not waited for until Klaviyo forgets it after seven days."""
    dead = {"status": "processing", "created_at": (NOW - timedelta(hours=7)).isoformat().replace("+00:00", "Z")}
    with serving(prepared(dead)) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, now=lambda: NOW)
        assert passing.slept == 0
