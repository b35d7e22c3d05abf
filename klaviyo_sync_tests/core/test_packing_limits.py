"""Packing: limits hold, nothing is lost, order is kept, and no cutting in order needs fewer requests."""

from __future__ import annotations

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klaviyo_sync.core.packing import MAX_BYTES, MAX_PROFILE_BYTES, Batch, Envelope, import_envelope, pack

ENVELOPE = Envelope(b"[", b"]")


def piece(numbers: list[int], sizes: list[int]) -> tuple[pa.Array, pa.Table]:
    """Profiles of these sizes (bytes, without the comma), and their rows."""
    texts = [orjson.dumps("x" * (size - 2)).decode() + "," for size in sizes]
    rows = pa.table({"window": pa.array([0] * len(numbers), pa.int32()), "key": pa.array([str(number) for number in numbers], pa.string())})
    return pa.array(texts, pa.large_string()), rows


def pieces(shape: list[list[int]]) -> list[tuple[pa.Array, pa.Table]]:
    """Pieces of profiles numbered through; every second one is a slice of a longer array."""
    made, number = [], 0
    for position, sizes in enumerate(shape):
        numbers = list(range(number, number + len(sizes)))
        number += len(sizes)
        if position % 2 == 0:
            made.append(piece(numbers, sizes))
        else:
            profiles, rows = piece([-1, *numbers, -1], [9, *sizes, 9])
            made.append((profiles.slice(1, len(sizes)), rows.slice(1, len(sizes))))
    return made


def names(batch: Batch) -> list[int]:
    """The numbers of a batch's rows."""
    return [int(name) for name in batch.rows.column("key").to_pylist()]


def sizes_sent(batch: Batch) -> list[int]:
    """The sizes of the profiles that a batch's body holds."""
    return [len(text) + 2 for text in orjson.loads(bytes(batch.body()))]


SHAPES = st.lists(st.lists(st.integers(2, 40), max_size=12), max_size=8)


@given(shape=SHAPES, max_profiles=st.integers(1, 7), max_bytes=st.integers(42, 120))
@settings(deadline=None)
def test_batches(shape: list[list[int]], max_profiles: int, max_bytes: int) -> None:
    """Each batch is within the limits, together they hold every profile once and in order, and each is as full as it can be."""
    batches = list(pack(pieces(shape), ENVELOPE, max_profiles=max_profiles, max_bytes=max_bytes))
    sizes = [size for some in shape for size in some]
    assert [number for batch in batches for number in names(batch)] == list(range(len(sizes)))
    assert [size for batch in batches for size in sizes_sent(batch)] == sizes
    for batch in batches:
        assert 1 <= len(batch) == batch.rows.num_rows <= max_profiles
        assert batch.size == len(batch.body()) <= max_bytes
    assert len(batches) == fewest(sizes, max_profiles, max_bytes)


def fewest(sizes: list[int], max_profiles: int, max_bytes: int) -> int:
    """The fewest requests that any cutting in order needs: the shortest way over all cuts."""
    best = [0] + [len(sizes)] * len(sizes)
    for stop in range(1, len(sizes) + 1):
        for start in range(max(0, stop - max_profiles), stop):
            if ENVELOPE.size + sum(sizes[start:stop]) + stop - start - 1 <= max_bytes:
                best[stop] = min(best[stop], best[start] + 1)
    return best[-1]


@given(shape=SHAPES.filter(any), data=st.data())
@settings(deadline=None)
def test_parts_of_batches(shape: list[list[int]], data: st.DataObject) -> None:
    """A batch less some positions, its halves and any part hold what they say, and their bodies are JSON."""
    [batch] = pack(pieces(shape), ENVELOPE, max_profiles=1_000, max_bytes=100_000)
    sizes, everything = sizes_sent(batch), names(batch)
    gone = data.draw(st.sets(st.integers(0, len(batch) - 1)))
    left = batch.without(gone)
    assert names(left) == [number for number in everything if number not in gone]
    if len(left):
        assert sizes_sent(left) == [size for position, size in enumerate(sizes) if position not in gone]
        assert left.size == len(left.body())
    first, second = batch.halves()
    assert names(first) + names(second) == everything
    assert 0 <= len(second) - len(first) <= 1
    start = data.draw(st.integers(0, len(batch) - 1))
    stop = data.draw(st.integers(start + 1, len(batch)))
    part = batch.part(start, stop)
    assert (names(part), sizes_sent(part), part.size) == (everything[start:stop], sizes[start:stop], len(part.body()))
    assert batch.size == len(batch.body())


def test_a_profile_that_fits_no_request() -> None:
    """A profile larger than a request is an error of the caller, not an endless loop."""
    with pytest.raises(ValueError, match="100 bytes"):
        list(pack(pieces([[100]]), ENVELOPE, max_bytes=101))


def test_the_largest_profile_fits() -> None:
    """Klaviyo's limits leave room for its largest profile, with any list."""
    assert import_envelope("x" * 1_000).size + MAX_PROFILE_BYTES < MAX_BYTES
