"""Red windows stay red for the sync as a whole, until they are run again or somebody acknowledges them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from orchestration_bench import KEY, NOW, Bench, Imports

from klaviyo_sync.core.result import IssueKind, Result

FIRST, SECOND, LAST = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-05:00"
FAILED = Result(read=10, imported=9, failed=1)
REJECTED = Result(read=10, imported=5, rejected=5)
UNKNOWN = Result(read=900, imported=900, issues=Counter({IssueKind("email_consent", "unknown_consent_word"): 1}))
LOST = Result(read=900, imported=900, issues=Counter({IssueKind("email_consent", "opt_out_without_identifier"): 1}))


def red(bench: Bench) -> object:
    """The red windows that the newest evaluation of `completeness` lists."""
    metadata = bench.check_metadata("completeness")
    return metadata["red_windows"].value if "red_windows" in metadata else []


@pytest.mark.parametrize(("of", "check"), [(FAILED, "delivery"), (REJECTED, "mapping")])
def test_red_until_acknowledged(bench_of: Callable[..., Bench], imports: Imports, of: Result, check: str) -> None:
    """A window with an error is named until somebody acknowledges it; who, when and what is stored, and nothing is imported."""
    imports.results[FIRST] = of
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert (bench.checks("completeness"), red(bench)) == ({None: (False, "ERROR")}, [[FIRST, [check]]])
    asked = len(imports.asked)
    assert bench.run(FIRST, acknowledge=True).success
    assert (bench.checks("completeness"), red(bench), len(imports.asked)) == ({None: (True, "WARN")}, [], asked)
    assert bench.check_metadata("completeness")["windows_acknowledged"].value == 1
    assert bench.checks(check)[FIRST] == (False, "ERROR"), "the window itself stays red"
    [record] = bench.instance.fetch_observations(KEY, limit=1).records
    assert record.asset_observation
    acknowledged = record.asset_observation.metadata["acknowledged"].value
    assert acknowledged == {"asked_by": "run config", "run": record.run_id, "at": NOW.isoformat(timespec="seconds"), "red": [check]}
    assert bench.tick(NOW) == [], "an acknowledged window is not asked for again"
    bench.run(FIRST)
    assert red(bench) == [[FIRST, [check]]], "a run after it counts anew"


def test_unknown_words_can_be_acknowledged(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Whoever looked at unknown words and knows that they are no opt-outs says so; the next runs remember it."""
    imports.results[FIRST] = UNKNOWN
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    assert [line[:2] for line in bench.check_metadata("completeness")["unknown_consent_words"].value] == [[FIRST, 1]]
    bench.run(FIRST, acknowledge=True)
    bench.run(SECOND)
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_opt_outs_cannot_be_acknowledged(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """An opt-out that could not be sent stays an error, whoever acknowledges its window."""
    imports.results[FIRST] = LOST
    bench = bench_of()
    bench.run(FIRST, LAST)
    bench.run(FIRST, acknowledge=True)
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    assert [line[:2] for line in bench.check_metadata("completeness")["open_opt_outs"].value] == [[FIRST, 1]]


def test_beyond_catch_up_red_is_history(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Windows further back than `catch_up` are no longer named, but for their opt-outs and unknown words."""
    imports.results |= {FIRST: FAILED, SECOND: LOST}
    bench = bench_of(catch_up="2h")
    bench.run(FIRST, LAST)
    assert red(bench) == []
    assert [line[:2] for line in bench.check_metadata("completeness")["open_opt_outs"].value] == [[SECOND, 1]]


def test_only_what_was_imported_can_be_acknowledged(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window without a result is not done by being acknowledged."""
    imports.results[FIRST] = FAILED
    bench = bench_of()
    bench.run(FIRST)
    run = bench.run(FIRST, SECOND, acknowledge=True)
    assert (run.success, SECOND in bench.failure(run), bench.imported()) == (False, True, {FIRST})
    assert bench.check_metadata("completeness")["windows_acknowledged"].value == 1
