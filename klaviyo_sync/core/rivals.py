"""Rivals: rows that share a profile. The newest of each profile goes out, the others are superseded.

Identifiers are compared in their final form; `core.matching` says which rows supersede which. Rows without an identifier are nobody's
rivals. Of rows changed at the same moment the one whose content sorts last counts as the newest, so that every run decides alike.

All identifiers pass through a sieve first. Only rows that it cannot let go wait here, spilled to disk if there are many,
until all are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.fold import Aside, Fold, OptOuts, statement_columns
from klaviyo_sync.core.fold_sql import JOINS, MAYBE, REPAIRED
from klaviyo_sync.core.frames import Mask, arrow, frame_with, table_of, true_at
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.matching import FOLLOWED, KEEPS, MERGED, Matching, instead
from klaviyo_sync.core.placeholders import STANDS_FOR_NOBODY, leave_placeholders_out, placeholder_masks
from klaviyo_sync.core.sieve import Sieve
from klaviyo_sync.core.sync import Channel

# Columns of the warehouse are numbered here, so that none of their names can be that of another.
WINDOW, KEY, CELL = "window_", "key_{}", "cell_{}"
LATER = -1  # the window of rows that were changed after the run's windows: they supersede, but are not this run's to send
BATCH_ROWS = 16_384
BYTES_A_ROW, LEAST_ROOM = 128, 32 * 2**20  # of memory to decide between rivals, as 2,000,000 of them were seen to need
LISTED_ROWS = 2_048  # each of these becomes a line of the rejects file


class Newest(NamedTuple):
    """Rows that go out, as they came, the position of each one's window, and by identifier those that go out without it.

    `statements` are those that go out with them, whoever's row they are from. `nobody` has by identifier those in which it stands for
    nobody.
    """

    frame: pd.DataFrame
    windows: np.ndarray
    without: dict[str, Mask]
    statements: Mapping[Channel, Statements]
    nobody: dict[str, pa.Array]


class Merged(NamedTuple):
    """Superseded rows, as they came, the position of each one's window, its code, and the identifiers of the row in its place."""

    frame: pd.DataFrame
    windows: np.ndarray
    codes: list[str]
    instead: list[dict[str, str | None]]


class Superseded(NamedTuple):
    """Superseded rows, as they came, the position of each one's window, and by identifier those in which it stands for nobody."""

    frame: pd.DataFrame
    windows: np.ndarray
    nobody: dict[str, pa.Array]


