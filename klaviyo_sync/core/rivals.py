"""Rivals: rows that may share a profile. The newest of each profile goes out, the others are superseded.

The query marks rows whose loose identifiers occur more than once; here they wait, spilled to disk if there are many,
until all are there and their identifiers have their final form. A row is superseded when, for any of its identifiers, a newer
row has the same one. Of rows changed at the same moment the one whose content sorts last counts as the newest, so that every
run decides alike. Rows without an identifier are nobody's rivals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.frames import frame_of, table_of

WINDOW, KEY, ORDER = "__window__", "__key_{}__", "__order__"
LATER = -1  # the window of rows that were changed after the run's windows: they supersede, but are not this run's to send


class Rivals:
    """Holds contested rows in a DuckDB connection of its caller's, which limits memory and names a folder to spill to."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, modified_at: str, batch_rows: int = 20_000) -> None:
        self.connection = connection
        self.modified_at = modified_at
        self.batch_rows = batch_rows
        self.keys: tuple[str, ...] = ()
        self.superseded: dict[int, int] = {}

    def add(self, frame: pd.DataFrame, windows: np.ndarray, identities: pa.Table) -> None:
        """Keeps the rows, with the position of each row's window (or LATER) and its identifiers."""
        if frame.empty:
            return
        rows = table_of(frame).append_column(WINDOW, pa.array(windows, pa.int32()))
        for path in identities.column_names:
            rows = rows.append_column(KEY.format(path), identities[path])
        self.connection.register("incoming", rows)
        if self.keys:
            self.connection.execute("INSERT INTO rivals BY NAME SELECT * FROM incoming")
        else:
            self.keys = tuple(KEY.format(path) for path in identities.column_names)
            self.connection.execute("CREATE TEMP TABLE rivals AS SELECT * FROM incoming")
        self.connection.unregister("incoming")

    def newest(self) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The rows to send, and the position of each one's window, some thousands at a time. Fills `superseded`, per window."""
        if not self.keys:
            return
        self.connection.execute(ranking(self.keys, self.modified_at))
        counts = "SELECT window_, count(*) FROM ranked WHERE NOT newest AND window_ <> ? GROUP BY ALL"
        self.superseded = dict(self.connection.execute(counts, [LATER]).fetchall())
        wanted = "SELECT rivals.* FROM rivals JOIN ranked ON rivals.rowid = ranked.row_ WHERE ranked.newest AND ranked.window_ <> $later"
        for batch in self.connection.sql(wanted, params={"later": LATER}).to_arrow_reader(self.batch_rows):
            windows = batch.column(WINDOW).to_numpy(zero_copy_only=False)
            columns = [name for name in batch.schema.names if name != WINDOW and name not in self.keys]
            yield frame_of(batch.select(columns)), windows
        self.connection.execute("DROP TABLE rivals; DROP TABLE ranked")


def ranking(keys: Sequence[str], modified_at: str) -> str:
    """SQL that fills `ranked` (row_, window_, newest), touching the wide rows only once."""
    modified = quoted(modified_at)
    ranks = [
        f"({quoted(key)} IS NULL OR row_number() OVER (PARTITION BY {quoted(key)} ORDER BY {modified} DESC, content DESC, row_ DESC) = 1)"
        for key in keys
    ]
    columns = ", ".join([f"{WINDOW} AS window_", modified, *map(quoted, keys)])
    narrow = f"SELECT rowid AS row_, {columns}, md5(rivals::VARCHAR) AS content FROM rivals"  # noqa: S608 - names are quoted
    return f"CREATE TEMP TABLE ranked AS SELECT row_, window_, {' AND '.join(ranks)} AS newest FROM ({narrow})"  # noqa: S608


def quoted(name: str) -> str:
    """The name as DuckDB quotes it."""
    return '"' + name.replace('"', '""') + '"'
