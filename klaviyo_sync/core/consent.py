"""Consent: the words and dates of a sync's consent columns, as statements or issues. Never a guess.

The words are those of Klaviyo's file uploads (https://help.klaviyo.com/hc/en-us/articles/115005251128 for e-mail,
https://help.klaviyo.com/hc/en-us/articles/360035428731 for text messages) and of its API and exports. Klaviyo publishes no rule on
their spelling (unverified), so case, spaces, hyphens and underscores do not count. Booleans are refused there too
(https://help.klaviyo.com/hc/en-us/articles/8557592023451).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import Flag, as_text, trimmed
from klaviyo_sync.core.cleaning.moments import existing_days, in_zone, parsed_moments, within_calendar
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import arrow, keep_where
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.sync import Channel

Meaning = Literal["subscribe", "unsubscribe", "nothing"]

WORDS: dict[str, Meaning] = {
    "subscribe": "subscribe",
    "subscribed": "subscribe",
    "unsubscribed": "unsubscribe",
    "neversubscribed": "nothing",
}

# The identifier that a channel's consent belongs to: https://help.klaviyo.com/hc/en-us/articles/115005078807
CHANNEL_IDENTIFIER: dict[Channel, str] = {
    "email_marketing": "email",
    "sms_marketing": "phone_number",
    "sms_transactional": "phone_number",
    "whatsapp_marketing": "phone_number",
    "whatsapp_transactional": "phone_number",
}

# The oldest date that Klaviyo keeps: https://help.klaviyo.com/hc/en-us/articles/360037101072
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class ConsentTarget:
    """The columns of one channel and their kinds. A date column alone means subscribe, as in Klaviyo's files."""

    channel: Channel
    column: str | None
    kind: Kind
    dated: str | None
    dated_kind: Kind

    @property
    def named(self) -> str:
        """The column to name in issues."""
        return self.column or self.dated or ""


class Statements(NamedTuple):
    """What the rows state for one channel: `meaning` (subscribe, unsubscribe or NULL), `at` (UTC moments, NULL when undated)."""

    meaning: pa.Array
    at: pa.Array
    flags: tuple[tuple[str, Flag], ...]


def moments(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> tuple[pa.Array, pa.Array]:
    """The dates of a column in UTC, and which cells hold something that is not one. A day stands for its start in the sync's zone."""
    if kind == "instant":
        found = within_calendar(cells.cast(MOMENT, safe=False))
    elif kind in ("wall", "date"):
        found = in_zone((within_calendar(cells) if kind == "date" else cells).cast(pa.timestamp("us"), safe=False), zone)
    else:
        cells = trimmed(as_text(cells, kind, zone))
        days = keep_where(pc.match_substring_regex(cells, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), cells)
        found = pc.coalesce(parsed_moments(cells, zone), in_zone(existing_days(days).cast(pa.timestamp("us")), zone))
    return found, pc.and_(cells.is_valid(), found.is_null())


def meanings(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> tuple[pa.Array, pa.Array]:
    """The meaning of each cell (NULL for blank ones and unknown words), and which cells hold an unknown word."""
    texts = trimmed(as_text(cells, kind, zone))
    words = pc.replace_substring_regex(pc.utf8_lower(texts), r"[\s\x{00a0}_-]", "")
    known = pa.array(list(WORDS))
    found = pc.take(pa.array(list(WORDS.values())), pc.index_in(words, known))
    return found, pc.and_(texts.is_valid(), found.is_null())


def state(target: ConsentTarget, frame: pd.DataFrame, identifiers: Mapping[str, pa.Array], now: datetime, zone: ZoneInfo) -> Statements:
    """What each row states for a channel; `identifiers` hold the cleaned attributes of the same rows.

    A date that is not one, or lies in the future, takes a subscribe with it; an opt-out stands without its date.
    """
    nobody = pa.nulls(len(frame), pa.string())
    flags: list[tuple[str, Flag]] = []
    at, wrong_date = pa.nulls(len(frame), MOMENT), pa.repeat(pa.scalar(value=False), len(frame))
    future = early = wrong_date
    if target.dated is not None:
        at, wrong_date = moments(arrow(frame[target.dated]), target.dated_kind, zone)
        future = pc.fill_null(pc.greater(at, pa.scalar(now, MOMENT)), fill_value=False)
        early = pc.fill_null(pc.less(at, pa.scalar(OLDEST, MOMENT)), fill_value=False)
        at = pc.if_else(early, pa.scalar(OLDEST, MOMENT), keep_where(pc.invert(future), at))
    if target.column is None:
        meaning = keep_where(pc.or_(at.is_valid(), pc.or_(wrong_date, future)), pa.repeat("subscribe", len(frame)))
    else:
        meaning, unknown = meanings(arrow(frame[target.column]), target.kind, zone)
        flags.append((target.column, Flag("unknown_consent_word", unknown)))
        meaning = keep_where(pc.not_equal(meaning, "nothing"), meaning)
    stated = meaning.is_valid()
    if target.dated is not None:
        flags.append((target.dated, Flag("consent_date_raised", pc.and_(stated, early))))
        flags.append((target.dated, Flag("invalid_consent_date", pc.and_(stated, wrong_date))))
        flags.append((target.dated, Flag("consent_date_in_future", pc.and_(stated, future))))
        undatable = pc.and_(pc.equal(meaning, "subscribe"), pc.or_(wrong_date, future))
        meaning = keep_where(pc.invert(pc.fill_null(undatable, fill_value=False)), meaning)
    reachable = identifiers.get(CHANNEL_IDENTIFIER[target.channel], nobody).is_valid()
    flags.append((target.named, Flag("consent_without_identifier", pc.and_(meaning.is_valid(), pc.invert(reachable)))))
    meaning = keep_where(reachable, meaning)
    return Statements(meaning, keep_where(meaning.is_valid(), at), tuple(flags))
