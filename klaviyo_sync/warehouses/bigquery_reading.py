"""A finished query's rows as Arrow batches: over the Storage Read API, or out of the JSON of BigQuery's REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from klaviyo_sync.core.kernels import pc

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.bigquery.schema import SchemaField
    from google.cloud.bigquery.table import RowIterator, TableReference
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

DAY_ONE = "1970-01-01T"

Convert = Callable[[pa.Array], pa.Array]


def storage_batches(
    client: BigQueryReadClient, project: str, table: TableReference, retry: Retry, timeout: float
) -> Iterator[pa.RecordBatch]:
    """The rows of a query's result, in the pieces in which they arrive (at most 10 MB each), one stream after the other.

    The client goes on behind the last row that it has when a stream breaks, so that no row comes twice.
    https://docs.cloud.google.com/bigquery/docs/reference/storage
    """
    from google.cloud.bigquery_storage_v1 import types  # noqa: PLC0415 - Google's libraries, for a run only

    options = types.ArrowSerializationOptions(buffer_compression=types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME)
    wanted = types.ReadSession(
        table=table.to_bqstorage(),
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(arrow_serialization_options=options),
    )
    session = client.create_read_session(
        parent=f"projects/{project}", read_session=wanted, max_stream_count=1, retry=retry, timeout=timeout
    )
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    plain = pa.schema([pa.field(field.name, field.type) for field in schema])  # without what BigQuery says about its own types
    for stream in session.streams:
        for answer in client.read_rows(stream.name, retry=retry):
            piece = pa.ipc.read_record_batch(pa.py_buffer(answer.arrow_record_batch.serialized_record_batch), schema)
            yield pa.RecordBatch.from_arrays(piece.columns, schema=plain)


def rest_batches(rows: RowIterator) -> Iterator[pa.RecordBatch]:
    """The rows of a query's result, page by page, each cell with the type that the Storage Read API gives it."""
    names = [field.name for field in rows.schema]
    for page in rows.pages:
        cells = [row["f"] for row in page.raw_page.get("rows", ())]
        columns = [from_texts([row[at]["v"] for row in cells], field) for at, field in enumerate(rows.schema)]
        yield pa.RecordBatch.from_arrays(columns, names)


def from_texts(cells: Sequence[str | None], field: SchemaField) -> pa.Array:
    """A column that came as texts."""
    texts = pa.array(cells, pa.string())
    return FROM_TEXT.get(field.field_type, lambda found: found)(texts)


def times(texts: pa.Array) -> pa.Array:
    """Times of day; Arrow reads texts only as moments."""
    return pc.binary_join_element_wise(pa.scalar(DAY_ONE), texts, "").cast(pa.timestamp("us")).cast(pa.time64("us"))


# BigQuery's JSON holds every value as a text: https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
FROM_TEXT: dict[str, Convert] = {
    "INTEGER": lambda texts: texts.cast(pa.int64()),
    "FLOAT": lambda texts: texts.cast(pa.float64()),
    "NUMERIC": lambda texts: texts.cast(pa.decimal128(38, 9)),
    "BOOLEAN": lambda texts: texts.cast(pa.bool_()),
    "DATE": lambda texts: texts.cast(pa.date32()),
    "DATETIME": lambda texts: texts.cast(pa.timestamp("us")),
    "TIME": times,
    "TIMESTAMP": lambda texts: texts.cast(pa.int64()).cast(pa.timestamp("us", "UTC")),  # microseconds, as the client asks for them
}


def known_type(field: SchemaField) -> str:
    """The type of a column as GoogleSQL writes it: ARRAY<STRUCT<a INT64>>."""
    name = SQL_NAMES.get(field.field_type, str(field.field_type))
    if field.fields:
        name = f"STRUCT<{', '.join(f'{part.name} {known_type(part)}' for part in field.fields)}>"
    return f"ARRAY<{name}>" if field.mode == "REPEATED" else name


SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
