"""A window is what it spans: after any change of the configuration ticks and checks ask for what was not imported, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from orchestration_bench import KEY, Bench, Imports

from klaviyo_sync.core.coverage import BEGINNING, Span
from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.ledger import Destination
from klaviyo_sync.core.result import Result
from klaviyo_sync.klaviyo.accounts import Account
from klaviyo_sync.orchestration import evaluations
from klaviyo_sync.orchestration.done import checkpoint, read_ledger
from klaviyo_sync.orchestration.partitions import partitions, window_of
from klaviyo_sync.orchestration.schedules import asked_for

DAILY: dict[str, Any] = {"frequency": "daily", "start": "2024-03-04", "catch_up": "60d"}  # a Monday
MEMBERS = "local/analytics.loyalty_members"


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def asked(bench: Bench, tick: datetime) -> list[str]:
    """The windows that a tick asks for, one by one; the check must miss the same ones, all of which lie inside `catch_up`."""
    requests = asked_for(bench.sync, tick, bench.instance)
    keys = list(partitions(bench.sync).get_partition_keys(current_time=tick))
    wanted: list[str] = []
    for request in requests if isinstance(requests, list) else ():
        first, last = (
            (request.partition_key,) * 2
            if request.partition_key
            else (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        )
        wanted += keys[keys.index(first or "") : keys.index(last or "") + 1]
    assert list(evaluations.overview(bench.sync, bench.instance, tick, None).missing) == wanted
    return wanted


def test_days_to_weeks(bench_of: Callable[..., Bench]) -> None:
    """Nine days were imported: the first week is done, and the second, whose key was a day's, is asked for."""
    bench_of(**DAILY).run("2024-03-04", "2024-03-12")
    bench = bench_of(**{**DAILY, "frequency": "weekly"})
    assert asked(bench, at("2024-03-18 00:05")) == ["2024-03-11"]
    assert asked(bench, at("2024-03-11 00:05")) == []


def test_days_to_months(bench_of: Callable[..., Bench]) -> None:
    """A month of which twelve days were imported is not done, although its key was imported as a day."""
    bench_of(**{**DAILY, "start": "2024-03-01"}).run("2024-03-01", "2024-03-12")
    bench = bench_of(**{**DAILY, "start": "2024-03-01", "frequency": "monthly"})
    assert asked(bench, at("2024-04-01 00:05")) == ["2024-03-01"]


def test_weeks_to_days(bench_of: Callable[..., Bench]) -> None:
    """Every day of a week that was imported is done, though Dagster shows none of them as materialized."""
    bench_of(**{**DAILY, "frequency": "weekly"}).run("2024-03-04")
    bench = bench_of(**DAILY)
    assert asked(bench, at("2024-03-13 00:05")) == ["2024-03-11", "2024-03-12"]


def test_quarters_of_an_hour_to_hours(bench_of: Callable[..., Bench]) -> None:
    """An hour of which one quarter was imported is asked for again, whole hours are not."""
    bench_of(frequency="every_15_minutes").run("2024-03-04-00:00", "2024-03-04-03:00")
    assert asked(bench_of(), at("2024-03-04 05:05")) == ["2024-03-04-03:00", "2024-03-04-04:00"]


def test_another_time_zone(bench_of: Callable[..., Bench]) -> None:
    """Days of another zone have the same keys and other hours: the day that reaches beyond what was imported is asked for."""
    bench_of(**DAILY).run("2024-03-04", "2024-03-12")
    bench = bench_of(**DAILY, modified_at={"column": "updated_at", "timezone": "America/Los_Angeles"})
    assert asked(bench, at("2024-03-14 07:05")) == ["2024-03-12", "2024-03-13"]


