"""Windows that stop themselves: each by itself, before any of its rows is sent, and what becomes of their opt-outs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stop_place import StopPlace, key

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.sandbox import Sandbox, serve

THREE_DAYS = [[1, 2, 3]], [[1], [2], [3]], [[1, 2], [3]], [[1], [2, 3]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[StopPlace]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server:
        yield StopPlace(tmp_path, box, server.url)


def test_a_stopped_window_and_its_neighbours(place: StopPlace) -> None:
    """A window of which 60 % opt out stays behind whole; neighbours with fewer opt-outs neither dilute it nor wait for it."""
    place.day(1, 1_200, leaving=10)
    place.day(2, 1_200, leaving=720)
    place.day(3, 1_200, leaving=10)
    report, stopped = place.run(1, 2, 3)
    assert report is not None
    assert [(name, result.imported) for name, result in report.results.items()] == [(key(1), 1_200), (key(3), 1_200)]
    assert {name: (stop.text, stop.waiting, stop.sent) for name, stop in stopped.items()} == {
        key(2): ("720 of 1,200 rows newly unsubscribe for email_marketing, and stop_above.unsubscribes is 50%", 720, 0)
    }
    assert stopped[key(2)].since == datetime(2026, 1, 3, tzinfo=UTC)
    assert [place.imported(day) for day in (1, 2, 3)] == [1_200, 0, 1_200]
    assert [place.unsubscribed(day, 12) for day in (1, 2, 3)] == [10, 0, 10]


@pytest.mark.parametrize("runs", THREE_DAYS)
def test_the_grouping_into_runs_decides_nothing(place: StopPlace, runs: list[list[int]]) -> None:
    """Whatever windows a run takes together, the same ones stop: also the small one that only the results before it make absurd."""
    place.day(1, 100, leaving=49)  # green
    place.day(2, 300, leaving=290)  # stops by itself
    place.day(3, 3, leaving=3)  # 52 of 103 together with the first day
    before: list[Changes] = []
    stopped: set[str] = set()
    for days in runs:
        report, stops = place.run(*days, before=before)
        stopped |= set(stops)
        before[:0] = reversed(list(report.changes.values())) if report else []
    assert stopped == {key(2), key(3)}
    assert [place.imported(day) for day in (1, 2, 3)] == [100, 0, 0]


def test_nothing_is_sent_before_a_window_is_judged(place: StopPlace) -> None:
    """The absurd part of a large window may come last: none of its first rows went out by then, however small the requests."""
    place.day(1, 20_000)
    place.fill(
        "SELECT '1-late-' || n || '@example.com', 'Dr', 'Unsubscribed', TIMESTAMPTZ '2026-01-01 20:00Z' FROM range(20_100) AS _(n)",
    )
    _, stopped = place.run(1, most=500)
    assert stopped[key(1)].waiting == 20_100
    assert len(place.box.profiles) == 0


@pytest.mark.parametrize(
    ("day", "changes", "sent", "waiting"),
    [
        ({}, {"rows": 99}, 30, 0),
        ({"nobody": 60}, {}, 30, 0),
        ({"nobody": 5}, {"rejected": 4}, 30, 0),
        ({"joining": 40}, {"subscribes": "30%"}, 30, 0),
        ({"leaving": 60}, {}, 0, 60),
        ({"leaving": 60}, {"unsubscribes": 59}, 0, 60),
        ({"leaving": 60}, {"rows": 99}, 0, 60),
        ({"leaving": 40, "nobody": 60}, {"unsubscribes": "30%"}, 0, 40),
        ({"title": None}, {}, 30, 0),  # clears
    ],
    ids=["rows", "rejected", "rejected number", "subscribes", "unsubscribes", "number", "both", "all", "clears"],
)
def test_opt_outs_of_a_window_that_stopped(place: StopPlace, day: dict[str, Any], changes: dict[str, Any], sent: int, waiting: int) -> None:
    """Only a stop over `unsubscribes` holds opt-outs back; any other holds back everything else, subscribes among it."""
    place.hold(1, 100)
    place.day(1, 100, **{"leaving": 30, **day})
    report, stopped = place.run(1, stop_above=changes)
    stop = stopped[key(1)]
    assert (report, stop.waiting) == (None, waiting)
    assert place.unsubscribed(1, 100) == sent
    assert sum(place.status(1, person) == "SUBSCRIBED" for person in range(100)) == 0
    if "title" in day:  # profiles are imported before it is known what they would lose
        assert all("title" in place.box.profiles.attributes(number) for number in range(100))
    else:
        assert place.imported(1) == 0
        assert stop.opt_outs == ({"email_marketing": ConsentCounts(stated=sent, sent=sent, unsubscribed=sent)} if sent else {})


def test_only_what_is_new_to_klaviyo_counts(place: StopPlace) -> None:
    """People who are unsubscribed or suppressed in Klaviyo do not count as opt-outs, however often the warehouse states it."""
    place.day(1, 1_200, leaving=700)
    place.day(2, 390, leaving=388)
    for person in range(60):
        place.box.opt_out(f"1-{person}@example.com", "email_marketing")
    for person in range(60, 100):
        place.box.suppress(f"1-{person}@example.com", "USER_SUPPRESSED")
    for person in range(300):
        place.box.opt_out(f"2-{person}@example.com", "email_marketing")
    report, stopped = place.run(1, 2)
    assert (stopped, report and len(report.results)) == ({}, 2)
    assert report
    assert report.changes[key(1)].unsubscribes == {"email_marketing": 600}
    assert report.changes[key(2)].unsubscribes == {"email_marketing": 88}
    assert place.unsubscribed(2, 388) == 388


def test_klaviyo_is_asked_only_where_it_decides(place: StopPlace) -> None:
    """Judging an ordinary window costs no request; where it does, nobody more is asked about once the answer is certain."""
    place.day(1, 1_200, leaving=100)
    place.run(1)
    assert place.box.requests["get_profiles", 200] == 2  # before the opt-outs are sent, and read back
    place.box.requests.clear()
    place.day(2, 60_000, leaving=55_000)
    _, stopped = place.run(2)
    assert stopped[key(2)].waiting == 55_000
    assert 300 <= place.box.requests["get_profiles", 200] < 550


def test_a_window_that_stopped_is_tried_again(place: StopPlace) -> None:
    """Each try sends its opt-outs once: who subscribes in Klaviyo afterwards is not unsubscribed again by the same row."""
    place.day(1, 100, leaving=30, nobody=60)
    place.run(1)
    place.box.opt_in("1-0@example.com", "email_marketing")
    _, stopped = place.run(1)
    assert stopped[key(1)].opt_outs == {"email_marketing": ConsentCounts(stated=30, already=29, skipped=1)}
    assert (place.status(1, 0), place.unsubscribed(1, 100)) == ("SUBSCRIBED", 29)


def test_let_through(place: StopPlace) -> None:
    """What is let through goes out whole, and the report has the limits that it would have stopped over."""
    place.day(1, 100, leaving=60, nobody=5)
    place.day(2, 100)
    report, stopped = place.run(1, 2, let_through=True, stop_above={"rejected": 4})
    assert report
    assert (stopped, place.imported(1), place.unsubscribed(1, 60)) == ({}, 95, 60)
    assert {name: [reason.limit for reason in reasons] for name, reasons in report.exceeded.items()} == {
        key(1): ["rejected", "unsubscribes"]
    }


def test_what_was_let_through_is_not_held_against_the_next(place: StopPlace) -> None:
    """A window after one that was let through is not judged together with it."""
    place.day(1, 100, leaving=95)
    place.day(2, 5, leaving=2)
    report, stopped = place.run(1, 2, let_through=True)
    assert (report and [*report.exceeded], stopped) == ([key(1)], {})


@pytest.mark.parametrize(("cleared", "stopped"), [((19, 60), [key(2)]), ((19, 3), []), ((60, 60), [key(1), key(2)])])
def test_clears_by_window(place: StopPlace, cleared: Sequence[int], stopped: list[str]) -> None:
    """A window whose NULLs would wipe a field keeps its fields in Klaviyo, and those of its neighbours are cleared."""
    for day, count in enumerate(cleared, 1):
        place.hold(day, 100)
        place.day(day, count, title=None)
        place.fill(
            f"SELECT '{day}-more-' || n || '@example.com', 'Dr', NULL, TIMESTAMPTZ '{key(day)} 11:00Z' FROM range({100 - count}) AS _(n)"
        )
    report, stops = place.run(1, 2)
    assert list(stops) == stopped
    done = report.results if report else {}
    assert [result.clears.cleared for result in done.values()] == [count for day, count in enumerate(cleared, 1) if key(day) not in stopped]


def test_the_rejects_file_of_a_window_that_stopped(place: StopPlace) -> None:
    """A window that stopped over rejected rows lists them, for whoever mends the data."""
    place.day(1, 100, nobody=60)
    place.run(1)
    assert len(place.rejected(key(1))) == 60
