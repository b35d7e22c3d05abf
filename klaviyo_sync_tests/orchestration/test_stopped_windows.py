"""Windows that stopped themselves: what the run says and stores, what ticks ask for, what stays visible."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
from orchestration_bench import KEY, NOW, Bench, Imports

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.stopping import Changes, Reason, Stop
from klaviyo_sync.orchestration.partitions import partitions, window_of
from klaviyo_sync.orchestration.schedules import asked_for
from klaviyo_sync.orchestration.stops import results_before, stopped_windows

TICK = datetime(2024, 3, 4, 6, 5, tzinfo=UTC)
LEAVING = "388 of 390 rows newly unsubscribe for email_marketing, and stop_above.unsubscribes is 50%"
REJECTED = "300 of 390 rows are rejected, and stop_above.rejected is 50%"


def hour(number: int) -> str:
    """The key of one of the day's hours."""
    return f"2024-03-04-{number:02}:00"


def over_unsubscribes(number: int) -> Stop:
    """An hour in which too many opted out."""
    return Stop((Reason("unsubscribes", LEAVING),), 390, 388, datetime(2024, 3, 4, number + 1, tzinfo=UTC))


def over_rejected(number: int) -> Stop:
    """An hour of which too much is rejected; its opt-outs went out."""
    sent = ConsentCounts(stated=30, sent=30, unsubscribed=30)
    since = datetime(2024, 3, 4, number + 1, tzinfo=UTC)
    return Stop((Reason("rejected", REJECTED),), 390, 0, since, {"email_marketing": sent})


