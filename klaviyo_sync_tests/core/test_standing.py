"""Opt-outs of superseded rows: which of them stand, beside a model in plain Python that looks at every pair of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.consent_result import dated_column, outweighed_column, stated_column
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.mapping import Plan, plan_mapping
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.reading import newest_rows, notice_all
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Channel, Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = BEGIN + timedelta(days=2)
WINDOWS = [Window(str(n), BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR) for n in range(3)]
END = 180  # minutes
CHANNELS: tuple[Channel, Channel] = ("email_marketing", "sms_marketing")
SCHEMA = pa.schema(
    [("id", pa.string()), ("mail", pa.string()), ("phone", pa.string())]
    + [column for name in ("e", "s") for column in ((name, pa.string()), (f"{name}_at", pa.timestamp("us", "UTC")))]
    + [("changed", pa.timestamp("us", "UTC"))]
)
COLUMNS = [
    Column(name, "TIMESTAMP WITH TIME ZONE" if pa.types.is_timestamp(kind) else "VARCHAR")
    for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
]


def plan(undated: str) -> Plan:
    """The plan of a sync with two channels."""
    sync = Sync.model_validate(
        {
            "name": "people",
            "connection": "local",
            "dataset": "people",
            "modified_at": "changed",
            "frequency": "hourly",
            "start": "2026-01-01",
            "profile": {"external_id": "id", "email": "mail", "phone_number": "phone"},
            "consent": {
                "email_marketing": {"column": "e", "timestamp": "e_at"},
                "sms_marketing": {"column": "s", "timestamp": "s_at"},
                "undated": undated,
            },
        }
    )
    return plan_mapping(sync, COLUMNS, DIALECTS["duckdb"], NOW)


PLANS = {undated: plan(undated) for undated in ("guard", "resubscribe")}


class Said(NamedTuple):
    """What a row says for a channel, and its date."""

    word: str | None
    at: datetime | None


class Row(NamedTuple):
    """A row of the warehouse, changed so many minutes after the beginning."""

    id: str | None
    mail: str | None
    phone: str | None
    e: Said
    s: Said
    minutes: int

    @property
    def changed(self) -> datetime:
        return BEGIN + timedelta(minutes=self.minutes)

    def key(self, channel: Channel) -> str | None:
        """The identifier that a channel is about."""
        return self.mail if channel == "email_marketing" else self.phone

    def opts_out(self, channel: Channel) -> datetime | None:
        """When the row opts out of a channel; None when it does not."""
        word, at = self.e if channel == "email_marketing" else self.s
        return (at or self.changed) if word == "Unsubscribed" and self.key(channel) else None

    def subscribes(self, channel: Channel, undated: str) -> datetime | None:
        """The date of a subscribe that can outweigh an opt-out; None when there is none."""
        word, at = self.e if channel == "email_marketing" else self.s
        if word != "Subscribe" or not self.key(channel):
            return None
        return at or (datetime.max.replace(tzinfo=UTC) if undated == "resubscribe" else None)

    def cells(self) -> dict[str, Any]:
        """The row as the warehouse has it."""
        mail = self.mail.upper() if self.mail and self.minutes % 2 else self.mail
        return {
            "id": self.id, "mail": mail, "phone": self.phone, "e": self.e.word, "e_at": self.e.at,
            "s": self.s.word, "s_at": self.s.at, "changed": self.changed,
        }  # fmt: skip


# Dates before, between and after the changes of rows, some of them at the very moment of one.
DATES = st.one_of(st.none(), st.integers(-3, 10).map(lambda n: BEGIN + n * timedelta(minutes=30)))
SAID = st.builds(Said, st.sampled_from([None, "Subscribe", "Unsubscribed", "Unsubscribed", "perhaps", "Never Subscribed"]), DATES)
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "1", "2", "3"]),
        st.sampled_from([None, "ada@example.com", "bo@example.com"]),
        st.sampled_from([None, "+4915123456789", "+4915123456788"]),
        SAID,
        SAID,
        st.integers(0, 8).map(lambda n: n * 30),
    ),
    max_size=12,
    unique_by=lambda row: row[-1],
).map(lambda rows: [Row(*row) for row in rows])


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


def batches(rows: Sequence[Row]) -> list[pa.RecordBatch]:
    """The rows as the warehouse gives them, a few at a time."""
    return [pa.RecordBatch.from_pylist([row.cells() for row in rows[n : n + 4]], SCHEMA) for n in range(0, len(rows), 4)]


def newer_of(row: Row, rows: Sequence[Row], channel: Channel) -> list[Row]:
    """The newer rows of the same address."""
    return [other for other in rows if other.minutes > row.minutes and row.key(channel) and other.key(channel) == row.key(channel)]


def superseded(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a newer row has any identifier of this one."""
    return any(
        other.minutes > row.minutes and any(mine and mine == theirs for mine, theirs in zip(row[:3], other[:3], strict=True))
        for other in rows
    )