def test_rows_that_move_with_the_time_zone(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Where modified_at has no zone of its own, a new one moves the rows: hours that nobody read under the old one are asked for."""
    imports.zone = "UTC"
    bench_of().run("2024-03-04-00:00", "2024-03-04-04:00")
    kolkata = bench_of(modified_at={"column": "updated_at", "timezone": "Asia/Kolkata"})
    hours = [f"2024-03-04-{hour:02}:00" for hour in range(5, 10)]
    assert asked(kolkata, at("2024-03-04 05:05")) == hours
    imports.zone = "Asia/Kolkata"
    kolkata.run(hours[0], hours[2])
    assert asked(kolkata, at("2024-03-04 05:05")) == hours[3:]
    kolkata.run(hours[3], hours[4])
    assert asked(kolkata, at("2024-03-04 05:05")) == []
    assert asked(bench_of(), at("2024-03-04 10:05")) == []
    assert asked(bench_of(), at("2024-03-04 11:05")) == ["2024-03-04-10:00"]


def test_a_later_start_takes_the_history_along(bench_of: Callable[..., Bench]) -> None:
    """The first window reaches back to the beginning: with a hole before it, or without any history, it is not done."""
    bench_of(**DAILY).run("2024-03-06", "2024-03-08")
    later = bench_of(**{**DAILY, "start": "2024-03-06"})
    assert asked(later, at("2024-03-09 00:05")) == ["2024-03-06"]
    later.run("2024-03-06")
    assert asked(later, at("2024-03-09 00:05")) == []
    assert asked(bench_of(**{**DAILY, "start": "2024-03-08"}), at("2024-03-09 00:05")) == []


def test_an_earlier_start(bench_of: Callable[..., Bench]) -> None:
    """What went along as history is done; without history the earlier windows are asked for."""
    bench_of(**DAILY).run("2024-03-04", "2024-03-05")
    assert asked(bench_of(**{**DAILY, "start": "2024-03-01"}), at("2024-03-06 00:05")) == []


def test_an_earlier_start_without_history(bench_of: Callable[..., Bench]) -> None:
    """Where rows older than the first window were left out, the windows before it are missing."""
    bench_of(**DAILY, history="skip").run("2024-03-04", "2024-03-05")
    earlier = {**DAILY, "start": "2024-03-02"}
    assert asked(bench_of(**earlier, history="skip"), at("2024-03-06 00:05")) == ["2024-03-02", "2024-03-03"]
    assert asked(bench_of(**DAILY), at("2024-03-06 00:05")) == ["2024-03-04"]


@pytest.mark.parametrize(
    "change",
    [{"dataset": "analytics.other"}, {"dataset": None, "query": "SELECT * FROM analytics.loyalty_members"}],
    ids=["another table", "a query"],
)
def test_another_dataset(bench_of: Callable[..., Bench], change: dict[str, Any]) -> None:
    """What was read from another dataset is not done in this one."""
    bench_of(**DAILY).run("2024-03-04", "2024-03-05")
    assert asked(bench_of(**DAILY, **change), at("2024-03-06 00:05")) == ["2024-03-04", "2024-03-05"]


def test_the_text_of_a_query_and_the_mapping_decide_nothing(bench_of: Callable[..., Bench]) -> None:
    """They are stored and shown; a change of either makes no window missing."""
    query = {**DAILY, "dataset": None, "query": "SELECT * FROM analytics.loyalty_members"}
    bench = bench_of(**query)
    bench.run("2024-03-04", "2024-03-05")
    other = bench_of(**{**query, "query": "SELECT * FROM analytics.loyalty_members WHERE balance > 0"}, properties={"Points": "balance"})
    assert asked(other, at("2024-03-06 00:05")) == []
    [record] = bench.instance.fetch_materializations(KEY, limit=1).records
    assert record.asset_materialization
    stored = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert (stored["query"], stored["source"], stored["history_included"]) == (query["query"], "local/(query)", False)
    assert (stored["klaviyo_account"], stored["klaviyo_account_name"], stored["klaviyo_sandbox"]) == ("AbC123", "Shop", False)
    bench.run("2024-03-05")
    other.run("2024-03-05")
    hashes = [
        record.asset_materialization.metadata["mapping_hash"].value
        for record in bench.instance.fetch_materializations(KEY, limit=3).records
        if record.asset_materialization
    ]
    assert (hashes[0] != hashes[1], hashes[1] == hashes[2]) == (True, True)


def test_another_account(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Once a run has imported into another account, everything that went into the old one is missing; back again, it is not."""
    bench = bench_of(**DAILY)
    bench.run("2024-03-04", "2024-03-05")
    imports.account = Account("XyZ789", "Other shop", "UTC", test_account=False)
    bench.run("2024-03-06")
    assert asked(bench, at("2024-03-07 00:05")) == ["2024-03-04", "2024-03-05"]
    imports.account = Account("AbC123", "Shop", "UTC", test_account=False)
    bench.run("2024-03-06")
    assert asked(bench, at("2024-03-07 00:05")) == []


def test_the_account_that_the_configuration_names(bench_of: Callable[..., Bench]) -> None:
    """With `klaviyo.account` a tick knows the account before any run does; so it does when the address is the sandbox's."""
    bench = bench_of(**DAILY)
    bench.run("2024-03-04", "2024-03-05")
    tick = at("2024-03-06 00:05")
    for destination, done in [
        (Destination("AbC123", sandbox=False), True),
        (Destination("XyZ789", sandbox=False), False),
        (Destination(None, sandbox=True), False),
    ]:
        assert isinstance(asked_for(bench.sync, tick, bench.instance, destination), dg.SkipReason) == done
        assert (not evaluations.overview(bench.sync, bench.instance, tick, None, destination).missing) == done


def report(bench: Bench, *keys: str, **metadata: Any) -> None:
    """Materializations of these windows that no run of this version stored; with metadata, they say what they span."""
    for key in keys:
        window = window_of(partitions(bench.sync), key)
        span = {"window_start": dg.MetadataValue.timestamp(window.start), "window_end": dg.MetadataValue.timestamp(window.end)}
        event = dg.AssetMaterialization(KEY, partition=key, metadata={**span, **metadata} if metadata else {})
        bench.instance.report_runless_asset_event(event)


def test_an_upgrade_reloads_nothing(bench_of: Callable[..., Bench]) -> None:
    """Results of earlier versions, which say no more than their window, count by it, and the earliest with its history."""
    days = bench_of(**DAILY)
    report(days, *(f"2024-03-{day:02}" for day in range(4, 13)), issues=dg.MetadataValue.json([]), read=dg.MetadataValue.int(1))
    assert asked(days, at("2024-03-13 00:05")) == []
    weeks = bench_of(**{**DAILY, "frequency": "weekly"})
    assert asked(weeks, at("2024-03-18 00:05")) == ["2024-03-11"]
    weeks.run("2024-03-11")
    assert asked(weeks, at("2024-03-18 00:05")) == []
    assert asked(bench_of(**{**DAILY, "dataset": "analytics.other"}), at("2024-03-06 00:05")) == ["2024-03-04", "2024-03-05"]


def test_an_upgrade_hides_nothing_that_was_missing(bench_of: Callable[..., Bench]) -> None:
    """Where the schedule of an earlier version never reached the first windows, these are missing also after the upgrade."""
    bench = bench_of(**DAILY)
    report(bench, "2024-03-06", "2024-03-07", issues=dg.MetadataValue.json([]))
    assert asked(bench, at("2024-03-08 00:05")) == ["2024-03-04", "2024-03-05"]
    bench.run("2024-03-05")
    assert asked(bench, at("2024-03-08 00:05")) == ["2024-03-04"]


@pytest.mark.parametrize(("before", "after"), [("weekly", "daily"), ("monthly", "weekly"), ("daily", "monthly")])
def test_an_upgrade_and_a_change_of_frequency_at_once(bench_of: Callable[..., Bench], before: str, after: str) -> None:
    """The first window of the old frequency keeps its history, whatever the frequency is by now and whatever day `start` is."""
    settings = {**DAILY, "start": "2024-02-07"}
    old = bench_of(**{**settings, "frequency": before})
    first = partitions(old.sync).get_first_partition_key()
    assert first
    report(old, first, issues=dg.MetadataValue.json([]))
    spans = read_ledger(old.instance, bench_of(**{**settings, "frequency": after}).sync).ledger.coverage(MEMBERS, Destination()).spans
    assert spans == (Span(BEGINNING, window_of(partitions(old.sync), first).end.timestamp()),)


def test_history_that_an_earlier_version_skipped(bench_of: Callable[..., Bench]) -> None:
    """Nothing is assumed of older rows while `history` is skipped: once it is included, the first window is missing."""
    skipping = {**DAILY, "history": "skip"}
    report(bench_of(**skipping), "2024-03-04", issues=dg.MetadataValue.json([]))
    bench_of(**skipping).run("2024-03-05")
    assert asked(bench_of(**skipping), at("2024-03-06 00:05")) == []
    assert asked(bench_of(**DAILY), at("2024-03-06 00:05")) == ["2024-03-04"]


def test_a_materialization_that_was_reported_by_hand(bench_of: Callable[..., Bench]) -> None:
    """One without metadata spans nothing; one that says its window marks it as done, without the history."""
    bench = bench_of(**DAILY)
    report(bench, "2024-03-04", "2024-03-05")
    assert asked(bench, at("2024-03-06 00:05")) == ["2024-03-04", "2024-03-05"]
    report(bench, "2024-03-04", "2024-03-05", note="written off")
    assert asked(bench, at("2024-03-06 00:05")) == ["2024-03-04"]


def test_a_window_that_was_run_again_in_vain(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """It is asked for again as long as it has its own key; a failure of another frequency's window says nothing of this one."""
    bench = bench_of(**DAILY)
    bench.run("2024-03-04", "2024-03-17")
    imports.error = Unavailable("no answer")
    bench.run("2024-03-11")
    assert bench.tick(at("2024-03-18 00:05")) == ["2024-03-11"]
    assert bench_of(**{**DAILY, "frequency": "weekly"}).tick(at("2024-03-18 00:05")) == []


def test_failed_rows_of_windows_that_were_imported_again(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Rows that Klaviyo did not take are counted until their window is imported anew, under whatever key."""
    imports.results["2024-03-05"] = Result(read=10, imported=9, failed=1)
    bench_of(**DAILY).run("2024-03-04", "2024-03-06")
    weeks = bench_of(**{**DAILY, "frequency": "weekly"})
    assert evaluations.overview(weeks.sync, weeks.instance, at("2024-03-11 00:05"), None).failing == {"2024-03-05": 1}
    weeks.run("2024-03-04")
    assert evaluations.overview(weeks.sync, weeks.instance, at("2024-03-11 00:05"), None).failing == {}


def test_late_rows_of_windows_of_another_frequency(bench_of: Callable[..., Bench], imports: Imports, tmp_path: Path) -> None:
    """A week that was imported as seven days is compared with them together; a part of one is not compared."""
    imports.usual = Result(read=1, imported=1, read_for_good=1)
    bench_of(**DAILY).run("2024-03-04", "2024-03-12")
    rows = ", ".join(f"('x', '2024-03-{day:02} 08:00')" for day in (4, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 13, 14))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(f"INSERT INTO analytics.loyalty_members (customer_id, updated_at) VALUES {rows}")
    weeks = bench_of(now=at("2024-03-18 00:05"), **{**DAILY, "frequency": "weekly"})
    assert weeks.run(checks=["completeness"]).success
    metadata = weeks.check_metadata("completeness")
    assert (metadata["late_rows_by_window"].value, metadata["windows_counted"].value) == ([["2024-03-04", 2]], 1)


def test_only_what_is_newer_than_the_last_checkpoint_is_read(bench_of: Callable[..., Bench]) -> None:
    """Each run writes down what was imported before it, so that a reader needs few results, and no more the older ones."""
    bench = bench_of()
    bench.run("2024-03-04-00:00", "2024-03-04-03:00")
    bench.run("2024-03-04-04:00")
    bench.run("2024-03-04-05:00")
    newest, middle, *_ = bench.instance.fetch_materializations(KEY, limit=6).records
    reading = read_ledger(bench.instance, bench.sync)
    assert (reading.as_of, reading.whole) == (newest.storage_id, True)
    midnight = at("2024-03-04 00:00").timestamp()
    assert reading.ledger.coverage(MEMBERS, Destination()).spans == (Span(BEGINNING, midnight + timedelta(hours=6).total_seconds()),)
    assert newest.asset_materialization
    before = newest.asset_materialization.metadata["imported_before"].value
    assert isinstance(before, dict)
    assert before["as_of"] == middle.storage_id
    assert before["spans"] == [[MEMBERS, "AbC123", False, None, [[None, midnight + timedelta(hours=5).total_seconds()]]]]


def test_a_long_log_without_a_checkpoint_is_read_as_far_as_it_is_asked_about(bench_of: Callable[..., Bench]) -> None:
    """Results from before that moment can cover nothing after it; what was left out is not written down as everything."""
    bench = bench_of()
    report(bench, "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00", note="written off")
    later = at("2999-01-01 00:00").timestamp()
    assert not read_ledger(bench.instance, bench.sync, later, long=2).whole
    assert checkpoint(read_ledger(bench.instance, bench.sync, later, long=2)) == {}
    assert read_ledger(bench.instance, bench.sync, later, long=3).whole
    assert read_ledger(bench.instance, bench.sync, long=2).whole
