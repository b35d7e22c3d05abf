"""Counts of consent as metadata: a table by channel, which is read back, and numbers that plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from klaviyo_sync.core.consent_counts import CONSENT_FATES, CONSENT_PARTS, ConsentCounts
from klaviyo_sync.core.sync import CHANNELS, Channel

TABLE = "consent"
PLOTTED = ("subscribed", "unsubscribed", "guarded")


def table(consent: Mapping[Channel, ConsentCounts]) -> dg.MetadataValue:
    """A line per channel: every statement, and the same by what became of it; of those sent and refused also how many are opt-outs."""
    records = [
        dg.TableRecord({"channel": channel, **{part: getattr(counts, part) for part in CONSENT_PARTS}})
        for channel, counts in consent.items()
    ]
    columns = [dg.TableColumn("channel", "string"), *(dg.TableColumn(part, "int") for part in CONSENT_PARTS)]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def consent_metadata(consent: Mapping[Channel, ConsentCounts]) -> dict[str, dg.MetadataValue]:
    """The table, and by channel how many were subscribed, unsubscribed and guarded; nothing without consent."""
    plotted = {f"{channel}_{part}": dg.MetadataValue.int(getattr(counts, part)) for channel, counts in consent.items() for part in PLOTTED}
    return {TABLE: table(consent), **plotted} if consent else {}


def read_consent(metadata: Mapping[str, dg.MetadataValue]) -> dict[Channel, ConsentCounts]:
    """The counts that `consent_metadata` wrote down; 0 for a part that the version of that time did not count."""
    held = metadata.get(TABLE)
    records = held.records if isinstance(held, dg.TableMetadataValue) else []
    lines: dict[Any, Any] = {record.data["channel"]: record.data for record in records}
    return {
        channel: ConsentCounts(**{part: lines[channel].get(part, 0) for part in CONSENT_PARTS}) for channel in CHANNELS if channel in lines
    }


def equation(channel: Channel, counts: ConsentCounts) -> str:
    """`email_marketing: 12 stated = 10 sent + 2 guarded`, less the parts that are zero."""
    parts = " + ".join(f"{getattr(counts, fate):,} {fate}" for fate in CONSENT_FATES if getattr(counts, fate)) or "0"
    return f"{channel}: {counts.stated:,} stated {'=' if counts.balanced else '≠'} {parts}"
