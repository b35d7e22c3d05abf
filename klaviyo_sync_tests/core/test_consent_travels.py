"""Statements travel with the rows of their batch, and their counts add up."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.consent_counts import CONSENT_FATES, ConsentCounts
from klaviyo_sync.core.consent_result import MEANINGS, STATED, UNSTATED, ConsentOutcome, Ledger
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.frames import frame_of
from klaviyo_sync.core.mapping import map_frame, plan_mapping
from klaviyo_sync.core.packing import import_envelope, pack
from klaviyo_sync.core.profiles import Prepared, prepare_rows
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.sync import Sync

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SYNC = Sync.model_validate(
    {
        "name": "members",
        "connection": "local",
        "dataset": "members",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"email": "email"},
        "consent": {"email_marketing": {"column": "word", "timestamp": "at"}, "age_gated_date_of_birth": "born"},
    }
)


def made(words: list[str | None], emails: list[str] | None = None) -> Prepared:
    """What rows become, one per word."""
    table = pa.table(
        {
            "email": pa.array(emails or [f"p{n}@shop.example" for n in range(len(words))]),
            "word": pa.array(words, pa.string()),
            "at": pa.array([NOW] * len(words), pa.timestamp("us", "UTC")),
            "born": pa.array(["1990-02-01"] * len(words)),
            "changed": pa.array([NOW] * len(words), pa.timestamp("us", "UTC")),
        }
    )
    columns = [Column(name, "TIMESTAMP WITH TIME ZONE" if name in ("at", "changed") else "VARCHAR") for name in table.column_names]
    plan = plan_mapping(SYNC, columns, DIALECTS["duckdb"], NOW)
    frame = frame_of(table)
    rows = Rows(frame, np.zeros(len(words), np.int32), map_frame(frame, plan), held=np.zeros(len(words), bool))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET arrow_large_buffer_size = true")
        return prepare_rows(rows, plan, Encoder(connection))


def prepared(words: list[str | None]) -> pa.Table:
    """The rows of a batch made of two such pieces."""
    ready = made(words)
    return next(pack([*ready.pieces(), *ready.pieces()], import_envelope())).rows


def test_the_columns() -> None:
    """A batch's rows hold word, date and date of birth; batches that are put together keep their type."""
    rows = prepared(["Subscribe", "UNSUBSCRIBED", "never subscribed", None, "maybe"])
    assert rows.schema.field("consent_email_marketing").type == STATED
    assert rows["consent_email_marketing"].to_pylist() == ["subscribe", "unsubscribe", None, None, None] * 2
    assert rows["consent_email_marketing_at"].to_pylist()[:3] == [NOW, NOW, None]
    assert rows["age_gated_date_of_birth"].to_pylist() == ["1990-02-01"] * 10


def test_nine_bytes_a_row() -> None:
    """What many batches under way hold of consent stays small."""
    rows = prepared(["Subscribe"] * 1_000).select(["consent_email_marketing", "consent_email_marketing_at"])
    assert rows.nbytes < 12 * len(rows)


def test_statements_that_cannot_go_out_are_counted() -> None:
    """Unknown words, words without an identifier, and words of rows that stay behind; not the blank ones, and not the good ones."""
    words = ["Subscribe", "maybe", None, "Subscribe", "never subscribed"]
    emails = ["a@shop.example", "b@shop.example", "c@shop.example", "nobody", "nobody"]
    ready = made(words, emails)
    assert ready.rejected.tolist() == [3, 4]
    assert ready.rejected_statements["email_marketing"].tolist() == [1, 3]


COUNTS = st.builds(ConsentCounts, **{fate: st.integers(0, 99) for fate in ("stated", *CONSENT_FATES)})


@given(COUNTS, COUNTS)
def test_counts_add_up(one: ConsentCounts, other: ConsentCounts) -> None:
    """The sum of two counts has the sums of all their parts."""
    both = one + other
    assert all(getattr(both, fate) == getattr(one, fate) + getattr(other, fate) for fate in ("stated", *CONSENT_FATES))
    assert both == other + one
    assert one + ConsentCounts() == one


@given(st.lists(st.tuples(st.sampled_from([*range(len(CONSENT_FATES)), UNSTATED]), st.booleans(), st.integers(0, 2))))
def test_every_statement_is_counted_once(cells: list[tuple[int, bool, int]]) -> None:
    """The counts of the windows are balanced and add up to those of the batch."""
    words = pa.array([int(out) for _, out, _ in cells], pa.int8())
    rows = pa.table(
        {
            "window": pa.array([window for *_, window in cells], pa.int32()),
            "consent_sms_marketing": pa.DictionaryArray.from_arrays(words, MEANINGS),
        }
    )
    fates = np.array([[fate] for fate, *_ in cells], np.uint8).reshape(len(cells), 1)
    found = ConsentOutcome(rows, ("sms_marketing",), fates)
    total = found.counts()["sms_marketing"]
    parts = sum((found.counts(window)["sms_marketing"] for window in range(3)), ConsentCounts())
    assert total == parts
    assert total.balanced
    assert total.stated == sum(fate != UNSTATED for fate, *_ in cells)
    assert total.unsubscribed == sum(fate == 0 and out for fate, out, _ in cells)


def test_nothing_is_settled_twice() -> None:
    """A statement has one fate."""
    ledger = Ledger(prepared(["Subscribe"]))
    ledger.settle(0, "email_marketing", "sent")
    with pytest.raises(ValueError, match="twice"):
        ledger.settle(0, "email_marketing", "refused")
