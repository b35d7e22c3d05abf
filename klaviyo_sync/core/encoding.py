"""Encoding: a frame of profile cells in, one JSON text per profile out, NULL cells left out.

The texts are built by one generated SELECT over the frame's Arrow table: DuckDB writes JSON several times faster
than any loop in Python, and lets other threads run meanwhile. What a frame does not hold is not asked of every row: columns
without NULLs and texts without characters to escape are only joined. An independent encoder in plain Python checks it in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from typing import Literal, NamedTuple

import duckdb
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.attributes import PROPERTY
from klaviyo_sync.core.cleaning.cells import Form, text_bytes
from klaviyo_sync.core.frames import Mask, table_of
from klaviyo_sync.core.packing import text_offsets

# How a cell is written: quoted and escaped, quoted only, or as it is because it is JSON already.
Writing = Literal["escape", "quote", "raw"]

PIECE_ROWS = 6_144
"""Rows whose texts are in one buffer: a few of DuckDB's vectors, about three megabytes. Whole batches wait on disk."""


class Member(NamedTuple):
    """One member of a JSON object: its path, the column that holds it, how it is written, and whether it may be NULL."""

    path: str
    column: str
    writing: Writing
    nullable: bool


class Json(str):
    """A piece that is part of the JSON text itself; the others are SQL expressions."""

    __slots__ = ()


Pieces = list[str]


def sql_text(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def merged(pieces: Pieces) -> Pieces:
    """The pieces, neighbouring literals made one."""
    runs = [[Json("".join(run))] if literal else list(run) for literal, run in groupby(pieces, key=lambda piece: isinstance(piece, Json))]
    return list(chain.from_iterable(runs))


def concat(pieces: Pieces) -> str:
    """SQL that joins the pieces; what is NULL is passed over."""
    return f"concat({', '.join(sql_text(piece) if isinstance(piece, Json) else piece for piece in merged(pieces))})"


class Optional(NamedTuple):
    """A member that a row may lack: SQL that says whether it is there, and its pieces."""

    there: str
    pieces: Pieces

    @property
    def sql(self) -> str:
        """SQL that is NULL when the member is not there."""
        return f"CASE WHEN {self.there} THEN {concat(self.pieces)} END"

    @property
    def with_comma(self) -> Pieces:
        """Its pieces and a comma, each NULL or empty when the member is not there: no text is built twice."""
        return [
            f"CASE WHEN {self.there} THEN {sql_text(piece)} END" if isinstance(piece, Json) else piece
            for piece in merged([*self.pieces, Json(",")])
        ]


def member_pieces(key: str, member: Member) -> Pieces:
    """A member whose cell is there."""
    quote = '"' if member.writing == "quote" else ""
    value = {"escape": f"to_json({member.column})::VARCHAR", "quote": member.column, "raw": f"{member.column}::VARCHAR"}[member.writing]
    return [Json(orjson.dumps(key).decode() + ":" + quote), value, Json(quote)]


def optional_member(key: str, member: Member) -> Optional:
    """A member whose cell may be NULL."""
    return Optional(f"{member.column} IS NOT NULL", member_pieces(key, member))


def some_of(optional: Sequence[Optional]) -> str:
    """SQL that joins the members that are there by commas."""
    return f"concat_ws(',', {', '.join(member.sql for member in optional)})"


def object_pieces(certain: Sequence[Pieces], optional: Sequence[Optional]) -> Pieces:
    """The members of an object that has at least one certain member: an optional one brings its own comma, since one always follows."""
    pieces: Pieces = [piece for member in optional for piece in member.with_comma]
    for position, member in enumerate(certain):
        pieces += [Json(","), *member] if position else member
    return pieces


def group(name: str, members: Sequence[tuple[str, Member]]) -> tuple[list[Pieces], list[Optional]]:
    """A nested object as a certain or an optional member of the object around it: (certain, optional), one of them empty."""
    certain = [member_pieces(key, member) for key, member in members if not member.nullable]
    optional = [optional_member(key, member) for key, member in members if member.nullable]
    opening = Json(f'"{name}":{{')
    if certain:
        return [[opening, *object_pieces(certain, optional), Json("}")]], []
    anything = " OR ".join(member.there for member in optional)
    return [], [Optional(f"({anything})", [opening, some_of(optional), Json("}")])] if optional else []


@lru_cache(maxsize=256)
def encoding_sql(members: tuple[Member, ...]) -> str:
    """The SELECT from `cells` to one column `profile`, each text ending in a comma."""
    groups = {
        "location": [(member.path.removeprefix("location."), member) for member in members if member.path.startswith("location.")],
        "properties": [(member.path.removeprefix(PROPERTY), member) for member in members if member.path.startswith(PROPERTY)],
    }
    top = [member for member in members if member.path != "id" and "." not in member.path]
    certain = [member_pieces(member.path, member) for member in top if not member.nullable]
    optional = [optional_member(member.path, member) for member in top if member.nullable]
    for name, inner in groups.items():
        more_certain, more_optional = group(name, inner)
        certain += more_certain
        optional += more_optional
    own_id = [piece for member in members if member.path == "id" for piece in optional_member("id", member).with_comma]
    attributes = object_pieces(certain, optional) if certain else [some_of(optional)] if optional else []
    pieces = [Json('{"type":"profile",'), *own_id, Json('"attributes":{'), *attributes, Json("}},")]
    return f"SELECT {concat(pieces)} AS profile FROM cells"  # noqa: S608 - literals are quoted, columns are named by position


def needs_escaping(texts: pa.Array) -> bool:
    """Whether any text holds a character that JSON must escape. Looks at the bytes as a whole."""
    found = text_bytes(texts)
    return bool(((found < ord(" ")) | (found == ord('"')) | (found == ord("\\"))).any())


def member_of(path: str, column: str, cells: pa.Array, form: Form) -> Member:
    """How this frame's cells of a path are written."""
    writing: Writing = "raw" if form == "raw" else "escape" if needs_escaping(cells) else "quote"
    return Member(path, column, writing, cells.null_count > 0)


class Encoder:
    """Writes profiles as JSON in a DuckDB connection of its caller's, which must export large strings."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def encode(self, profiles: pd.DataFrame, forms: Mapping[str, Form], wanted: Mask | None = None) -> pa.ChunkedArray:
        """One JSON text per row, or per row wanted, each ending in a comma: large_string, in chunks of at most PIECE_ROWS."""
        table = table_of(profiles)
        names = [f"c{position}" for position in range(table.num_columns)]
        members = tuple(
            member_of(path, name, column.chunk(0) if column.num_chunks else pa.nulls(0, column.type), forms[path])
            for path, name, column in zip(table.column_names, names, table.columns, strict=True)
        )
        cells, where = table.rename_columns(names), ""
        if wanted is not None and not wanted.all():
            cells, where = cells.append_column("wanted", pa.array(wanted)), " WHERE wanted"
        self.connection.register("cells", cells)
        try:
            reader = self.connection.sql(encoding_sql(members) + where).to_arrow_reader(PIECE_ROWS)
            return pa.chunked_array([piece.column(0) for piece in reader], pa.large_string())
        finally:
            self.connection.unregister("cells")


def lengths(texts: pa.ChunkedArray) -> np.ndarray:
    """Bytes of each encoded profile, without its comma."""
    return np.concatenate([np.zeros(0, np.int64), *(np.diff(text_offsets(chunk)) - 1 for chunk in texts.chunks)])
