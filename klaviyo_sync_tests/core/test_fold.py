"""The fold of statements, beside a model in plain Python that compares every row with every other."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from fold_model import CHANNELS, Channel, Folded, Model, Row, Said
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.frames import arrow, frame_of
from klaviyo_sync.core.mapping import Plan, map_identifiers, map_statements, plan_mapping
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.rivals import LATER, Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(days=4, hours=5)
WINDOWS = 3  # days; rows that were changed after them are later ones
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "mail", "phone", "e", "e_at", "s", "s_at")]
    + [("changed", pa.timestamp("us", "UTC")), ("number", pa.int64())]
)
COLUMNS = [
    Column(name, "TIMESTAMP WITH TIME ZONE" if pa.types.is_timestamp(kind) else "BIGINT" if name == "number" else "VARCHAR")
    for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
]


def plan(undated: str) -> Plan:
    """The plan of a sync with two channels, whose dates are texts."""
    sync = Sync.model_validate(
        {
            "name": "people",
            "connection": "local",
            "dataset": "people",
            "modified_at": "changed",
            "frequency": "daily",
            "start": "2026-01-05",
            "profile": {"external_id": "id", "email": "mail", "phone_number": "phone"},
            "properties": {"Number": "number"},
            "consent": {
                "email_marketing": {"column": "e", "timestamp": "e_at"},
                "sms_marketing": {"column": "s", "timestamp": "s_at"},
                "undated": undated,
            },
        }
    )
    return plan_mapping(sync, COLUMNS, DIALECTS["duckdb"], NOW)


PLANS = {undated: plan(undated) for undated in ("guard", "resubscribe", "ignore")}


class Cell(NamedTuple):
    """A consent cell and the date beside it: a word, hours after the beginning (None: no date), and how the date is written."""

    word: str | None
    hours: int | None
    written: str

    @property
    def text(self) -> str | None:
        """The date as the warehouse has it."""
        return None if self.hours is None else f"{BEGIN + timedelta(hours=self.hours):{FORMATS[self.written]}}"

    def said(self) -> Said | None:
        """What it states."""
        if self.word not in ("Subscribe", "Unsubscribed"):
            return None
        joins, zoneless = self.word == "Subscribe", self.written != "zoned"
        if self.hours is None:
            return Said(joins, None)
        moment = BEGIN + timedelta(hours=self.hours)
        if self.written == "day":
            moment = moment.replace(hour=0) + (timedelta(0) if joins else timedelta(days=1, microseconds=-1))
        if not joins:
            moment = min(moment + (timedelta(hours=14) if zoneless else timedelta(0)), NOW)
        return Said(joins, moment, zoneless)


FORMATS = {"zoned": "%Y-%m-%dT%H:%M:%SZ", "zoneless": "%Y-%m-%d %H:%M:%S", "day": "%Y-%m-%d"}


class Given(NamedTuple):
    """A row of the warehouse, changed so many hours after the beginning."""

    id: str | None
    mail: str | None
    phone: str | None
    e: Cell
    s: Cell
    hours: int

    def cells(self, number: int) -> dict[str, Any]:
        """The row as the warehouse has it."""
        mail = self.mail.upper() if self.mail and number % 3 == 1 else self.mail
        return {
            "id": self.id, "mail": mail, "phone": self.phone, "e": self.e.word, "e_at": self.e.text, "s": self.s.word,
            "s_at": self.s.text, "changed": BEGIN + timedelta(hours=self.hours), "number": number,
        }  # fmt: skip

    def row(self) -> Row:
        """The row as the model has it."""
        said = {"email_marketing": self.mail and self.e.said(), "sms_marketing": self.phone and self.s.said()}
        day = self.hours // 24
        stated: dict[Channel, Said] = {channel: said[channel] for channel in CHANNELS if said[channel]}  # type: ignore[misc]
        return Row(self.id, self.mail, self.phone, stated, BEGIN + timedelta(hours=self.hours), day if day < WINDOWS else LATER)


CELLS = st.builds(
    Cell,
    st.sampled_from([None, None, "Subscribe", "Unsubscribed", "Unsubscribed", "perhaps"]),
    st.one_of(st.none(), st.integers(-6, 12).map(lambda n: n * 8)),
    st.sampled_from(["zoned", "zoned", "zoneless", "day"]),
)
ROWS = st.lists(
    st.builds(
        Given,
        st.sampled_from([None, "1", "2", "3"]),
        st.sampled_from([None, "ada@example.com", "bo@example.com", "cy@example.com"]),
        st.sampled_from([None, None, "+4915123456789", "+4915123456788"]),
        CELLS,
        CELLS,
        st.integers(0, 11).map(lambda n: n * 8),
    ),
    max_size=10,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


def folded(
    connection: duckdb.DuckDBPyConnection, given_rows: Sequence[Given], used: Plan, cuts: Sequence[int] = ()
) -> tuple[Folded, list[Row]]:
    """What the fold makes of the rows, read in pieces; and the rows as the model has them, with their places."""
    rivals = Rivals(connection.cursor(), used)
    try:
        return compared(rivals, given_rows, used, cuts)
    finally:
        rivals.drop()


def compared(  # noqa: C901 - one thing after the other
    rivals: Rivals, given_rows: Sequence[Given], used: Plan, cuts: Sequence[int]
) -> tuple[Folded, list[Row]]:
    """The same, from rivals that hold nothing yet."""
    rows = [one.row() for one in given_rows]
    numbered = list(range(len(rows)))
    pieces = [numbered[start:end] for start, end in zip([0, *cuts], [*cuts, len(numbered)], strict=True) if start < end]
    result = Folded()
    for piece in pieces:
        frame = frame_of(pa.RecordBatch.from_pylist([given_rows[number].cells(number) for number in piece], SCHEMA))
        identifiers = map_identifiers(frame, used)
        stated = map_statements(frame, {path: arrow(identifiers[path]) for path in identifiers.columns}, used)
        windows = np.array([rows[number].window for number in piece])
        identified = np.array(
            [rows[number].place == 0 and any((rows[number].ext, rows[number].mail, rows[number].phone)) for number in piece]
        )
        rivals.add(frame, identifiers, windows, identified, stated)
    if not rivals.waiting:
        return result, []
    rivals.flush()
    rivals.rank()
    phone = rivals.matching.number("phone_number")
    query = f"SELECT rivals.{rivals.cell('number')}, place, ranked.newest, keeps_{phone} FROM rivals "
    query += "JOIN ranked ON ranked.row_ = rivals.rowid JOIN (SELECT row_, place FROM folding) USING (row_)"
    for number, place, newest, keeps in rivals.connection.execute(query).fetchall():
        rows[number].place, rows[number].newest, rows[number].keeps_phone = place, newest, keeps
    by_place = {row.place: row for row in rows}
    for batch in rivals.newest():
        for channel, stated in batch.statements.items():
            for number, meaning, at in zip(batch.frame["number"], stated.meaning.to_pylist(), stated.at.to_pylist(), strict=True):
                if meaning:
                    result.net[rows[number].place, channel] = meaning == "subscribe", at  # type: ignore[index]
    owners = Counter()
    for batch in rivals.opt_outs():
        for position, window in enumerate(batch.windows.tolist()):
            named = {path: cells[position].as_py() for path, cells in batch.identifiers.items()}
            statements = {
                channel: (stated.meaning[position].as_py(), stated.at[position].as_py()) for channel, stated in batch.statements.items()
            }
            spoken = {channel: at for channel, (meaning, at) in statements.items() if meaning}
            assert {meaning for meaning, _ in statements.values()} <= {None, "unsubscribe"}
            address = {"email_marketing": (named["email"] or "").lower(), "sms_marketing": named["phone_number"]}
            kind = {"email_marketing": "mail", "sms_marketing": "phone"}
            model = Model(rows, used.undated, NOW)
            places = {model.owner(kind[channel], address[channel]).place for channel in spoken}
            assert len(places) == 1, "one call is about one row's person"
            [place] = places
            owners[window, place] += 1
            owner = by_place[place]
            if owner.newest and owner.window >= 0:
                assert (named["external_id"], (named["email"] or "").lower()) == (owner.ext, owner.mail or "")
            else:
                assert named["external_id"] is None
                assert (named["email"] is None) == ("email_marketing" not in spoken)
            result.alone[window, place] = {channel: (address[channel], at) for channel, at in spoken.items()}  # type: ignore[assignment]
    assert not owners or max(owners.values()) == 1, "all channels of one person are in one call"
    for aside in rivals.asides:
        result.asides[aside.window, aside.channel, aside.fate, aside.code] += aside.statements  # type: ignore[index]
    return result, [row for row in rows if row.place]


@pytest.mark.parametrize("undated", PLANS)
@given(given_rows=ROWS)
@settings(deadline=None, max_examples=examples(100, quick=25))
def test_the_fold_is_that_of_the_model(connection: duckdb.DuckDBPyConnection, undated: str, given_rows: list[Given]) -> None:
    """What goes out with each row, what goes out alone, and what is counted aside, is what the rules say."""
    result, rows = folded(connection, given_rows, PLANS[undated])
    expected = Model(rows, undated, NOW).fold()
    assert result.net == expected.net
    assert result.alone == expected.alone
    assert result.asides == expected.asides


@pytest.mark.parametrize("undated", PLANS)
@given(given_rows=ROWS, cuts=st.lists(st.integers(0, 10), max_size=3), order=st.randoms())
@settings(deadline=None, max_examples=examples(20))
def test_any_grouping_folds_alike(
    connection: duckdb.DuckDBPyConnection, undated: str, given_rows: list[Given], cuts: list[int], order: Any
) -> None:
    """In whatever order and pieces the rows are read, the same statements go out for the same addresses."""
    one, rows = folded(connection, given_rows, PLANS[undated])
    shuffled = list(given_rows)
    order.shuffle(shuffled)
    other, again = folded(connection, shuffled, PLANS[undated], sorted(min(cut, len(shuffled)) for cut in cuts))

    joins_nothing = False

    def addressed(result: Folded, among: list[Row]) -> dict[tuple[Channel, str], set[bool]]:
        """Which addresses are subscribed or opt out."""
        kind = {"email_marketing": "mail", "sms_marketing": "phone"}
        found: dict[tuple[Channel, str], set[bool]] = defaultdict(set)
        by_place = {row.place: row for row in among}
        for (place, channel), (joins, _) in result.net.items():
            found[channel, getattr(by_place[place], kind[channel])].add(joins)
        for said in result.alone.values():
            for channel, (address, _) in said.items():
                found[channel, address].add(joins_nothing)
        return found

    # Which of two rows of one moment is the newer one is decided by their cells; here a number is among them, which differs.
    if len({one.hours for one in given_rows}) == len(given_rows):
        assert addressed(one, rows) == addressed(other, again)


def test_thousands_of_rivals_fit(connection: duckdb.DuckDBPyConnection) -> None:
    """Households by the hundred, whose opt-outs set out for newer addresses, fold in the memory that the engine has."""
    chance = random.Random(1)
    words = (None, "Subscribe", "Unsubscribed")
    given_rows = [
        Given(
            chance.choice([None, f"{home}-1", f"{home}-2", f"{home}-3"]),
            chance.choice([None, f"ada.{home}@example.com", f"bo.{home}@example.com"]),
            chance.choice([None, f"+49151{10_000_000 + home}"]),
            Cell(chance.choice(words), None, "zoned"),
            Cell(chance.choice(words), None, "zoned"),
            chance.randint(0, 71),
        )
        for home in range(400)
        for _ in range(5)
    ]
    result, rows = folded(connection, given_rows, PLANS["guard"])
    assert len(rows) > 1_900
    assert result.alone