class Rivals:
    """Finds rivals by the identifiers of a plan, in a DuckDB connection of its caller's that spills to disk."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: Plan) -> None:
        self.connection = connection
        self.plan = plan
        self.paths = tuple(target.path for target in plan.identifiers)
        self.keys = tuple(KEY.format(position) for position in range(len(self.paths)))
        self.matching = Matching(self.paths, plan.matching, phone_alone=plan.shared == "property")
        self.cells: dict[str, str] = {}
        self.sieve = Sieve(self.paths)
        self.pending: list[pa.Table] = []
        self.waiting = self.stored = False
        self.superseded: dict[int, int] = {}
        self.nobody: tuple[int, ...] = ()
        self.fold: Fold | None = None
        self.asides: list[Aside] = []

    def identities(self, profiles: pd.DataFrame) -> pa.Table:
        """The cleaned identifiers of each row, in the form in which two rows of one profile are equal."""
        return pa.table({path: identity(path, arrow(profiles[path])) for path in self.paths})

    def repaired_identities(self, repaired: Mapping[str, pa.Array], rows: int) -> pa.Table:
        """The repaired addresses of each row in that form, NULL for all other identifiers."""
        nothing = pa.nulls(rows, pa.string())
        return pa.table({path: identity(path, repaired.get(path, nothing)) for path in self.paths})

    def fingerprints(self, identities: pa.Table) -> dict[str, tuple[np.ndarray, Mask]]:
        """The 64-bit fingerprint of each identifier, and which rows have one."""
        self.connection.register("identities", identities.rename_columns(self.keys))
        # The same text may be one row's external_id and another's e-mail: they are not the same identifier.
        hashes = ", ".join(f"hash({key}, {position})" for position, key in enumerate(self.keys))
        hashed = self.connection.sql(f"SELECT {hashes} FROM identities").to_arrow_table()  # noqa: S608 - our own names
        self.connection.unregister("identities")
        return {
            path: (hashed.column(position).to_numpy(), true_at(identities.column(position).combine_chunks().is_valid()))
            for position, path in enumerate(self.paths)
        }

    def notice(self, profiles: pd.DataFrame, repaired: Mapping[str, pa.Array] = MappingProxyType({})) -> None:
        """Takes note of the identifiers of some rows, and of their repaired addresses, each row once, before any is asked about."""
        for identities in self.all_identities(profiles, repaired):
            for path, (prints, present) in self.fingerprints(identities).items():
                self.sieve.notice(path, prints[present])

    def all_identities(self, profiles: pd.DataFrame, repaired: Mapping[str, pa.Array]) -> Iterator[pa.Table]:
        """The identifiers of each row, then their repaired addresses if there are any."""
        yield self.identities(profiles)
        if repaired:
            yield self.repaired_identities(repaired, len(profiles))

    def all_noticed(self) -> None:
        """Says that every row was noticed; from here on rows are asked about."""
        self.sieve.close()

    def contested(self, profiles: pd.DataFrame, repaired: Mapping[str, pa.Array] = MappingProxyType({})) -> Mask:
        """Which rows may have a rival among all the rows noticed, or share a repaired address with one."""
        found = np.zeros(len(profiles), dtype=bool)
        if not self.sieve.any_repeated():
            return found
        for identities in self.all_identities(profiles, repaired):
            for prints, present in self.fingerprints(identities).values():
                found |= present & self.sieve.repeated(prints)
        return found

    def add(
        self,
        frame: pd.DataFrame,
        profiles: pd.DataFrame,
        windows: np.ndarray,
        contested: Mask,
        statements: Mapping[Channel, Statements],
        *,
        repaired: Mapping[str, pa.Array] = MappingProxyType({}),
    ) -> None:
        """Keeps the contested ones of some rows: their cells as they came, their identifiers, what they state, and each one's window.

        `repaired` are addresses by path to which their opt-outs go; a row that has nothing else has no rivals, and only states.
        """
        if not contested.any():
            return
        rows = table_of(frame)
        rows = rows.rename_columns([self.cell(name) for name in rows.column_names]).append_column(WINDOW, pa.array(windows, pa.int32()))
        for key, cells in zip(self.keys, self.identities(profiles).columns, strict=True):
            rows = rows.append_column(key, cells)
        for name, cells in statement_columns(statements, frame, profiles, self.plan).items():
            rows = rows.append_column(name, cells)
        for key, cells in zip(self.keys, self.repaired_identities(repaired, len(frame)).columns, strict=True):
            if key in self.stated_about():
                rows = rows.append_column(REPAIRED.format(key), cells)
        self.pending.append(rows.take(np.flatnonzero(contested)))
        self.waiting = True
        if sum(map(len, self.pending)) >= BATCH_ROWS:
            self.flush()

    def cell(self, name: str) -> str:
        """What a column of the warehouse is called here."""
        return self.cells.setdefault(name, CELL.format(len(self.cells)))

    def flush(self) -> None:
        """Hands the rows that were kept last to DuckDB, many at once."""
        if not self.pending:
            return
        rows = pa.concat_tables(self.pending)
        self.connection.register("incoming", rows)
        incoming = f"SELECT *, {self.content(rows.column_names)} AS content FROM incoming"  # noqa: S608 - our own names
        self.connection.execute(f"INSERT INTO rivals BY NAME {incoming}" if self.stored else f"CREATE TEMP TABLE rivals AS {incoming}")
        self.connection.unregister("incoming")
        self.pending, self.stored = [], True

    def content(self, columns: Collection[str]) -> str:
        """SQL for what orders rows of equal modified_at, given the columns that there are: a hash of the row's cells, alike in every run.

        First those that say who the row is about and what it states, which are there of later rows, too; then all of them. Rows of equal
        modified_at are all of the windows or all later, so that no order depends on which cells were read.
        """
        stating = [self.cell(name) for name in self.plan.stating_columns]
        every = [cell for cell in self.cells.values() if cell in columns]
        return " || ".join(f"md5(row({', '.join(cells)})::VARCHAR)" for cells in (stating, every))

    def rank(self) -> None:
        """Decides which rows go out, and with what statements, once all were added and those of nobody were taken.

        Fills `superseded` and `asides`.
        """
        with self.room():
            self.decide()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Lets DuckDB have more memory meanwhile, the more rivals there are: some of its joins keep a part of each table in memory."""
        [[before, rows]] = self.connection.execute("SELECT current_setting('memory_limit'), count(*) FROM rivals").fetchall()
        if rows * BYTES_A_ROW < LEAST_ROOM:
            yield
            return
        self.connection.execute(f"SET memory_limit = '{(LEAST_ROOM + rows * BYTES_A_ROW) // 2**20}MiB'")
        try:
            yield
        finally:
            self.connection.execute(f"SET memory_limit = '{before}'")

    def decide(self) -> None:
        """Fills the tables of what goes out, and the counts of what does not."""
        self.connection.execute(self.matching.ranking(self.cell(self.plan.modified_at), "content"))
        counts = "SELECT window_, count(*) FROM ranked WHERE NOT newest AND window_ <> ? GROUP BY ALL"
        self.superseded = dict(self.connection.execute(counts, [LATER]).fetchall())
        if self.plan.consents:
            order = (f"rivals.{self.cell(self.plan.modified_at)}", "rivals.content")
            self.fold = Fold(self.connection, self.plan, self.matching, order)
            self.asides = self.fold.compute()

    def of_nobody(self) -> Iterator[tuple[pd.DataFrame, np.ndarray, dict[str, pa.Array]]]:
        """The rows of the windows that have no identifier but placeholders, each with its window and where these are.

        Placeholders are left out of all rows, and rows without any other identifier are let go of once they are taken.
        """
        self.flush()
        self.nobody = leave_placeholders_out(self.connection, self.keys, self.stated_about())
        if not self.nobody:
            return
        flagged = " OR ".join(STANDS_FOR_NOBODY.format(number) for number in self.nobody)
        nothing = f"({flagged}) AND {' AND '.join(f'{key} IS NULL' for key in self.keys)}"
        wanted = self.connection.sql(f"SELECT * FROM rivals WHERE {nothing} AND window_ <> $later", params={"later": LATER})  # noqa: S608
        for batch in wanted.to_arrow_reader(BATCH_ROWS):
            yield self.frame(batch), windows_of(batch), dict(placeholder_masks(batch, self.paths, self.nobody))
        self.connection.execute(f"DELETE FROM rivals WHERE {nothing}")  # noqa: S608 - our own names

    def stated_about(self) -> dict[str, list[str]]:
        """By key, the columns that say what a row states about it."""
        columns: dict[str, list[str]] = {}
        for number, target in enumerate(self.plan.consents):
            path = CHANNEL_IDENTIFIER[target.channel]
            if path in self.paths:
                columns.setdefault(self.keys[self.paths.index(path)], []).append(JOINS.format(number))
        return columns

    def newest(self) -> Iterator[Newest]:
        """The rows to send, some thousands at a time."""
        keeps = {path: KEEPS.format(self.matching.number(path)) for path in self.matching.sharing}
        stated = self.fold.net_columns if self.fold else ()
        flags = [STANDS_FOR_NOBODY.format(number) for number in self.nobody]
        columns = ", ".join([f"rivals.{name}" for name in (WINDOW, *self.cells.values(), *flags)] + [*keeps.values(), *stated])
        folded = " LEFT JOIN net USING (row_)" if self.fold else ""
        joined = f"rivals JOIN ranked ON rivals.rowid = ranked.row_{folded}"
        wanted = f"SELECT {columns} FROM {joined} WHERE newest AND ranked.window_ <> $later"  # noqa: S608
        for batch in self.connection.sql(wanted, params={"later": LATER}).to_arrow_reader(BATCH_ROWS):
            without = {path: true_at(pc.invert(batch.column(kept))) for path, kept in keeps.items()}
            nobody = dict(placeholder_masks(batch, self.paths, self.nobody))
            yield Newest(self.frame(batch), windows_of(batch), without, self.fold.statements(batch) if self.fold else {}, nobody)

    def merged(self) -> Iterator[Merged]:
        """The superseded rows with a strong identifier that no row has which goes out."""
        self.connection.execute(MERGED, {"later": LATER})
        # Numbers alone, step by step: wide rows in a recursive query do not fit into a small memory.
        while self.connection.execute(FOLLOWED).fetchall()[0][0]:
            pass
        self.connection.execute(instead(self.keys))
        by = ", ".join(f"by_{number}" for number in range(len(self.keys)))
        wanted = f"SELECT rivals.*, why, {by} FROM rivals JOIN instead ON rivals.rowid = instead.row_"  # noqa: S608 - our own names
        for batch in self.connection.sql(wanted).to_arrow_reader(LISTED_ROWS):
            names = [batch.column(f"by_{number}").to_pylist() for number in range(len(self.keys))]
            others = [dict(zip(self.paths, row, strict=True)) for row in zip(*names, strict=True)]
            yield Merged(self.frame(batch), windows_of(batch), batch.column("why").to_pylist(), others)
        self.connection.execute("DROP TABLE merged; DROP TABLE instead")

    def superseded_maybe_opt_outs(self) -> Iterator[Superseded]:
        """The superseded rows of the windows that may have an unknown word, or an opt-out whose address is not usable or was repaired."""
        if not self.plan.consents:
            return
        nobody = [f"rivals.{STANDS_FOR_NOBODY.format(number)}" for number in self.nobody]
        repaired = [f"rivals.{REPAIRED.format(key)} IS NOT NULL" for key in self.stated_about()]
        maybe = " OR ".join([f"rivals.{MAYBE}", *repaired, *nobody])
        joined = "rivals JOIN ranked ON rivals.rowid = ranked.row_"
        wanted = f"SELECT rivals.* FROM {joined} WHERE NOT newest AND ranked.window_ <> $later AND ({maybe})"  # noqa: S608 - our own names
        for batch in self.connection.sql(wanted, params={"later": LATER}).to_arrow_reader(LISTED_ROWS):
            yield Superseded(self.frame(batch), windows_of(batch), dict(placeholder_masks(batch, self.paths, self.nobody)))

    def frame(self, batch: pa.RecordBatch) -> pd.DataFrame:
        """The rows of a batch as the warehouse gave them."""
        return frame_with({name: batch.column(cell) for name, cell in self.cells.items()})

    def opt_outs(self) -> Iterator[OptOuts]:
        """The opt-outs that go out without a row, as `Fold.opt_outs` has them."""
        return self.fold.opt_outs() if self.fold else iter(())

    def drop(self) -> None:
        """Lets go of all rows."""
        if self.fold:
            self.fold.drop()
        self.connection.execute("DROP TABLE IF EXISTS rivals; DROP TABLE IF EXISTS ranked")


def identity(path: str, cells: pa.Array) -> pa.Array:
    """An identifier's cells in the form in which two rows of one profile are equal."""
    return pc.ascii_lower(cells) if path == "email" else cells


def windows_of(batch: pa.RecordBatch) -> np.ndarray:
    """The position of each row's window."""
    return batch.column(WINDOW).to_numpy(zero_copy_only=False)
