"""Every combination of a statement, what Klaviyo holds and the mode, against an expectation written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest

from klaviyo_sync.core.consent_reasons import CONSENT_CODES
from klaviyo_sync.core.decisions import (
    RULES,
    Age,
    Case,
    Hold,
    Mode,
    Present,
    Stated,
    Statement,
    Status,
    Suppression,
    against,
    decide,
    needs_status,
    rule,
)

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

# Undated statements. Status across: SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED, unknown. No date of Klaviyo's plays a part.
UNDATED = """
statement    mode         hold      S            U            N            ?
subscribe    guard        free      already      guard        subscribe    guard
subscribe    guard        liftable  guard        guard        guard        guard
subscribe    guard        final     guard        guard        guard        guard
subscribe    ignore       free      nothing      nothing      nothing      nothing
subscribe    ignore       liftable  nothing      nothing      nothing      nothing
subscribe    ignore       final     nothing      nothing      nothing      nothing
subscribe    resubscribe  free      subscribe    subscribe    subscribe    subscribe
subscribe    resubscribe  liftable  subscribe    subscribe    subscribe    subscribe
subscribe    resubscribe  final     subscribe    subscribe    subscribe    subscribe
unsubscribe  guard        free      unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  guard        liftable  unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  guard        final     unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  ignore       free      unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  ignore       liftable  unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  ignore       final     unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  resubscribe  free      unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  resubscribe  liftable  unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  resubscribe  final     unsubscribe  already      unsubscribe  unsubscribe
"""

# Dated statements. `age` is that of what Klaviyo holds against the statement. No mode plays a part.
DATED = """
statement    age      hold      S            U            N            ?
subscribe    older    free      already      subscribe    subscribe    guard
subscribe    older    liftable  guard        subscribe    subscribe    guard
subscribe    older    final     guard        guard        guard        guard
subscribe    same     free      already      skip         subscribe    guard
subscribe    same     liftable  skip         skip         skip         guard
subscribe    same     final     guard        guard        guard        guard
subscribe    newer    free      already      skip         subscribe    guard
subscribe    newer    liftable  skip         skip         skip         guard
subscribe    newer    final     guard        guard        guard        guard
subscribe    undated  free      already      skip         subscribe    guard
subscribe    undated  liftable  skip         skip         skip         guard
subscribe    undated  final     guard        guard        guard        guard
unsubscribe  older    free      unsubscribe  unsubscribe  unsubscribe  unsubscribe
unsubscribe  older    liftable  unsubscribe  unsubscribe  unsubscribe  unsubscribe
unsubscribe  older    final     unsubscribe  unsubscribe  unsubscribe  unsubscribe
unsubscribe  same     free      unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  same     liftable  unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  same     final     unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  newer    free      skip         already      unsubscribe  unsubscribe
unsubscribe  newer    liftable  skip         already      unsubscribe  unsubscribe
unsubscribe  newer    final     skip         already      unsubscribe  unsubscribe
unsubscribe  undated  free      unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  undated  liftable  unsubscribe  already      unsubscribe  unsubscribe
unsubscribe  undated  final     unsubscribe  already      unsubscribe  unsubscribe
"""

STATUSES: tuple[Status, ...] = ("SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "unknown")
CASES = tuple(Case(*facts) for facts in product(*map(get_args, (Stated,)), ("undated", "dated"), *map(get_args, (Mode, Status, Hold, Age))))


def expected(table: str) -> dict[tuple[str, str, str, str], str]:
    """A table as (statement, mode or age, hold, status) -> action."""
    lines = [line.split() for line in table.split("\n") if line][1:]
    return {(line[0], line[1], line[2], status): said for line in lines for status, said in zip(STATUSES, line[3:], strict=True)}


EXPECTED = {"undated": expected(UNDATED), "dated": expected(DATED)}


@pytest.mark.parametrize("dated", ["undated", "dated"])
def test_every_combination(dated: str) -> None:
    """Each of the combinations of facts has the action that was written down for it."""
    cases = [case for case in CASES if case.dated == dated]
    assert len(cases) == 2 * 3 * 4 * 3 * 4
    for case in cases:
        third = case.age if dated == "dated" else case.mode
        assert rule(case).action == EXPECTED[dated][case.meaning, third, case.hold, case.status], case


def test_nobody_comes_back_in_guard_mode() -> None:
    """No undated subscribe goes out to somebody who is unsubscribed, suppressed or not known, unless `resubscribe` is asked for."""
    sent = {
        (case.status, case.hold) for case in CASES if case.dated == "undated" and case.mode == "guard" and rule(case).action == "subscribe"
    }
    assert sent == {("NEVER_SUBSCRIBED", "free")}


@pytest.mark.parametrize(
    ("reasons", "hold"),
    [
        ((), "free"),
        (("UNSUBSCRIBE",), "liftable"),
        (("SPAM_REPORT",), "liftable"),
        (("USER_SUPPRESSED",), "liftable"),
        (("HARD_BOUNCE",), "final"),
        (("INVALID_EMAIL",), "final"),
        (("HARD_BOUNCE", "UNSUBSCRIBE"), "liftable"),
        (("A_NEW_REASON",), "liftable"),
    ],
)
def test_suppressions(reasons: tuple[str, ...], hold: Hold) -> None:
    """A subscribe would lift all suppressions but those of addresses that do not work; one that we do not know is held to be liftable."""
    present = Present("SUBSCRIBED", AT, tuple(Suppression(reason, None) for reason in reasons))
    assert present.hold == hold
    assert decide(Statement("subscribe"), present, "guard").action == ("already" if hold == "free" else "guard")


@pytest.mark.parametrize(
    ("statement", "present", "age"),
    [
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT - DAY), "older"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT), "same"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT + DAY), "newer"),
        (Statement("subscribe", AT + timedelta(milliseconds=500)), Present("UNSUBSCRIBED", AT), "same"),
        (Statement("subscribe", AT + timedelta(seconds=1)), Present("UNSUBSCRIBED", AT), "older"),
        (Statement("subscribe", AT, zoneless=True), Present("UNSUBSCRIBED", AT - timedelta(hours=13)), "newer"),
        (Statement("subscribe", AT, zoneless=True), Present("UNSUBSCRIBED", AT - timedelta(hours=15)), "older"),
        (Statement("unsubscribe", AT - timedelta(milliseconds=500)), Present("SUBSCRIBED", AT), "same"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED"), "undated"),
        (Statement("subscribe", AT), Present("SUBSCRIBED", AT + DAY), "undated"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT - DAY, (Suppression("SPAM_REPORT", AT + DAY),)), "newer"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT - DAY, (Suppression("SPAM_REPORT", None),)), "undated"),
        (Statement("subscribe", AT), Present("UNSUBSCRIBED", AT - DAY, (Suppression("HARD_BOUNCE", AT + DAY),)), "older"),
        (Statement("subscribe", AT), Present("SUBSCRIBED", AT - DAY, (Suppression("USER_SUPPRESSED", AT),)), "same"),
        (Statement("unsubscribe", AT), Present("SUBSCRIBED", AT + DAY), "newer"),
        (Statement("unsubscribe", AT), Present("SUBSCRIBED", AT), "same"),
        (Statement("unsubscribe", AT), Present("SUBSCRIBED", AT - DAY), "older"),
        (Statement("unsubscribe", AT), Present("SUBSCRIBED"), "undated"),
        (Statement("unsubscribe", AT), Present("UNSUBSCRIBED", AT + DAY), "newer"),
        (Statement("unsubscribe", AT), Present("UNSUBSCRIBED", AT - DAY), "older"),
        (Statement("unsubscribe"), Present("SUBSCRIBED", AT), "undated"),
    ],
)
def test_what_speaks_against(statement: Statement, present: Present, age: Age) -> None:
    """A subscribe is measured against the latest opt-out or liftable suppression, an unsubscribe against whatever was stated."""
    assert against(statement, present) == age


def test_nobody_comes_back_by_a_date_that_is_not_newer() -> None:
    """A dated subscribe goes out to somebody who opted out, or is suppressed, only when it is newer in every mode."""
    dated = [case for case in CASES if case.dated == "dated" and case.meaning == "subscribe" and rule(case).action == "subscribe"]
    held_back = [case for case in dated if case.status == "UNSUBSCRIBED" or case.hold != "free"]
    assert {case.age for case in held_back} == {"older"}
    assert {case.hold for case in held_back} == {"free", "liftable"}


def test_what_is_held_back_has_a_reason() -> None:
    """Whatever is guarded or skipped has a reason of the catalogue, and nothing else has one."""
    for line in RULES:
        assert bool(line.code) == (line.action in ("guard", "skip")), line
        assert not line.code or line.code in CONSENT_CODES


def test_what_is_read() -> None:
    """Klaviyo is asked about whatever has a date, and about undated subscribes in guard mode."""
    modes = get_args(Mode)
    assert [mode for mode in modes if needs_status(Statement("subscribe"), mode)] == ["guard"]
    assert [mode for mode in modes if needs_status(Statement("subscribe", AT), mode)] == list(modes)
    assert [mode for mode in modes if needs_status(Statement("unsubscribe"), mode)] == []
    assert [mode for mode in modes if needs_status(Statement("unsubscribe", AT), mode)] == list(modes)
