"""What one sync reads in one run: its dataset with the columns that it really has, and the queries over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klaviyo_sync.core.column_types import ColumnType, column_types
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.errors import about
from klaviyo_sync.core.mapping import Plan, plan_mapping
from klaviyo_sync.core.query import Column, Query, Relation, find_column, outside_query, relation, span_query, window_query
from klaviyo_sync.core.reading import Rows, newest_rows, notice_all
from klaviyo_sync.core.recounting import recount
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.survey import Survey
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, reread_from
from klaviyo_sync.spool import RowSpool
from klaviyo_sync.warehouses import Warehouse


@dataclass(frozen=True)
class Source:
    """An open warehouse, one sync's place in it, and the moment that counts as now."""

    sync: Sync
    warehouse: Warehouse
    relation: Relation
    columns: Sequence[Column]
    plan: Plan
    now: datetime

    def rows_outside(self) -> tuple[int, int]:
        """The rows that no window can hold: without a modified_at, and with one after now."""
        query = outside_query(self.sync, self.relation, self.columns, now=self.now)
        undated, future = next(tuple(row.values()) for batch in self.warehouse.batches(query) for row in batch.to_pylist())
        return int(undated), int(future)  # Snowflake counts in decimals

    @property
    def types(self) -> tuple[ColumnType, ...]:
        """The types of the columns that the sync reads."""
        return column_types(self.sync, self.columns, DIALECTS[self.warehouse.dialect])

    @property
    def zone(self) -> str | None:
        """The time zone in which modified_at is read; None when the column has its own."""
        column = find_column(self.sync.modified_at.column, self.columns, self.sync.dataset or "the query")
        kind = DIALECTS[self.warehouse.dialect].kind(column.type)
        return None if kind == "instant" else self.sync.modified_at.timezone

    def present_time(self, *, whole: bool = False) -> list[str]:
        """A note when modified_at is the time at which it is read (CURRENT_TIMESTAMP in a view), for all rows or those after now.

        Such rows all have one moment, and another one when they are looked at again. With `whole` all rows are looked at as well.
        """
        for after in (None, self.now) if whole else (self.now,):
            rows, oldest, newest = self.span(after)
            if rows > 1 and oldest == newest:
                again, oldest, later = self.span(after)
                if again > 1 and oldest == later > newest:
                    column = self.sync.modified_at.column
                    note = (
                        f"{rows:,} rows have the present time as {column} whenever they are read: it does not say when they changed, so "
                        f"that no window holds them, or every window does. Take a column that is written with the row as modified_at."
                    )
                    return [note]
        return []

    def span(self, after: datetime | None) -> tuple[int, Any, Any]:
        """How many rows have a modified_at, all or those after a moment, and their first and last one as numbers that can be compared."""
        query = span_query(self.sync, self.relation, self.columns, after=after)
        [batch] = [batch for batch in self.warehouse.batches(query) if len(batch)]
        rows, oldest, newest = (column[0] for column in batch.columns)
        return int(rows.as_py()), oldest.value, newest.value  # Python's own dates end before infinity

    def newest(self, windows: Sequence[Window], rivals: Rivals, tally: Tally, survey: Survey | None = None) -> Iterator[Rows]:
        """The newest row of each profile among the rows of the windows, unless a newer one came after them. Counts as it goes.

        Each row is seen as one statement shows it. The second one begins after the first is read to its end: a row that was changed
        between the two, out of the windows, is among the later rows too, and supersedes what it was. So are rows with a modified_at after
        now: they supersede nothing before their window has closed, but their opt-outs count.

        Before the first row comes, the `survey` has counted what every window changes at most.
        """
        lower, end = self.bounds(windows)
        with RowSpool() as rows, RowSpool() as later:
            plan = notice_all(rows.writing(self.warehouse.batches(self.rows_query(lower, end))), self.plan, rivals, survey, windows)
            plan = notice_all(later.writing(self.warehouse.batches(self.later_query(end))), plan, rivals)
            rivals.all_noticed()
            yield from newest_rows(rows, later, plan, rivals, tally, overlap=self.sync.overlap)

    def bounds(self, windows: Sequence[Window]) -> tuple[datetime | None, datetime]:
        """From when on the rows of the windows are read, and up to when."""
        first, last = windows[0], windows[-1]
        # The first window reaches back to the beginning, the others by their overlap.
        lower = None if first.first and self.sync.history == "include" else reread_from(first.start, self.sync.overlap)
        return lower, last.end

    def count_again(self, windows: Sequence[Window]) -> list[int]:
        """How many rows there are now for which each of the windows (adjoining, oldest first) is the last one to read them."""
        cuts = [reread_from(moment, self.sync.overlap) for moment in (windows[0].start, *(window.end for window in windows))]
        again = recount(self.sync, self.relation, self.columns, cuts)
        pieces = (tuple(map(int, row.values())) for batch in self.warehouse.batches(again.query) for row in batch.to_pylist())
        return again.spans((start, rows) for start, rows in pieces)

    def estimate(self, windows: Sequence[Window]) -> int | None:
        """How many bytes a run of the windows reads at most; None where the warehouse cannot tell. Nothing is read."""
        lower, end = self.bounds(windows)
        outside = outside_query(self.sync, self.relation, self.columns, now=self.now)
        queries = (outside, self.rows_query(lower, end), self.later_query(end))
        estimates = [self.warehouse.estimate(query) for query in queries]
        return None if None in estimates else sum(size for size in estimates if size is not None)

    def rows_query(self, lower: datetime | None, upper: datetime) -> Query:
        """The query for the rows that are sent."""
        return window_query(self.sync, self.relation, self.columns, lower=lower, upper=upper, names=self.plan.columns)

    def later_query(self, end: datetime) -> Query:
        """The query for who the rows are about that were changed after the windows, and what they state."""
        names = self.plan.noticed_columns
        return window_query(self.sync, self.relation, self.columns, lower=end, upper=None, names=names, aligned=False)


def open_source(sync: Sync, warehouse: Warehouse, now: datetime) -> Source:
    """The source of a sync. Raises ConfigError when the dataset is not there, or its columns are not what the sync needs."""
    read = relation(sync, warehouse.dialect)
    with about("query" if sync.dataset is None else "dataset"):
        columns = warehouse.columns(read)
    return Source(sync, warehouse, read, columns, plan_mapping(sync, columns, DIALECTS[warehouse.dialect], now), now)
