"""The catalogue of asset checks. Adding a check is adding one function and its name to the catalogue below it.

A check sees the stored result of one window, or the state of all windows, and never imports anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.consent_reasons import CONSENT_CODES
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration import open_opt_outs
from klaviyo_sync.orchestration.clear_metadata import clear_equation, clear_metadata
from klaviyo_sync.orchestration.consent_metadata import consent_metadata, equation
from klaviyo_sync.orchestration.late import Late, late_metadata
from klaviyo_sync.orchestration.late import words as late_words
from klaviyo_sync.orchestration.open_opt_outs import Open
from klaviyo_sync.orchestration.stops import Stopped
from klaviyo_sync.orchestration.verdicts import Verdict, counted, days, issue_metadata, only

if TYPE_CHECKING:  # pyarrow and numpy, for a run only
    from klaviyo_sync.core.result import Result

DELIVERY_CODES = frozenset({"refused", "import_failed", "refused_cell", "outcome_unknown"}) | {
    code for code in CODES if code.startswith("clear_")
}
CONSENT_ISSUES = frozenset(CONSENT_CODES) | {code for code in CODES if "consent" in code or code.startswith("opt_out")}
MAPPING_CODES = frozenset(CODES) - DELIVERY_CODES - CONSENT_ISSUES

MOST_STOPPED = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Overview:
    """All windows of a sync: those that had ended long enough ago, those missing, what the newest results say, and rows that came late.

    `stopped` are the windows that stopped themselves, seen at `as_of`. `opened` are the windows with opt-outs that could not be sent or
    with unknown words, `red` those inside `catch_up` of which other checks are errors, with their names; `acknowledged` counts those that
    somebody acknowledged. `switched_off` says that the schedule is off, if it is known to be.
    """

    due: int
    missing: Sequence[str]
    unasked: int
    looked_at: int
    failing: Mapping[str, int]
    undated: int
    future: int
    late: Late
    switched_off: str | None = None
    stopped: Sequence[Stopped] = ()
    opened: Sequence[Open] = ()
    red: Mapping[str, Sequence[str]] = field(default_factory=dict)
    acknowledged: int = 0
    as_of: datetime = EPOCH


def mapping(sync: Sync, result: Result) -> Verdict:
    """Rows that could not be made a profile, cells that were left out of theirs, and people who became one with somebody else."""
    issues = only(result.issues, MAPPING_CODES)
    merged = result.merged if sync.tolerance.merged.exceeded_by(result.merged, result.read) else 0
    cells = sum(count for kind, count in issues.items() if CODES[kind.code].effect == "cell")
    words = f"{counted(result.rejected, 'row')} of {result.read:,} rejected, {counted(cells, 'cell')} left out."
    if result.merged:
        words += f" {counted(result.merged, 'row')} superseded by a row with another identifier: the rejects file names both."
    numbers = {
        "rejected": dg.MetadataValue.int(result.rejected),
        "cells_left_out": dg.MetadataValue.int(cells),
        **({"merged": dg.MetadataValue.int(result.merged)} if result.merged else {}),
    }
    grave = sync.tolerance.rejected.exceeded_by(result.rejected, result.read)
    return Verdict(result.rejected + cells + merged, grave, words, {**numbers, **issue_metadata(issues)})


def consent(sync: Sync, result: Result) -> Verdict:
    """Consent that could not go out as it is written in the warehouse, and subscribes that gave way to an opt-out or a newer statement."""
    if sync.consent is None:
        return Verdict(0, grave=False, words="This sync maps no consent.")
    issues = only(result.issues, CONSENT_ISSUES)
    total = sum(result.consent.values(), ConsentCounts())
    cells = sum(count for kind, count in issues.items() if kind.code in CODES and CODES[kind.code].effect == "cell")
    wrong = max(cells, total.rejected)
    repaired = sum(count for kind, count in issues.items() if kind.code == "opt_out_repaired")
    # Nobody may be mailed on because a tolerance covers their opt-out, and a word that nobody understands may be one.
    open_questions = result.open_opt_outs + result.unknown_words + total.unknown
    intolerable = sync.tolerance.rejected.exceeded_by(wrong, result.read) or sync.tolerance.failed.exceeded_by(total.refused, result.read)
    numbers = {
        f"consent_{part}": dg.MetadataValue.int(getattr(total, part)) for part in ("stated", "rejected", "refused", "guarded", "confirmed")
    }
    words = "; ".join(equation(channel, counts) for channel, counts in result.consent.items()) or "No row states anything"
    if result.opt_outs_without_address:
        lost = counted(result.opt_outs_without_address, "opt-out")
        words += f". No usable address for {lost}: correct them, or unsubscribe these people in Klaviyo by hand"
    if result.unknown_words:
        words += f". Not understood, and maybe opt-outs: {counted(result.unknown_words, 'word')} of consent"
    if total.opt_outs_refused:
        words += f". Klaviyo refused {counted(total.opt_outs_refused, 'opt-out')}: unsubscribe these people in Klaviyo by hand"
    if total.opt_outs_opposed:
        took = counted(total.opt_outs_opposed, "opt-out")
        words += f". Klaviyo took {took} and shows these people as subscribed: unsubscribe them in Klaviyo by hand"
    if repaired:
        words += f". {counted(repaired, 'opt-out')} counted for a repaired address: the rejects file shows what is to be corrected"
    if 0 < total.confirmed < total.sent:
        words += f". Klaviyo shows {total.confirmed:,} of {total.sent:,} sent so far"
    return Verdict(
        wrong + repaired + total.refused + total.opt_outs_opposed + total.unknown,
        intolerable or open_questions > 0,
        f"{words}.",
        {**numbers, **consent_metadata(result.consent), **issue_metadata(issues)},
    )


def delivery(sync: Sync, result: Result) -> Verdict:
    """Profiles and cells that Klaviyo refused, or that its import job could not write, and NULLs that it did not let clear a field."""
    cells = sum(count for kind, count in result.issues.items() if kind.code == "refused_cell")
    uncleared = sum(count for kind, count in result.issues.items() if kind.code == "clear_refused")
    lost = result.refused + result.failed + uncleared
    words = f"Klaviyo refused {counted(result.refused, 'profile')} and failed to write {result.failed:,}, of {counted(result.read, 'row')}."
    if cells:
        words += f" It refused {counted(cells, 'cell')}, without which the profiles were imported."
    if result.clears != ClearCounts():
        words += f" Fields whose cells are NULL: {clear_equation(result.clears)}."
    numbers = {
        "refused": dg.MetadataValue.int(result.refused),
        "failed": dg.MetadataValue.int(result.failed),
        **clear_metadata(result.clears),
    }
    grave = sync.tolerance.failed.exceeded_by(lost, result.read)
    return Verdict(lost + cells, grave, words, {**numbers, **issue_metadata(only(result.issues, DELIVERY_CODES))})


def accounting(_sync: Sync, result: Result) -> Verdict:
    """Whether all rows (read = imported + superseded + rejected + refused + failed + unknown), statements and clears are accounted for."""
    parts = ("imported", "superseded", "rejected", "refused", "failed", "unknown")
    sums = " + ".join(f"{getattr(result, part):,} {part}" for part in parts)
    rows = f"{result.read:,} read {'=' if result.read == result.accounted else '≠'} {sums}"
    clears = [clear_equation(result.clears)] if result.clears != ClearCounts() else []
    words = "; ".join([rows, *(equation(channel, counts) for channel, counts in result.consent.items()), *clears])
    statements = sum(abs(counts.stated - counts.accounted) for counts in result.consent.values())
    uncounted = abs(result.clears.to_clear - result.clears.accounted)
    numbers = {part: dg.MetadataValue.int(getattr(result, part)) for part in ("read", *parts)}
    return Verdict(abs(result.read - result.accounted) + statements + uncounted, grave=True, words=f"{words}.", metadata=numbers)


def completeness(sync: Sync, overview: Overview) -> Verdict:
    """Whether every window was imported, and which ones stopped themselves, are red, or hold rows that were refused or came late."""
    missing, failing = len(overview.missing), len(overview.failing)
    words = [f"{counted(missing, 'window')} of {overview.due:,} missing"]
    if overview.missing:
        words.append(f"the oldest is {overview.missing[0]}")
    if overview.stopped:
        words.append(stopped_words(overview.stopped, overview.as_of))
    words += open_opt_outs.words_of(overview.opened)
    words += red_words(overview)
    if overview.unasked:
        words.append(f"{overview.unasked:,} lie further back than the schedule looks ({days(sync.catch_up)}): start a backfill for them")
    if failing:
        words.append(f"{counted(failing, 'window')} of the last {overview.looked_at:,} imported with rows that Klaviyo did not take")
    if overview.undated:
        words.append(f"{counted(overview.undated, 'row')} without {sync.modified_at.column}, which no window can hold")
    words.append(late_words(overview.late))
    if overview.switched_off:
        words.append(overview.switched_off)
    numbers: dict[str, dg.MetadataValue] = {
        "windows_due": dg.MetadataValue.int(overview.due),
        "windows_missing": dg.MetadataValue.int(missing),
        "windows_missing_beyond_catch_up": dg.MetadataValue.int(overview.unasked),
        "windows_with_failed_rows": dg.MetadataValue.int(failing),
        "undated_rows": dg.MetadataValue.int(overview.undated),
        "future_rows": dg.MetadataValue.int(overview.future),
        **late_metadata(overview.late),
        **stopped_metadata(overview.stopped),
        **open_opt_outs.metadata(overview.opened),
        **red_metadata(overview),
    }
    if overview.missing:
        numbers["oldest_missing"] = dg.MetadataValue.text(overview.missing[0])
    if overview.failing:
        oldest = sorted(overview.failing.items())[:20]
        numbers["failed_rows_by_window"] = dg.MetadataValue.json([[window, rows] for window, rows in oldest])
    unasked_now = (overview.late.problem is not None) + (overview.switched_off is not None)
    stopped = sum(stop.window not in overview.missing for stop in overview.stopped)
    red = len(overview.opened) + len(overview.red)
    open_questions = missing + stopped + failing + red + overview.undated + overview.late.windows + unasked_now
    # No schedule asks for windows beyond its reach, nor for windows that were imported: somebody must. Nor do stopped ones go on alone.
    grave = overview.unasked > 0 or overview.late.windows > 0 or bool(overview.stopped) or red > 0
    return Verdict(open_questions, grave, words="; ".join(words) + ".", metadata=numbers)


def red_words(overview: Overview) -> list[str]:
    """The windows of which checks are errors, the first of them by name with these checks, what to do, and how many are acknowledged."""
    red = [f"{window} ({', '.join(checks)})" for window, checks in overview.red.items()]
    more = f"; and {len(red) - MOST_STOPPED} more" if len(red) > MOST_STOPPED else ""
    advice = "correct the cause and run red windows again, or acknowledge them"
    said = [f"{counted(len(red), 'window')} red: {'; '.join(red[:MOST_STOPPED])}{more}: {advice}"] if red else []
    return [*said, f"{counted(overview.acknowledged, 'red window')} acknowledged"] if overview.acknowledged else said


def red_metadata(overview: Overview) -> dict[str, dg.MetadataValue]:
    """The red windows with their checks, and how many were acknowledged; nothing when there are none."""
    values: dict[str, dg.MetadataValue] = {}
    if overview.red:
        values["red_windows"] = dg.MetadataValue.json([[window, list(checks)] for window, checks in overview.red.items()])
    if overview.acknowledged:
        values["windows_acknowledged"] = dg.MetadataValue.int(overview.acknowledged)
    return values


def stopped_words(stopped: Sequence[Stopped], now: datetime) -> str:
    """The windows that stopped themselves, each with the reason and the number and age of the opt-outs that wait in it."""
    named = "; ".join(stop.words(now) for stop in stopped[:MOST_STOPPED])
    more = f"; and {len(stopped) - MOST_STOPPED} more" if len(stopped) > MOST_STOPPED else ""
    return f"{counted(len(stopped), 'window')} stopped {'itself' if len(stopped) == 1 else 'themselves'}: {named}{more}"


def stopped_metadata(stopped: Sequence[Stopped]) -> dict[str, dg.MetadataValue]:
    """How many windows stopped themselves and how many opt-outs wait in them, and why; nothing when there are none."""
    if not stopped:
        return {}
    waiting = [stop for stop in stopped if stop.waiting]
    oldest = {"opt_outs_waiting_since": dg.MetadataValue.timestamp(min(stop.since for stop in waiting))} if waiting else {}
    return {
        "windows_stopped": dg.MetadataValue.int(len(stopped)),
        "stopped_windows": dg.MetadataValue.json([[stop.window, stop.text, stop.waiting] for stop in stopped]),
        "opt_outs_waiting": dg.MetadataValue.int(sum(stop.waiting for stop in stopped)),
        **oldest,
    }


WindowCheck = Callable[[Sync, "Result"], Verdict]
OverallCheck = Callable[[Sync, Overview], Verdict]

PER_WINDOW: dict[str, WindowCheck] = {check.__name__: check for check in (mapping, consent, delivery, accounting)}
OVERALL: dict[str, OverallCheck] = {check.__name__: check for check in (completeness,)}


def check_specs(key: dg.AssetKey, windows: dg.TimeWindowPartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """A spec for every check of the catalogue; those of single windows have the asset's partitions."""
    return [
        *(dg.AssetCheckSpec(name, asset=key, description=check.__doc__, partitions_def=windows) for name, check in PER_WINDOW.items()),
        *(dg.AssetCheckSpec(name, asset=key, description=check.__doc__) for name, check in OVERALL.items()),
    ]
