"""Snowflake's types: their names, and one Arrow schema for a result whose chunks differ from one another.

Each chunk has the narrowest integers that hold its own numbers, and decimals only where a number needs them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from snowflake.connector.cursor import ResultMetadata

INT64_DIGITS = 18
SQL_NAMES = {"REAL": "FLOAT", "TEXT": "VARCHAR"}
# Snowflake's name of a type: the Arrow type of its cells. Numbers have a size; what is not here arrives as text.
ARROW: dict[str, pa.DataType] = {
    "REAL": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "BINARY": pa.binary(),
}


def driver_name(column: ResultMetadata) -> str:
    """The driver's name of a column's type."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME  # noqa: PLC0415 - the driver, loaded by now

    return FIELD_ID_TO_NAME[column.type_code]


def type_name(column: ResultMetadata) -> str:
    """The type of a column as SQL writes it: NUMBER(38,0)."""
    name = driver_name(column)
    return f"NUMBER({column.precision},{column.scale})" if name == "FIXED" else SQL_NAMES.get(name, name)


def arrow_type(column: ResultMetadata) -> pa.DataType:
    """The Arrow type that holds every value of a column."""
    name = driver_name(column)
    if name != "FIXED":
        return ARROW.get(name, pa.string())
    precision, scale = column.precision or 38, column.scale or 0
    return pa.int64() if not scale and precision <= INT64_DIGITS else pa.decimal128(precision, scale)


def schema_of(description: Iterable[ResultMetadata]) -> pa.Schema:
    """The schema of a result."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in description])


def normalised(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows of a chunk with the schema of the result."""
    return pa.Table.from_arrays([cast(cells, field.type) for cells, field in zip(table.columns, schema, strict=True)], schema=schema)


def cast(cells: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The cells of a column with the wanted type. Moments and times lose what is finer than a microsecond."""
    found = cells.type
    if pa.types.is_integer(found) and pa.types.is_decimal(wanted):
        # Arrow widens an integer only into a decimal with room for any integer of its width.
        return cells.cast(pa.decimal128(38, 0)).cast(wanted, safe=False)
    return cells if found == wanted else cells.cast(wanted, safe=False)
