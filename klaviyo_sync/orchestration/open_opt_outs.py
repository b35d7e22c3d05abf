"""What may keep somebody subscribed who opted out: opt-outs that could not be sent, and words of consent that nobody understands.

A window stays open until a newer result covers it that has none of these, however long ago it was imported. Each run stores, with its
newest window, which windows were open before it: so all of them are known without reading further back than to the newest run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg

from klaviyo_sync.core.coverage import Coverage, Span
from klaviyo_sync.core.ledger import Origin
from klaviyo_sync.orchestration.stored import Stored, pages, read_back
from klaviyo_sync.orchestration.verdicts import counted

OPT_OUTS, WORDS = "open_opt_outs", "unknown_consent_words"
BEFORE = "open_before"
MOST_CARRIED = 2_000
MOST_NAMED = 5


class Open(NamedTuple):
    """One window: its opt-outs that could not be sent, its unknown words, its span, where its rows went, and its result's id."""

    window: str
    opt_outs: int
    words: int
    span: Span
    origin: Origin
    result: int


class Reading(NamedTuple):
    """The open windows, oldest first, and the newest record that was read (0 when there is none)."""

    windows: tuple[Open, ...]
    as_of: int


def read_open(instance: dg.DagsterInstance, key: dg.AssetKey) -> Reading:
    """Which windows are open, whatever account their rows went into."""
    newer: dict[Origin, Coverage] = {}
    opened: list[Open] = []
    carried: list[Open] | None = None
    floor, as_of = -1, 0
    for record in pages(instance, dg.AssetRecordsFilter(asset_key=key)):
        if record.storage_id <= floor:
            break
        as_of = as_of or record.storage_id
        if (stored := read_back(record)) is not None:
            opened += not_covered(open_of(stored), newer)
            origin = stored.entry.origin
            newer[origin] = newer.get(origin, Coverage()).plus([stored.own_span])
        if carried is None and (before := carried_by(record)) is not None:
            floor, carried = before
    return Reading(tuple(sorted([*opened, *not_covered(carried or (), newer)], key=lambda one: one.span)), as_of)


def open_of(stored: Stored) -> list[Open]:
    """The window as an open one; nothing when it has neither open opt-outs nor unknown words."""
    opt_outs, words = stored.result.open_opt_outs, stored.result.unknown_words
    if not opt_outs and not words:
        return []
    return [Open(stored.window, opt_outs, words, stored.own_span, stored.entry.origin, stored.record.storage_id)]


def not_covered(opened: Iterable[Open], newer: Mapping[Origin, Coverage]) -> list[Open]:
    """The windows that no newer results of the same account cover, under whatever key and of whatever dataset."""
    return [
        one
        for one in opened
        if not Coverage(span for origin, coverage in newer.items() if same_account(origin, one.origin) for span in coverage.spans).covers(
            one.span
        )
    ]


def same_account(one: Origin, other: Origin) -> bool:
    """Whether rows may have gone into the same account: what a result does not say is no difference."""
    return all(
        mine is None or theirs is None or mine == theirs for mine, theirs in ((one.account, other.account), (one.sandbox, other.sandbox))
    )


def carried_by(record: dg.EventLogRecord) -> tuple[int, list[Open]] | None:
    """What a record says was open before it, as of which record; None when it does not say."""
    materialization = record.asset_materialization
    value = materialization.metadata.get(BEFORE) if materialization else None
    if not isinstance(value, dg.JsonMetadataValue) or not isinstance(value.value, dict):
        return None
    before: dict[str, Any] = value.value
    windows = [
        Open(window, opt_outs, words, Span(start, end), Origin(*origin), result)
        for window, opt_outs, words, start, end, result, *origin in before["windows"]
    ]
    return before["as_of"], windows


def carried(windows: Sequence[Open], as_of: int) -> dict[str, dg.MetadataValue]:
    """Open windows as metadata of the next result; nothing where that would be large, and then more results are read."""
    if len(windows) > MOST_CARRIED:
        return {}
    lines = [[one.window, one.opt_outs, one.words, *one.span, one.result, *one.origin] for one in windows]
    return {BEFORE: dg.MetadataValue.json({"as_of": as_of, "windows": lines})}


def words_of(opened: Sequence[Open]) -> list[str]:
    """How many opt-outs could not be sent and how many words are unknown, in which windows, and what to do."""
    said = []
    if leaving := [one for one in opened if one.opt_outs]:
        total = counted(sum(one.opt_outs for one in leaving), "opt-out")
        advice = "unsubscribe these people in Klaviyo by hand, correct their rows, then run these windows again"
        said.append(f"{total} not sent, or not carried out by Klaviyo, in {named(one.window for one in leaving)}: {advice}")
    if unknown := [one for one in opened if one.words]:
        total = counted(sum(one.words for one in unknown), "unknown word")
        advice = "correct them or add them under words, then run these windows again, or acknowledge them"
        said.append(f"{total} of consent that may be opt-outs, in {named(one.window for one in unknown)}: {advice}")
    return said


def named(windows: Iterable[str]) -> str:
    """The first windows by name, and how many more there are."""
    names = list(windows)
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def metadata(opened: Sequence[Open]) -> dict[str, dg.MetadataValue]:
    """The open windows with opt-outs and those with unknown words: key, number, start and end; nothing where there are none."""
    lines = {
        OPT_OUTS: [[one.window, one.opt_outs, *one.span] for one in opened if one.opt_outs],
        WORDS: [[one.window, one.words, *one.span] for one in opened if one.words],
    }
    return {name: dg.MetadataValue.json(some) for name, some in lines.items() if some}
