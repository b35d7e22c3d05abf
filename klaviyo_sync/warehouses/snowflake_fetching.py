"""The chunks of a finished query's result, in their order, the next one fetched while one is at work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING

import pyarrow as pa

from klaviyo_sync.core.errors import Unavailable

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor
    from snowflake.connector.result_batch import ResultBatch

FRESH_ADDRESSES = 3
AHEAD_BYTES = 24 * 2**20


def fetched(cursor: SnowflakeCursor) -> Iterator[pa.Table]:
    """Each chunk once. The driver repeats a download that fails; after that Snowflake is asked for new addresses of the same
    chunks, which it keeps for a day, and fetching goes on where it stopped, so that no row comes twice.

    Raises Unavailable when the result has become another one, else the driver's errors.
    """
    chunks = chunks_of(cursor)
    position, addresses_left = 0, FRESH_ADDRESSES
    while position < len(chunks):
        try:
            for parcel in ahead(cursor.connection, chunks[position:]):
                position += 1
                yield parcel.pop()
        except Exception:
            if not addresses_left or cursor.sfqid is None:
                raise
            addresses_left -= 1
            chunks = same_chunks(cursor, chunks)


def ahead(session: SnowflakeConnection, chunks: Sequence[ResultBatch]) -> Iterator[list[pa.Table]]:
    """The rows of each chunk in a list, out of which they are to be taken: nothing here keeps them.

    While one chunk is at work the next one is on its way, unless it is so large that two would be a burden.
    """
    pool = ThreadPoolExecutor(1, "snowflake-chunk")
    coming: Future[ResultBatch] | None = None
    try:
        for position, chunk in enumerate(chunks):
            parcel = [rows_of(coming.result() if coming else chunk, session)]
            following = chunks[position + 1 : position + 2]
            coming = pool.submit(downloaded, following[0], session) if following and is_small(following[0]) else None
            yield parcel
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def is_small(chunk: ResultBatch) -> bool:
    """Whether the chunk may be in memory beside another one."""
    return (chunk.uncompressed_size or 0) <= AHEAD_BYTES


def downloaded(chunk: ResultBatch, session: SnowflakeConnection) -> ResultBatch:
    """The same chunk with its bytes at hand. A copy, so that they live no longer than it does."""
    return copy(chunk).populate_data(session)


def rows_of(chunk: ResultBatch, session: SnowflakeConnection) -> pa.Table:
    """The rows of one chunk, all that Snowflake counted in it."""
    from snowflake.connector.result_batch import ArrowResultBatch  # noqa: PLC0415 - the driver, loaded by now

    assert isinstance(chunk, ArrowResultBatch)
    table = chunk.to_arrow(session, force_microsecond_precision=True)
    if table.num_rows != chunk.rowcount:
        raise Unavailable(f"Snowflake: a piece of the result came with {table.num_rows} of its {chunk.rowcount} rows.")
    return table


def chunks_of(cursor: SnowflakeCursor) -> list[ResultBatch]:
    """The chunks that hold rows; an empty result has none."""
    return [chunk for chunk in cursor.get_result_batches() or () if chunk.rowcount]


def same_chunks(cursor: SnowflakeCursor, known: Sequence[ResultBatch]) -> list[ResultBatch]:
    """The chunks of the same result, at new addresses."""
    chunks = chunks_of(cursor.query_result(cursor.sfqid or ""))
    if [chunk.rowcount for chunk in chunks] != [chunk.rowcount for chunk in known]:
        raise Unavailable("Snowflake no longer has the result of this query; the next run asks again.")
    return chunks
