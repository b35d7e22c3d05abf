"""What a check says, and how hard it says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from klaviyo_sync.core.consent_reasons import ALL_CODES

if TYPE_CHECKING:  # pyarrow and numpy, for a run only
    from klaviyo_sync.core.result import IssueKind

MOST_LINES = 50
WHAT_HAPPENED = {"row": "row stayed behind", "superseded": "row superseded", "cell": "cell left out, row went out", "note": "went out"}


@dataclass(frozen=True)
class Verdict:
    """Green when nothing is lost. `grave` tells red (beyond what the sync tolerates) from amber."""

    lost: int
    grave: bool
    words: str
    metadata: Mapping[str, dg.MetadataValue] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.lost == 0

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        return dg.AssetCheckSeverity.ERROR if self.grave else dg.AssetCheckSeverity.WARN


def table(issues: Mapping[IssueKind, int]) -> dg.MetadataValue:
    """The issues by code and column, most frequent first, with what each code means and what to do about it."""
    ordered = sorted(issues.items(), key=lambda item: (-item[1], item[0]))[:MOST_LINES]
    records = [
        dg.TableRecord(
            {
                "column": column or "",
                "code": code,
                "count": count,
                "effect": WHAT_HAPPENED[ALL_CODES[code].effect] if code in ALL_CODES else "",
                "meaning": ALL_CODES[code].message if code in ALL_CODES else "",
                "what to do": ALL_CODES[code].advice if code in ALL_CODES else "",
            }
        )
        for (column, code), count in ordered
    ]
    columns = [
        dg.TableColumn("column", "string"),
        dg.TableColumn("code", "string"),
        dg.TableColumn("count", "int"),
        *(dg.TableColumn(name, "string") for name in ("effect", "meaning", "what to do")),
    ]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def issue_metadata(issues: Mapping[IssueKind, int]) -> dict[str, dg.MetadataValue]:
    """The table of the issues and one number that plots; nothing when there are none."""
    return {"issues": table(issues), "issue_count": dg.MetadataValue.int(sum(issues.values()))} if issues else {}


def only(issues: Mapping[IssueKind, int], codes: Iterable[str]) -> dict[IssueKind, int]:
    """The issues with one of these codes."""
    wanted = set(codes)
    return {kind: count for kind, count in issues.items() if kind.code in wanted}


def counted(count: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def days(duration: timedelta) -> str:
    """`7 days`, or hours where there is no whole number of days."""
    whole = duration // timedelta(days=1)
    return counted(whole, "day") if timedelta(days=whole) == duration else counted(round(duration / timedelta(hours=1)), "hour")


def lasting(duration: timedelta) -> str:
    """`3 days`, `5 hours`, `12 minutes`: whole ones of the longest unit that fits."""
    for name, unit in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if duration >= unit:
            return counted(duration // unit, name)
    return counted(max(duration, timedelta(0)) // timedelta(minutes=1), "minute")
