"""The largest profile: 100,000 bytes of JSON go out, one more does not, and the sandbox counts the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import orjson
import pyarrow as pa
import pytest

from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.frames import frame_with
from klaviyo_sync.core.mapping import map_frame, plan_mapping
from klaviyo_sync.core.packing import MAX_PROFILE_BYTES
from klaviyo_sync.core.prepared import Prepared
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.engine import engine
from klaviyo_sync.sandbox.jobs import size

NOW = datetime(2026, 5, 10, tzinfo=UTC)
KILOBYTES = 100
SYNC = Sync.model_validate(
    {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
        "properties": {"Note": "note"},
    }
)
COLUMNS = [Column("id", "VARCHAR"), Column("note", "VARCHAR"), Column("changed", "TIMESTAMP WITH TIME ZONE")]
PLAN = plan_mapping(SYNC, COLUMNS, DIALECTS["duckdb"], NOW)


def prepared(*notes: str) -> Prepared:
    """What rows with these notes become."""
    columns = {
        "id": pa.array(["c1"] * len(notes)),
        "note": pa.array(notes),
        "changed": pa.array([NOW] * len(notes), pa.timestamp("us", "UTC")),
    }
    frame = frame_with(columns)
    nothing = np.zeros(len(notes), dtype=bool)
    with engine() as connection:
        return prepare_rows(Rows(frame, np.zeros(len(notes), np.int64), map_frame(frame, PLAN), nothing), PLAN, Encoder(connection))


def encoded(note: str) -> bytes:
    """The profile by an encoder of another kind."""
    return orjson.dumps({"type": "profile", "attributes": {"external_id": "c1", "properties": {"Note": note}}})


@pytest.mark.parametrize("mark", ["a", "é", "😀", '"', "\n"])
def test_exactly_one_hundred_kilobytes(mark: str) -> None:
    """A profile of exactly 100,000 bytes goes out and one of 100,001 stays behind, whatever its characters take."""
    room = KILOBYTES * 1_000 - len(encoded(""))
    each = len(encoded(mark)) - len(encoded(""))
    note = mark * (room // each) + "a" * (room % each)
    assert len(encoded(note)) == MAX_PROFILE_BYTES

    ready = prepared(note, note + "a", "small")

    assert [len(text.encode()) - 1 for text in ready.profiles.to_pylist()] == [100_000, len(encoded("small"))]
    assert ready.rejected.tolist() == [1]
    assert ready.issues[["row", "code"]].to_numpy().tolist() == [[1, "profile_too_large"]]


def test_the_sandbox_counts_the_whole_profile() -> None:
    """The sandbox counts the bytes of a profile as it was sent, its type and id included."""
    attributes = {"external_id": "c1", "properties": {"Note": "x"}}
    plain = {"type": "profile", "attributes": attributes}
    known = {"type": "profile", "id": "01H", "attributes": attributes}

    assert size((orjson.dumps(attributes), ("c1", None, None), None)) == len(orjson.dumps(plain))
    assert size((orjson.dumps(attributes), ("c1", None, None), {"type": "profile", "id": "01H"})) == len(orjson.dumps(known))