def stands(row: Row, rows: Sequence[Row], channel: Channel, undated: str) -> bool:
    """Whether the row opts out and no newer row of the address says the same, or subscribes later."""
    out = row.opts_out(channel)
    newer = newer_of(row, rows, channel)
    if out is None or any(other.opts_out(channel) for other in newer):
        return False
    return not any((joined := other.subscribes(channel, undated)) and joined > out for other in newer)


@pytest.mark.parametrize("undated", PLANS)
@given(rows=ROWS)
@settings(deadline=None, max_examples=examples(300))
def test_the_opt_outs_that_stand(connection: duckdb.DuckDBPyConnection, undated: str, rows: list[Row]) -> None:
    """Of superseded rows exactly the opt-outs that stand go out, and exactly the subscribes against them are marked."""
    inside, later = ([row for row in rows if (row.minutes >= END) == after] for after in (False, True))
    used, rivals, tally = PLANS[undated], Rivals(connection.cursor(), PLANS[undated]), Tally(WINDOWS)
    notice_all(batches(rows), used, rivals)
    found: Counter[tuple[object, ...]] = Counter()
    outweighed: set[tuple[object, ...]] = set()
    going = 0
    encoder = Encoder(connection)
    for part in newest_rows(batches(inside), lambda: batches(later), used, rivals, tally):
        ready = prepare_rows(part, used, encoder)
        tally.add_prepared(ready, part.windows)
        going += len(ready.rows)
        for channel in CHANNELS:
            marked = ready.rows.filter(ready.rows[outweighed_column(channel)])
            outweighed |= {
                (channel, row["email"], row["phone_number"], row["window"])
                for row in marked.to_pylist()
                if row[stated_column(channel)] == "subscribe"
            }
            for row in ready.opt_outs.to_pylist() if part.superseded else ():
                if row[stated_column(channel)] is not None:
                    assert row[stated_column(channel)] == "unsubscribe"
                    place = (row["email"] or "").lower(), row["phone_number"] or "", row["external_id"] or ""
                    found[(channel, *place, row["window"], row[dated_column(channel)])] += 1
                    others = {name for name in CHANNELS if name != channel and row[stated_column(name)] is not None}
                    assert not others, "an e-mail address and a number in one person"
    expected = Counter(
        (channel, row.mail or "", row.phone or "", row.id or "", row.minutes // 60, row.e.at if channel == "email_marketing" else row.s.at)
        for row in inside
        for channel in CHANNELS
        if superseded(row, rows) and stands(row, rows, channel, undated)
    )
    assert found == expected
    against = {
        (channel, row.mail, row.phone, row.minutes // 60)
        for row in inside
        for channel in CHANNELS
        if not superseded(row, rows)
            and (row.e if channel == "email_marketing" else row.s).word == "Subscribe"
        and any(
            stands(other, rows, channel, undated)
            for other in rows
            if other is not row and row.key(channel) and other.key(channel) == row.key(channel)
        )
    }
    assert {(channel, mail and str(mail).lower(), *rest) for channel, mail, *rest in outweighed} == against
    assert going + int(tally.counts["superseded"].sum()) + int(tally.counts["rejected"].sum()) == len(inside)
