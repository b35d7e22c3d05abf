"""Consent: the words and dates of a sync's consent columns, as statements or issues. Never a guess."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import Flag, as_text, trimmed, without_marks
from klaviyo_sync.core.consent_dates import MOMENT, OLDEST, no_dates, opt_out_date, read_dates
from klaviyo_sync.core.consent_words import Meaning, meaning_of, own_word
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import arrow, by_distinct, keep_where
from klaviyo_sync.core.issues import MAYBE_OPT_OUTS, OPT_OUT_WITHOUT_IDENTIFIER, UNKNOWN_WORD
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.sync import Channel

# The identifier that a channel's consent belongs to: https://help.klaviyo.com/hc/en-us/articles/115005078807
CHANNEL_IDENTIFIER: dict[Channel, str] = {
    "email_marketing": "email",
    "sms_marketing": "phone_number",
    "sms_transactional": "phone_number",
    "whatsapp_marketing": "phone_number",
    "whatsapp_transactional": "phone_number",
}

# A date that is ahead of now by less than this is most likely a local time that lost its zone.
NEAR_FUTURE = timedelta(days=1)


@dataclass(frozen=True)
class ConsentTarget:
    """The columns of one channel and their kinds. A date column alone means subscribe, as in Klaviyo's files.

    `zone` is that of dates without one, `zone_known` whether the configuration names it. `words` are the sync's own, as compared;
    `holds` says that a row with an unknown word stays behind.
    """

    channel: Channel
    column: str | None
    kind: Kind
    dated: str | None
    dated_kind: Kind
    zone: ZoneInfo
    zone_known: bool = False
    words: Mapping[str, Meaning] = field(default_factory=dict)
    holds: bool = False

    @property
    def named(self) -> str:
        """The column to name in issues."""
        return self.column or self.dated or ""


class Statements(NamedTuple):
    """What the rows state for one channel.

    `meaning`: subscribe, unsubscribe or NULL. `at`: when (timestamp us UTC), NULL when undated; of a subscribe it is the date to send,
    of an opt-out the latest that it can have been made. `zoneless`: the date has no zone.
    """

    meaning: pa.Array
    at: pa.Array
    zoneless: pa.Array
    flags: tuple[tuple[str, Flag], ...]

    def maybe_opt_outs(self) -> pa.Array:
        """Which rows hold an unknown word, or an opt-out whose address is not usable (booleans)."""
        found = pa.repeat(pa.scalar(value=False), len(self.meaning))
        for _, flag in self.flags:
            if flag.code in MAYBE_OPT_OUTS:
                found = pc.or_(found, pc.fill_null(flag.where, fill_value=False))
        return found


def meanings(cells: pa.Array, target: ConsentTarget, zone: ZoneInfo) -> pa.Array:
    """The meaning of each cell, NULL for blank ones and unknown words."""
    texts, _ = words_in(cells, target, zone)
    return by_distinct(texts, meaning_of(target.words))


def words_in(cells: pa.Array, target: ConsentTarget, zone: ZoneInfo) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The words of some cells, without white space and a spreadsheet's marks around them, and the flag of those that had marks.

    NULL for blank cells. A word of the sync's own that looks marked is left as it is.
    """
    texts = trimmed(as_text(cells, target.kind, zone))
    bare, flags = without_marks(texts)
    if not flags:
        return texts, ()
    marked = pc.and_not(flags[0].where, pc.is_in(by_distinct(texts, own_word), pa.array(list(target.words), pa.string())))
    return pc.if_else(marked, bare, texts), (Flag(flags[0].code, marked),)


def word_counts(target: ConsentTarget, frame: pd.DataFrame, zone: ZoneInfo) -> Counter[tuple[str, str]]:
    """How many rows hold each of the sync's own words, by (word, meaning); all others are left out."""
    if target.column is None or not target.words:
        return Counter()
    texts, _ = words_in(arrow(frame[target.column]), target, zone)
    words = by_distinct(texts, own_word)
    known = words.filter(pc.is_in(words, pa.array(list(target.words), pa.string())))
    return Counter({(each["values"], target.words[each["values"]]): each["counts"] for each in known.value_counts().to_pylist()})


