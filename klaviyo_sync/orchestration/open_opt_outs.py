"""Opt-outs that Klaviyo refused, or shows the opposite of: they stay open until their window is run again, however long ago that was.

The newest results are read each time. What lies further back is recalled from the last evaluation of `completeness`, which lists it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg

from klaviyo_sync.core.coverage import Coverage, Span
from klaviyo_sync.orchestration.late import CHECK, last_evaluation
from klaviyo_sync.orchestration.stored import Stored, latest
from klaviyo_sync.orchestration.verdicts import counted

LISTED = "open_opt_outs"
MOST_NAMED = 5


class Open(NamedTuple):
    """How many opt-outs of a window are open, and its span."""

    opt_outs: int
    span: Span


def open_opt_outs(instance: dg.DagsterInstance, key: dg.AssetKey, current: Sequence[Stored], seen: Mapping[str, Stored]) -> dict[str, Open]:
    """The windows with open opt-outs, oldest first: those of `current` results, and those that are listed and were not run again since.

    `seen` are the newest results, of whatever account.
    """
    found = {one.window: Open(one.result.open_opt_outs, one.own_span) for one in current if one.result.open_opt_outs}
    last = last_evaluation(instance, dg.AssetCheckKey(key, CHECK), LISTED)
    if last is not None:
        evaluation, stored_at = last
        held: Any = evaluation.metadata[LISTED].value
        listed: dict[str, Open] = {name: Open(opt_outs, Span(start, end)) for name, opt_outs, start, end in held}
        further = {name: one for name, one in listed.items() if name not in seen}
        newer = Coverage(one.own_span for one in seen.values())
        run_since = {name for name, one in latest(instance, key, list(further)).items() if one.record.timestamp > stored_at}
        found |= {name: one for name, one in further.items() if name not in run_since and not newer.covers(one.span)}
    return dict(sorted(found.items(), key=lambda item: item[1].span))


def words(opened: Mapping[str, Open]) -> str:
    """How many opt-outs are open, in which windows, and what to do."""
    named = ", ".join(list(opened)[:MOST_NAMED]) + (f" and {len(opened) - MOST_NAMED} more" if len(opened) > MOST_NAMED else "")
    total = counted(sum(one.opt_outs for one in opened.values()), "opt-out")
    return f"{total} not carried out by Klaviyo, in {named}: unsubscribe these people in Klaviyo by hand, then run these windows again"


def metadata(opened: Mapping[str, Open]) -> dict[str, dg.MetadataValue]:
    """The windows with open opt-outs: key, number, start and end; nothing where there are none."""
    return {LISTED: dg.MetadataValue.json([[name, one.opt_outs, *one.span] for name, one in opened.items()])} if opened else {}
