"""Batches: what one import request holds. Profiles are encoded once, before this; here they are only cut and joined.

Limits of one import job: 10,000 profiles, 5 MB of body, 100 KB a profile
(https://developers.klaviyo.com/en/reference/bulk_import_profiles). MB is not defined there, so the smaller
reading, 5,000,000 bytes with the envelope, is the one that holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa

MAX_PROFILES = 10_000
MAX_BYTES = 5_000_000
MAX_PROFILE_BYTES = 100_000


@dataclass(frozen=True)
class Envelope:
    """The bytes before and after the profiles of one request."""

    head: bytes
    tail: bytes

    @property
    def size(self) -> int:
        """Bytes that the envelope takes from the limit."""
        return len(self.head) + len(self.tail)


def import_envelope(list_id: str | None = None) -> Envelope:
    """The envelope of a bulk import job, joining its profiles to a list when one is given."""
    mark = "\0profiles\0"
    data: dict[str, object] = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": [mark]}}}
    if list_id is not None:
        data["relationships"] = {"lists": {"data": [{"type": "list", "id": list_id}]}}
    head, _, tail = orjson.dumps({"data": data}).partition(orjson.dumps(mark))
    return Envelope(head, tail)


def text_offsets(chunk: pa.Array) -> np.ndarray:
    """Where each text of a large_string array starts in its buffer, and where the last one ends (int64)."""
    offsets = np.frombuffer(chunk.buffers()[1], np.int64)
    return offsets[chunk.offset : chunk.offset + len(chunk) + 1]


def text_view(chunk: pa.Array) -> memoryview:
    """The bytes of all texts of a large_string array, one after the other, not copied."""
    if len(chunk) == 0:
        return memoryview(b"")
    offsets = text_offsets(chunk)
    return memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]]


class SizedBody(Protocol):
    """A request body that says how many bytes it has, and gives them piece by piece, as often as it is asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes | memoryview]: ...


@dataclass(frozen=True)
class Body:
    """A request body that is sent piece by piece, as often as it is asked for, without ever being copied into one."""

    pieces: tuple[bytes | memoryview, ...]

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self.pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


@dataclass(frozen=True)
class Batch:
    """The profiles of one request, and the rows that they came from.

    `profiles` holds one JSON text per profile, each ending in a comma (large_string). `rows` has as many rows:
    `window` (int32, position of the window in the run), `key` (string, names the row to its owner) and one string
    column per identifier as it is sent (`email`, `phone_number`, `external_id`, `id`; NULL where there is none).
    """

    envelope: Envelope
    profiles: pa.ChunkedArray
    rows: pa.Table

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return self.envelope.size + sum(len(text_view(chunk)) for chunk in self.profiles.chunks) - 1

    def body(self) -> Body:
        """The request body, as it is sent."""
        views = [text_view(chunk) for chunk in self.profiles.chunks if len(chunk)]
        if views:
            views[-1] = views[-1][:-1]  # the last comma
        return Body((self.envelope.head, *views, self.envelope.tail))

    def without(self, positions: Collection[int]) -> Batch:
        """The batch less the profiles at these positions."""
        keep = np.ones(len(self), dtype=bool)
        keep[list(positions)] = False
        mask = pa.array(keep)
        return Batch(self.envelope, self.profiles.filter(mask), self.rows.filter(mask))

    def part(self, start: int, stop: int) -> Batch:
        """The profiles from `start` up to `stop`, without copying."""
        return Batch(self.envelope, self.profiles.slice(start, stop - start), self.rows.slice(start, stop - start))

    def halves(self) -> tuple[Batch, Batch]:
        """The first and the second half."""
        middle = len(self) // 2
        return self.part(0, middle), self.part(middle, len(self))


def owned(table: pa.Table) -> pa.Table:
    """The table with memory of its own, each column in one chunk.

    A slice keeps its whole array in memory, and a column that came out of a database keeps all columns of its record batch: they are
    imported together, and released together (https://arrow.apache.org/docs/format/CDataInterface.html#member-allocation).
    """
    columns = [pa.concat_arrays([*column.chunks, column.chunk(0).slice(0, 0)]) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def pack(
    pieces: Iterable[tuple[pa.Array, pa.Table]], envelope: Envelope, *, max_profiles: int = MAX_PROFILES, max_bytes: int = MAX_BYTES
) -> Iterator[Batch]:
    """Batches, each as full as the limits allow, in the order in which the profiles come.

    `pieces` are (profiles, rows) of equal length as in Batch, no profile larger than `max_bytes` less the envelope.
    """
    budget = max_bytes - envelope.size + 1  # the last comma is not sent
    texts: list[pa.Array] = []
    tables: list[pa.Table] = []
    count = size = 0

    def batch() -> Batch:
        return Batch(envelope, pa.chunked_array(texts, pa.large_string()), pa.concat_tables(tables))

    for profiles, rows in pieces:
        offsets = text_offsets(profiles)
        start = 0
        while start < len(profiles):
            stop = int(np.searchsorted(offsets, offsets[start] + budget - size, side="right")) - 1
            stop = min(stop, len(profiles), start + max_profiles - count)
            if stop > start:
                texts.append(profiles.slice(start, stop - start))
                tables.append(owned(rows.slice(start, stop - start)))
                count += stop - start
                size += int(offsets[stop] - offsets[start])
                start = stop
            elif count == 0:
                raise ValueError(f"a profile of {offsets[start + 1] - offsets[start] - 1} bytes is larger than a whole request")
            if start < len(profiles) or count == max_profiles:
                yield batch()
                texts, tables, count, size = [], [], 0, 0
        del profiles, rows, offsets  # else they would outlive their batches while the next piece is made
    if count:
        yield batch()