def state(
    target: ConsentTarget,
    frame: pd.DataFrame,
    identifiers: Mapping[str, pa.Array],
    now: datetime,
    zone: ZoneInfo,
    *,
    repaired: Mapping[str, pa.Array] = MappingProxyType({}),
) -> Statements:
    """What each row states for a channel; `identifiers` hold the cleaned attributes of the same rows.

    `repaired` has addresses for opt-outs alone, by path, of rows whose own are not usable.

    A date that is not one, or lies in the future, takes a subscribe with it; an opt-out stands without its date. A zero date is no date.
    """
    flags: list[tuple[str, Flag]] = []
    dates = no_dates(len(frame))
    if target.dated is not None:
        dates = read_dates(arrow(frame[target.dated]), target.dated_kind, target.zone, zone_known=target.zone_known)
    future = pc.fill_null(pc.greater(dates.first, pa.scalar(now, MOMENT)), fill_value=False)
    near = pc.and_(future, pc.fill_null(pc.less(dates.first, pa.scalar(now + NEAR_FUTURE, MOMENT)), fill_value=False))
    early = pc.fill_null(pc.less(dates.first, pa.scalar(OLDEST, MOMENT)), fill_value=False)
    if target.column is None:
        meaning = keep_where(pc.or_(dates.first.is_valid(), dates.wrong), pa.repeat("subscribe", len(frame)))
    else:
        texts, marks = words_in(arrow(frame[target.column]), target, zone)
        meaning = by_distinct(texts, meaning_of(target.words))
        unknown = pc.and_(texts.is_valid(), meaning.is_null())
        flags += [(target.column, flag) for flag in marks]
        flags.append((target.column, Flag(UNKNOWN_WORD, unknown)))
        if target.holds:
            flags.append((target.column, Flag("held_for_consent", unknown)))
        meaning = keep_where(pc.not_equal(meaning, "nothing"), meaning)
    stated = meaning.is_valid()
    if target.dated is not None:
        about_zero = dates.zero if target.column is None else pc.and_(stated, dates.zero)
        flags.append((target.dated, Flag("zero_consent_date", about_zero)))
        flags.append((target.dated, Flag("consent_date_raised", pc.and_(stated, early))))
        flags.append((target.dated, Flag("invalid_consent_date", pc.and_(stated, dates.wrong))))
        flags.append((target.dated, Flag("consent_date_just_ahead", pc.and_(stated, near))))
        flags.append((target.dated, Flag("consent_date_in_future", pc.and_(stated, pc.and_not(future, near)))))
        undatable = pc.and_(pc.equal(meaning, "subscribe"), pc.or_(dates.wrong, future))
        meaning = keep_where(pc.invert(pc.fill_null(undatable, fill_value=False)), meaning)
    path = CHANNEL_IDENTIFIER[target.channel]
    opt_outs = pc.fill_null(pc.equal(meaning, "unsubscribe"), fill_value=False)
    reachable = identifiers.get(path, pa.nulls(len(frame), pa.string())).is_valid()
    if path in repaired:
        reachable = pc.or_(reachable, pc.and_(repaired[path].is_valid(), opt_outs))
    lost = pc.and_(meaning.is_valid(), pc.invert(reachable))
    flags.append((target.named, Flag("consent_without_identifier", pc.and_not(lost, opt_outs))))
    flags.append((target.named, Flag(OPT_OUT_WITHOUT_IDENTIFIER, pc.and_(lost, opt_outs))))
    meaning = keep_where(reachable, meaning)
    subscribes = pc.fill_null(pc.equal(meaning, "subscribe"), fill_value=False)
    at = pc.if_else(subscribes, dates.first, opt_out_date(dates, now))
    at = pc.if_else(pc.and_(early, at.is_valid()), pa.scalar(OLDEST, MOMENT), at)
    at = keep_where(pc.and_(meaning.is_valid(), pc.invert(future)), at)
    return Statements(meaning, at, pc.and_(dates.zoneless, at.is_valid()), tuple(flags))