def test_the_others_are_imported(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """The good windows of a run are materialized and checked; the run fails once and says why, what was held back, and what to do."""
    imports.stops = {hour(1): over_unsubscribes(1), hour(3): over_rejected(3)}
    bench = bench_of()
    run = bench.run(hour(0), hour(3))
    assert (run.success, len(imports.asked), bench.imported()) == (False, 1, {hour(0), hour(2)})
    assert set(bench.checks("accounting")) == {hour(0), hour(2)}
    for part in (
        f"Sync loyalty, 2 windows from {hour(1)} to {hour(3)}: HaltedError: they stopped themselves: ",
        f"{hour(1)}: {LEAVING} (nothing was sent, 388 opt-outs waiting for 4 hours, since 2024-03-04 02:00 UTC); ",
        f"{hour(3)}: {REJECTED} (everything but opt-outs was held back, 30 opt-outs sent all the same).",
        "The other windows of this run went on.",
        "let_through: true",
        "klaviyo-sync preview",
        "raise stop_above",
        "one by one and after all others",
    ):
        assert part in bench.failure(run)


def test_a_run_of_nothing_else(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A run whose only window stopped itself fails without a retry, and the window is remembered."""
    imports.stops = {hour(1): over_unsubscribes(1)}
    bench = bench_of()
    run = bench.run(hour(1))
    assert (run.success, len(imports.asked), bench.imported()) == (False, 1, set())
    assert f"Sync loyalty, window {hour(1)}: HaltedError: it stopped itself: {LEAVING}" in bench.failure(run)
    [stopped] = stopped_windows(bench.instance, bench.sync)
    assert (stopped.window, stopped.waiting, stopped.text) == (hour(1), 388, LEAVING)


def test_one_that_stopped_beside_one_that_is_not_proven(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """The failure says both."""
    imports.stops = {hour(1): over_unsubscribes(1)}
    imports.results = {hour(2): Result(read=10, imported=7, unknown=3)}
    bench = bench_of()
    run = bench.run(hour(0), hour(2))
    assert bench.imported() == {hour(0)}
    assert "did not say whether" in bench.failure(run)
    assert "it stopped itself" in bench.failure(run)


def test_ticks_ask_for_it_alone_and_last(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Neighbours go together without it; it comes after everything else, with the lowest priority, in a run of its own."""
    imports.stops = {hour(1): over_unsubscribes(1), hour(2): over_rejected(2)}
    bench = bench_of()
    assert bench.tick(TICK) == [(hour(0), hour(5))]
    bench.run(hour(1), hour(2))
    assert bench.tick(TICK) == [hour(0), (hour(3), hour(5)), hour(1), hour(2)]
    requests = asked_for(bench.sync, TICK, bench.instance)
    assert isinstance(requests, list)
    assert [request.tags["dagster/priority"] for request in requests] == ["0", "-1", "-2", "-3"]
    bench.run(hour(0))
    bench.run(hour(3), hour(5))
    assert bench.tick(TICK) == [hour(1), hour(2)]  # by each tick,
    bench.run(hour(2))
    assert bench.tick(TICK) == [hour(1), hour(2)]  # in vain,
    imports.stops.pop(hour(1))
    bench.run(hour(1))
    assert bench.tick(TICK) == [hour(2)]  # until its data are mended
    assert bench.run(hour(2), let_through=True).success  # or somebody lets it through
    assert bench.tick(TICK) == []


def test_ticks_do_not_forget_it(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window that stopped itself is tried also when it ended before `catch_up`, and so is one that was imported before."""
    bench = bench_of(catch_up="2h")
    bench.run(hour(0), hour(5))
    imports.stops = {hour(0): over_unsubscribes(0), hour(5): over_unsubscribes(5)}
    bench.run(hour(0))
    bench.run(hour(5))
    assert bench.tick(TICK) == [hour(0), hour(5)]
    assert [stop.window for stop in stopped_windows(bench.instance, bench.sync)] == [hour(0), hour(5)]


def test_many_of_them(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """At most ten are tried by one tick, those first that were tried longest ago."""
    imports.stops = {hour(number): over_rejected(number) for number in range(12)}
    bench = bench_of(now=NOW + timedelta(days=1))
    for number in (11, *range(11)):
        bench.run(hour(number))
    asked = bench.tick(TICK + timedelta(hours=6))
    assert asked == [*map(hour, range(9)), hour(11)]


def test_it_stays_visible(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """`completeness` is red and names it, with the reason and the number and age of the opt-outs that wait, until it is imported."""
    imports.stops = {hour(1): over_unsubscribes(1)}
    bench = bench_of()
    bench.run(hour(0), hour(5))
    bench.run(hour(5))
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    words = bench.evaluations("completeness")[-1].description or ""
    assert f"1 window stopped itself: {hour(1)} ({LEAVING}; 388 opt-outs waiting for 4 hours, since 2024-03-04 02:00 UTC)" in words
    metadata = bench.check_metadata("completeness")
    assert metadata["windows_stopped"].value == 1
    assert metadata["stopped_windows"].value == [[hour(1), LEAVING, 388]]
    assert (metadata["opt_outs_waiting"].value, metadata["opt_outs_waiting_since"].value) == (388, imports.stops[hour(1)].since.timestamp())
    bench.run(hour(1), let_through=True)
    assert bench.checks("completeness") == {None: (True, "WARN")}
    assert "windows_stopped" not in bench.check_metadata("completeness")


def test_who_let_it_through(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window that was let through says who asked, when, in which run, and over which limits; its neighbours say nothing."""
    imports.stops = {hour(1): over_unsubscribes(1)}
    bench = bench_of()
    run = bench.run(hour(0), hour(1), let_through=True)
    assert run.success
    records = bench.instance.fetch_materializations(KEY, limit=5).records
    held = {record.partition_key: record.asset_materialization.metadata for record in records if record.asset_materialization}
    assert held[hour(1)]["let_through"].value == {
        "asked_by": "run config",
        "run": run.run_id,
        "at": "2024-03-04T06:10:00+00:00",
        "over": [LEAVING],
    }
    assert "let_through" not in held[hour(0)]


def test_small_windows_are_given_the_results_before_them(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A run is given what the windows just before it changed, newest first, without what was let through, and at most 30 of them."""
    bench = bench_of(now=NOW + timedelta(days=3))
    for number in range(3):
        imports.changes = Changes(number, 1, {"email_marketing": 2}, {"email_marketing": 3}, 4, 5)
        bench.run(hour(number))
    imports.stops = {hour(3): over_unsubscribes(3)}
    bench.run(hour(3), let_through=True)
    bench.run(hour(4))
    assert [changes.rows for changes in imports.before[-1]] == [2, 1, 0]
    assert imports.before[-1][0] == Changes(2, 1, {"email_marketing": 2}, {"email_marketing": 3}, 4, 5)
    bench.run(hour(5), "2024-03-05-23:00")
    window = window_of(partitions(bench.sync), "2024-03-06-00:00")
    assert len(results_before(bench.instance, bench.sync, window)) == 30


def test_a_stop_under_another_frequency(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """After a change of the frequency the windows that hold its rows are asked for as they are now."""
    imports.stops = {hour(1): over_unsubscribes(1)}
    bench = bench_of()
    bench.run(hour(0), hour(5))
    daily = bench.sync.model_copy(update={"frequency": "daily"})
    assert stopped_windows(bench.instance, daily) == []
    requests = asked_for(daily, TICK + timedelta(days=1), bench.instance)
    assert isinstance(requests, list)
    assert [request.partition_key for request in requests] == ["2024-03-04"]


def test_other_observations_are_none_of_ours(bench_of: Callable[..., Bench]) -> None:
    """Observations that somebody else reports on the asset stop nothing."""
    bench = bench_of()
    bench.instance.report_runless_asset_event(dg.AssetObservation(KEY, partition=hour(1), metadata={"rows": 5}))
    assert stopped_windows(bench.instance, bench.sync) == []
