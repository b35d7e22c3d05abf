"""Opt-outs that Klaviyo did not carry out: red and named until their window is run again, however many windows come after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from orchestration_bench import KEY, LOYALTY, NOW, SHOP, Bench, Imports

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import IssueKind, Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.klaviyo.accounts import Account
from klaviyo_sync.orchestration.checks import consent
from klaviyo_sync.orchestration.open_opt_outs import MOST_CARRIED, carried, carried_by, read_open

FIRST, SECOND, LAST = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-05:00"
MAIL = "email_marketing"
REFUSED = ConsentCounts(stated=9_000, sent=8_999, refused=1, opt_outs_refused=1, confirmed=8_999)
OPPOSED = ConsentCounts(stated=9_000, sent=9_000, unsubscribed=9_000, confirmed=8_999, opt_outs_opposed=1)
SLOW = ConsentCounts(stated=9_000, sent=9_000, unsubscribed=9_000, confirmed=10)


LOST = Result(read=9_000, imported=9_000, issues=Counter({IssueKind("email_consent", "opt_out_without_identifier"): 1}))
UNKNOWN = Result(read=9_000, imported=9_000, issues=Counter({IssueKind("email_consent", "unknown_consent_word"): 2}))


def result(counts: ConsentCounts) -> Result:
    """A window whose rows all state something."""
    return Result(read=9_000, imported=9_000, consent={MAIL: counts})


@pytest.mark.parametrize("counts", [REFUSED, OPPOSED, ConsentCounts(stated=9_000, sent=8_999, unknown=1)])
def test_one_opt_out_that_did_not_arrive_is_red(counts: ConsentCounts) -> None:
    """One opt-out among thousands that Klaviyo refused, did not carry out, or that is unknown, is an error, whatever the tolerance."""
    sync = Sync.model_validate({**LOYALTY, "name": "loyalty", "tolerance": {"rejected": "100%", "failed": "100%"}})
    assert consent(sync, result(counts)).grave


def test_a_slow_klaviyo_is_no_failure() -> None:
    """What Klaviyo does not show yet is told with the numbers, and is neither red nor amber."""
    verdict = consent(Sync.model_validate({**LOYALTY, "name": "loyalty"}), result(SLOW))
    assert verdict.passed
    assert "Klaviyo shows 10 of 9,000 sent so far" in verdict.words
    assert verdict.metadata["consent_confirmed"].value == 10


@pytest.mark.parametrize("of", [result(REFUSED), result(OPPOSED), LOST])
def test_red_until_run_again(bench_of: Callable[..., Bench], imports: Imports, of: Result) -> None:
    """The window is named as an error until a run of it is green; later green windows change nothing."""
    imports.results[FIRST] = of
    bench = bench_of()
    bench.run(FIRST)
    bench.run(SECOND, LAST)
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    assert [line[:2] for line in bench.check_metadata("completeness")["open_opt_outs"].value] == [[FIRST, 1]]
    imports.results.clear()
    bench.run(FIRST)
    assert bench.checks("completeness") == {None: (True, "WARN")}
    assert "open_opt_outs" not in bench.check_metadata("completeness")
    assert bench.run(checks=["completeness"]).success
    assert bench.checks("completeness") == {None: (True, "WARN")}


def named(bench: Bench) -> list[tuple[str, int, int]]:
    """The open windows as the event log has them, each with its opt-outs and unknown words."""
    return [(one.window, one.opt_outs, one.words) for one in read_open(bench.instance, KEY).windows]


@pytest.mark.parametrize("of", [LOST, UNKNOWN])
def test_it_does_not_age_out(bench_of: Callable[..., Bench], imports: Imports, of: Result) -> None:
    """However many runs and evaluations come after it, each run stores which windows are open, until they are run again."""
    imports.results[FIRST] = of
    bench = bench_of()
    bench.run(FIRST)
    for _ in range(3):
        bench.run(SECOND)
    assert named(bench) == [(FIRST, of.open_opt_outs, of.unknown_words)]
    [newest] = bench.instance.fetch_materializations(KEY, limit=1).records
    before = carried_by(newest)
    assert before
    assert [one.window for one in before[1]] == [FIRST], "nobody reads further back than to the newest run"
    imports.results.clear()
    bench.run(FIRST)
    assert named(bench) == []
    bench.run(SECOND)
    assert named(bench) == []


def test_results_of_earlier_versions_are_read(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Where no run stored what was open before it, all results are read; what is too long to store is read as well."""
    imports.results[FIRST] = LOST
    bench = bench_of()
    bench.run(FIRST)
    assert carried(read_open(bench.instance, KEY).windows * (MOST_CARRIED + 1), 1) == {}
    [record] = bench.instance.fetch_materializations(KEY, limit=1).records
    assert record.asset_materialization
    earlier = {name: value for name, value in record.asset_materialization.metadata.items() if name != "open_before"}
    hours = [NOW.timestamp() - 3600 * hour for hour in (3, 2)]
    with dg.DagsterInstance.ephemeral() as instance:
        for window, start, issues in zip((FIRST, SECOND), hours, (earlier["issues"], dg.MetadataValue.json([])), strict=True):
            span = {"window_start": dg.MetadataValue.timestamp(start), "window_end": dg.MetadataValue.timestamp(start + 3600)}
            values = {**earlier, **span, "issues": issues}
            instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=window, metadata=values))
        assert [one.window for one in read_open(instance, KEY).windows] == [FIRST]


def test_another_account_has_opt_outs_of_its_own(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A run into another account sends nothing to the first one: what was open there is open again once rows go there."""
    imports.results[FIRST] = LOST
    bench = bench_of()
    bench.run(FIRST)
    imports.results.clear()
    imports.account = Account("Other1", "Other shop", "UTC", test_account=False)
    bench.run(FIRST)
    assert "open_opt_outs" not in bench.check_metadata("completeness")
    imports.account = SHOP
    bench.run(SECOND)
    assert [line[:2] for line in bench.check_metadata("completeness")["open_opt_outs"].value] == [[FIRST, 1]]


def test_other_windows_that_cover_it_count(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window is also run again by windows of another frequency that hold it."""
    imports.results[FIRST] = result(REFUSED)
    bench_of().run(FIRST)
    imports.results.clear()
    daily = bench_of(frequency="daily", now=datetime(2024, 3, 6, tzinfo=UTC))
    daily.run("2024-03-04")
    assert "open_opt_outs" not in daily.check_metadata("completeness")
