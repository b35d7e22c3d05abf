"""Tables that wait in memory, compressed."""

from __future__ import annotations

import pyarrow as pa

LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")


def compressed(table: pa.Table) -> pa.Buffer:
    """The table as a compressed Arrow IPC stream: about a third of the bytes, for a millisecond per 10,000 rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=LZ4) as writer:
        writer.write_table(table)
    return sink.getvalue()


def decompressed(stream: pa.Buffer) -> pa.Table:
    """The table of a stream that `compressed` made."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()
