"""Checks of single windows: right in single runs, in range runs, and when they are executed on their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus as Status
from orchestration_bench import KEY, Bench, Imports

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import IssueKind, Result
from klaviyo_sync.orchestration.partitions import partitions

FIRST, SECOND, THIRD = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00"
PER_WINDOW = ("mapping", "consent", "delivery", "accounting")
ERROR, WARN = "ERROR", "WARN"


def rejected(rows: int, read: int = 1_000) -> Result:
    """A window of which some rows have no identifier."""
    return Result(read=read, imported=read - rows, rejected=rows, issues=Counter({IssueKind("email", "missing_identifier"): rows}))


def failed(rows: int, read: int = 1_000) -> Result:
    """A window of which Klaviyo could not write some rows."""
    return Result(read=read, imported=read - rows, failed=rows, issues=Counter({IssueKind("email", "import_failed"): rows}))


def merged(rows: int) -> Result:
    """A window of which some rows were superseded by a row with another identifier, and more by one with the same."""
    return Result(read=1_000, imported=500, superseded=500, issues=Counter({IssueKind("email", "same_email"): rows}))


def said(counts: ConsentCounts) -> Result:
    """A window in which all went well but for what is said of e-mail consent."""
    return Result(read=1_000, imported=1_000, consent={"email_marketing": counts})


def uncleared(code: str) -> Result:
    """A window in which one profile of three kept what a NULL should have cleared."""
    return Result(read=9, imported=9, clears=ClearCounts(to_clear=3, cleared=2, refused=1), issues=Counter({IssueKind("", code): 1}))


def test_a_single_run_checks_its_window(bench_of: Callable[..., Bench]) -> None:
    """A clean window is green in every check."""
    bench = bench_of()
    assert bench.run(FIRST).success
    assert bench.imported() == {FIRST}
    assert {name: bench.checks(name)[FIRST][0] for name in PER_WINDOW} == dict.fromkeys(PER_WINDOW, True)


def test_a_range_run_imports_once_and_checks_each_window(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Neighbouring windows are imported in one call, and the bad one in the middle is the only red one, as the UI counts it."""
    imports.results[SECOND] = rejected(20)
    bench = bench_of()
    assert bench.run(FIRST, THIRD).success
    assert imports.asked == [[FIRST, SECOND, THIRD]]
    assert bench.imported() == {FIRST, SECOND, THIRD}
    assert {window: passed for window, (passed, _) in bench.checks("mapping").items()} == {FIRST: True, SECOND: False, THIRD: True}
    [state] = bench.instance.event_log_storage.get_asset_check_state([(dg.AssetCheckKey(KEY, "mapping"), partitions(bench.sync))]).values()
    assert set(state.subsets[Status.FAILED].subset_value.get_partition_keys()) == {SECOND}
    assert set(state.subsets[Status.SUCCEEDED].subset_value.get_partition_keys()) == {FIRST, THIRD}


@pytest.mark.parametrize(
    ("check", "result", "seen"),
    [
        ("mapping", rejected(10), (False, WARN)),  # 1% is tolerated
        ("mapping", rejected(11), (False, ERROR)),
        ("mapping", merged(10), (True, WARN)),
        ("mapping", merged(11), (False, WARN)),
        ("mapping", Result(read=9, imported=9, issues=Counter({IssueKind("phone", "invalid_phone"): 1})), (False, WARN)),
        ("mapping", Result(read=9, imported=9, issues=Counter({IssueKind("name", "control_characters"): 1})), (True, WARN)),
        ("delivery", failed(1), (False, ERROR)),  # none is tolerated
        ("consent", Result(read=9, imported=9, issues=Counter({IssueKind("email_consent", "unknown_consent_word"): 1})), (False, ERROR)),
        ("consent", Result(read=900, imported=900, issues=Counter({IssueKind("c", "unknown_consent_word"): 1})), (False, ERROR)),  # never
        ("consent", Result(read=900, imported=900, issues=Counter({IssueKind("c", "opt_out_without_identifier"): 1})), (False, ERROR)),
        ("consent", Result(read=900, imported=900, issues=Counter({IssueKind("c", "invalid_consent_date"): 1})), (False, WARN)),
        ("consent", said(ConsentCounts(stated=9, sent=6, guarded=2, skipped=1)), (True, WARN)),  # nothing is wrong in the warehouse
        ("consent", Result(read=9, imported=9, issues=Counter({IssueKind("email", "opt_out_repaired"): 9})), (False, WARN)),  # it went out
        ("consent", said(ConsentCounts(stated=9, sent=8, rejected=1)), (False, WARN)),  # 1% is tolerated
        ("consent", said(ConsentCounts(stated=20, rejected=20)), (False, ERROR)),
        ("consent", said(ConsentCounts(stated=9, sent=8, refused=1)), (False, ERROR)),  # none is tolerated
        ("accounting", Result(read=10, imported=9), (False, ERROR)),
        ("accounting", said(ConsentCounts(stated=9, sent=8)), (False, ERROR)),
        ("accounting", said(ConsentCounts(stated=9, sent=8, already=1)), (True, WARN)),
        ("accounting", Result(read=9, imported=9, clears=ClearCounts(to_clear=3, cleared=2)), (False, ERROR)),
        ("accounting", Result(read=9, imported=9, clears=ClearCounts(to_clear=3, cleared=2, already_empty=1)), (True, WARN)),
        ("delivery", uncleared("clear_refused"), (False, ERROR)),  # none is tolerated
        ("delivery", uncleared("clear_without_profile"), (True, WARN)),  # the row itself tells
        ("mapping", uncleared("clear_refused"), (True, WARN)),
    ],
)
def test_red_beyond_tolerance_amber_below(
    bench_of: Callable[..., Bench], imports: Imports, check: str, result: Result, seen: tuple[bool, str]
) -> None:
    """Beyond what the sync tolerates a check fails as an error, below it warns, and it is never green over a lost row."""
    imports.results[FIRST] = result
    bench = bench_of()
    assert bench.run(FIRST).success
    passed, severity = bench.checks(check)[FIRST]
    assert passed == seen[0]
    assert passed or severity == seen[1]


