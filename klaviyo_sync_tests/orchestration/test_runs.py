"""Runs: what is materialized, what fails, who is told what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from orchestration_bench import ENVIRON, KEY, Bench, Imports

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.core.result import Result
from klaviyo_sync.orchestration.stored import latest

FIRST, SECOND, THIRD = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00"
UNKNOWN = Result(read=10, imported=7, unknown=3)


def test_a_window_with_unknown_rows_is_not_materialized(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """The good windows of a run stay, the unproven one does not, and the run fails once, with the reason."""
    imports.results[SECOND] = UNKNOWN
    bench = bench_of()
    run = bench.run(FIRST, THIRD)
    assert not run.success
    assert bench.imported() == {FIRST, THIRD}
    assert set(bench.checks("accounting")) == {FIRST, THIRD}
    assert len(imports.asked) == 1
    text = bench.failure(run)
    for part in ("Sync loyalty", f"window {SECOND}", "did not say whether", f"{SECOND}: 3", f"rejects/loyalty/{SECOND}.csv", "safe"):
        assert part in text


def test_a_window_with_unknown_consent_is_not_materialized(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Rows that all arrived do not make a window done while a statement of consent is open: it is asked for again."""
    open_question = ConsentCounts(stated=5, sent=4, unknown=1)
    imports.results[FIRST] = Result(read=10, imported=10, consent={"email_marketing": open_question})
    bench = bench_of()
    run = bench.run(FIRST)
    assert (run.success, bench.imported()) == (False, set())
    assert f"{FIRST}: 1 consent statement (see rejects/loyalty/{FIRST}.csv)" in bench.failure(run)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(ConfigError("syncs/loyalty.yaml:7: no such column"), 1), (Refused("the key lacks profiles:write"), 1), (Unavailable("no answer"), 2)],
)
def test_only_what_may_pass_is_tried_again(
    bench_of: Callable[..., Bench], imports: Imports, error: KlaviyoSyncError, attempts: int
) -> None:
    """Author's and owner's errors fail at once; an other side that did not answer is asked again. Nothing is materialized."""
    imports.error = error
    bench = bench_of()
    run = bench.run(FIRST, SECOND)
    assert not run.success
    assert len(imports.asked) == attempts
    assert bench.imported() == set()
    text = bench.failure(run)
    for part in ("Sync loyalty", f"2 windows from {FIRST} to {SECOND}", str(error), "What to do:", "safe"):
        assert part in text


def test_an_error_of_another_kind_keeps_its_text_to_itself(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A driver's error text may quote a cell, so the run shows its type and place only."""
    imports.error = ValueError("Could not convert 'ada@example.com'")
    bench = bench_of()
    text = bench.failure(bench.run(FIRST))
    assert "builtins.ValueError" in text
    assert "orchestration_bench.py:" in text
    assert "ada@example.com" not in bench.everything_stored()


def test_a_run_without_windows_says_so(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Materializing without a partition imports nothing."""
    bench = bench_of()
    assert "no window was chosen" in bench.failure(bench.run())
    assert imports.asked == []


def test_what_a_materialization_holds(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Every count of the accounting, what it cost, and rows that no window can hold."""
    imports.undated = 4
    bench = bench_of()
    bench.run(FIRST)
    [record] = bench.instance.fetch_materializations(KEY, limit=5).records
    assert record.asset_materialization
    held = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    counts = ("read", "imported", "superseded", "rejected", "refused", "failed", "unknown", "requests", "bytes", "undated_rows")
    assert {name: held[name] for name in counts} == {
        **dict.fromkeys(counts, 0),
        "read": 10,
        "imported": 10,
        "requests": 1,
        "bytes": 900,
        "undated_rows": 4,
    }
    assert held["dagster/partition_row_count"] == 10
    assert held["import_jobs"] == ["job-1"]
    assert held["run_seconds"] == 1.5
    assert "rejects_file" not in held


def test_what_a_materialization_holds_of_consent(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Counts by channel as a table that is read back, numbers that plot, and what undated subscribes go through."""
    counts = ConsentCounts(stated=7, sent=4, guarded=2, rejected=1, unsubscribed=1)
    imports.results[FIRST] = Result(read=10, imported=10, consent_requests=3, consent={"sms_marketing": counts})
    imports.opt_in = "double_opt_in"
    imports.notes = ("Rows came over REST.",)
    bench = bench_of()
    bench.run(FIRST)
    [record] = bench.instance.fetch_materializations(KEY, limit=5).records
    assert record.asset_materialization
    held = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    plotted = ("sms_marketing_subscribed", "sms_marketing_unsubscribed", "sms_marketing_guarded", "consent_requests")
    assert [held[name] for name in plotted] == [3, 1, 2, 3]
    assert held["opt_in_of_undated_subscribes"] == "double_opt_in"
    assert held["warehouse_notes"] == "Rows came over REST."
    assert latest(bench.instance, KEY, [FIRST])[FIRST].result == imports.results[FIRST]


def test_secrets_stay_in_the_environment(bench_of: Callable[..., Bench]) -> None:
    """Neither the event log nor the definitions hold the value of a variable."""
    bench = bench_of()
    bench.run(FIRST)
    assert ENVIRON["KLAVIYO_API_KEY"] not in bench.everything_stored()
    resource = (bench.defs.resources or {})["klaviyo"]
    assert isinstance(resource, dg.ResourceDefinition)
    assert "{env: KLAVIYO_API_KEY}" in (resource.description or "")


def test_storage_is_the_only_state(bench_of: Callable[..., Bench], tmp_path: Path) -> None:
    """A run leaves nothing in the project's folder."""
    bench = bench_of()
    before = sorted(tmp_path.rglob("*"))
    bench.run(FIRST)
    assert sorted(tmp_path.rglob("*")) == before
