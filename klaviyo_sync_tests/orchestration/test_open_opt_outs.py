"""Opt-outs that Klaviyo did not carry out: red and named until their window is run again, however many windows come after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from orchestration_bench import KEY, LOYALTY, Bench, Imports

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.checks import consent
from klaviyo_sync.orchestration.open_opt_outs import open_opt_outs

FIRST, SECOND, LAST = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-05:00"
MAIL = "email_marketing"
REFUSED = ConsentCounts(stated=9_000, sent=8_999, refused=1, opt_outs_refused=1, confirmed=8_999)
OPPOSED = ConsentCounts(stated=9_000, sent=9_000, unsubscribed=9_000, confirmed=8_999, opt_outs_opposed=1)
SLOW = ConsentCounts(stated=9_000, sent=9_000, unsubscribed=9_000, confirmed=10)


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


@pytest.mark.parametrize("counts", [REFUSED, OPPOSED])
def test_red_until_run_again(bench_of: Callable[..., Bench], imports: Imports, counts: ConsentCounts) -> None:
    """The window is named as an error until a run of it is green; later green windows change nothing."""
    imports.results[FIRST] = result(counts)
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


def test_it_does_not_age_out(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window whose result is too far back to be looked at stays named, from one evaluation to the next, until it is run again."""
    imports.results[FIRST] = result(REFUSED)
    bench = bench_of()
    bench.run(FIRST)
    bench.run(SECOND)
    further_back = open_opt_outs(bench.instance, KEY, [], {})
    assert [(name, one.opt_outs) for name, one in further_back.items()] == [(FIRST, 1)]
    imports.results.clear()
    bench.run(FIRST)
    assert open_opt_outs(bench.instance, KEY, [], {}) == {}


def test_other_windows_that_cover_it_count(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window is also run again by windows of another frequency that hold it."""
    imports.results[FIRST] = result(REFUSED)
    bench_of().run(FIRST)
    imports.results.clear()
    daily = bench_of(frequency="daily", now=datetime(2024, 3, 6, tzinfo=UTC))
    daily.run("2024-03-04")
    assert "open_opt_outs" not in daily.check_metadata("completeness")