def test_checks_alone_import_nothing(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Executed on its own, with a partition or without one as the UI does it, a check judges stored results by today's tolerance."""
    imports.results[SECOND] = rejected(20)
    strict = bench_of()
    strict.run(FIRST, THIRD)
    assert strict.checks("mapping")[SECOND] == (False, ERROR)
    lenient = bench_of(tolerance={"rejected": "5%"})
    assert lenient.run(SECOND, checks=["mapping"]).success
    assert lenient.checks("mapping")[SECOND] == (False, WARN)
    assert strict.run(checks=[*PER_WINDOW, "completeness"]).success
    assert strict.checks("mapping") == {FIRST: (True, WARN), SECOND: (False, ERROR), THIRD: (True, WARN)}
    assert imports.asked == [[FIRST, SECOND, THIRD]]
    assert strict.imported() == {FIRST, SECOND, THIRD}


def test_checks_alone_before_the_first_import(bench_of: Callable[..., Bench]) -> None:
    """With nothing imported yet, a check of windows has nothing to say, and does not break."""
    bench = bench_of()
    assert bench.run(checks=list(PER_WINDOW)).success
    assert bench.run(FIRST, checks=list(PER_WINDOW)).success
    assert bench.checks("mapping") == {}


def test_a_check_shows_counts_advice_and_the_file(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A failed check says how many, which column, why, what to do, and where the rows are."""
    imports.results[FIRST] = rejected(20)
    bench = bench_of()
    bench.run(FIRST)
    metadata = bench.check_metadata("mapping")
    [line] = metadata["issues"].records
    assert line.data["column"] == "email"
    assert line.data["count"] == 20
    assert line.data["what to do"] == "Fill one of the identifier columns of this sync."
    assert metadata["rejects_file"].value == f"rejects/loyalty/{FIRST}.csv"
    assert metadata["rejected"].value == 20
    assert bench.check_metadata("delivery").keys() == {"refused", "failed"}


def test_clears_are_told_and_read_back(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """What became of clears is in the metadata, and the checks that are executed later read it from there."""
    imports.results[FIRST] = uncleared("clear_refused")
    bench = bench_of()
    bench.run(FIRST)
    assert bench.run(FIRST, checks=["delivery", "accounting"]).success
    metadata = bench.check_metadata("delivery")
    assert (metadata["to_clear"].value, metadata["clears_cleared"].value, metadata["clears_refused"].value) == (3, 2, 1)
    assert "3 to clear = 2 cleared + 1 refused" in (bench.evaluations("delivery")[-1].description or "")
    assert "3 to clear = 2 cleared + 1 refused" in (bench.evaluations("accounting")[-1].description or "")


def test_unknown_clears_leave_the_window_missing(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window with clears of which nothing is known is not materialized, and its failure says so."""
    imports.results[FIRST] = Result(read=9, imported=9, clears=ClearCounts(to_clear=3, cleared=1, unknown=2))
    bench = bench_of()
    assert not bench.run(FIRST).success
    assert bench.imported() == set()


def test_the_consent_check_tells_by_channel_and_reason(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """It says per channel what became of every statement, and counts reasons by channel, with Klaviyo's side and ours in one table."""
    counts = ConsentCounts(stated=9, sent=5, guarded=2, refused=1, rejected=1)
    reasons = Counter(
        {
            IssueKind("email_consent", "unknown_consent_word"): 1,
            IssueKind("email_marketing", "consent_guarded"): 2,
            IssueKind("email_marketing", "channel_not_set_up"): 1,
        }
    )
    imports.results[FIRST] = Result(read=9, imported=9, consent={"email_marketing": counts}, issues=reasons)
    bench = bench_of()
    bench.run(FIRST)
    evaluation = bench.evaluations("consent")[-1]
    equation = "email_marketing: 9 stated = 5 sent + 2 guarded + 1 refused + 1 rejected"
    assert evaluation.description == f"{equation}. Not understood, and maybe opt-outs: 1 word of consent."
    told = {record.data["code"]: record.data for record in bench.check_metadata("consent")["issues"].records}
    assert {code: line["count"] for code, line in told.items()} == {kind.code: number for kind, number in reasons.items()}
    assert told["channel_not_set_up"]["what to do"] == "Set it up in Klaviyo, or unmap the channel."
    [channel] = bench.check_metadata("consent")["consent"].records
    assert (channel.data["channel"], channel.data["stated"], channel.data["guarded"]) == ("email_marketing", 9, 2)
