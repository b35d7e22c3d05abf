"""What others commit while a run reads: the same on every warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
from backends import Logical, Place, make_table
from warehouse_reads import NOW, sync_of, taken

from klaviyo_sync.core.query import Column, Query, Relation
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import window
from klaviyo_sync.engine import engine
from klaviyo_sync.source import open_source
from klaviyo_sync.warehouses import Warehouse, connect

DAY = "2026-01-02"
COLUMNS: dict[str, Logical] = {"id": "text", "email": "text", "changed": "instant"}


class BusyWarehouse:
    """A warehouse in which somebody commits a statement between the run's first query and its second."""

    def __init__(self, place: Place, statement: str) -> None:
        self.place = place
        self.statement = statement
        self.queries = 0
        self.inner = connect(place.connection, "klaviyo_sync people")
        self.dialect = self.inner.dialect
        self.notes = self.inner.notes

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows of a query."""
        self.queries += 1
        if self.queries == 2:
            self.inner.close()  # a DuckDB file has one writer, and no reader beside it
            self.place.run(self.statement)
            self.inner = connect(self.place.connection, "klaviyo_sync people")
        yield from self.inner.batches(query)

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a relation."""
        return self.inner.columns(relation)

    def estimate(self, query: Query) -> int | None:
        """How many bytes a query would read."""
        return self.inner.estimate(query)

    def pruning(self, relation: Relation, modified_at: Column) -> str | None:
        """What spares the query rows."""
        return self.inner.pruning(relation, modified_at)

    def close(self) -> None:
        """Ends the session."""
        self.inner.close()


def went_out(warehouse: Warehouse, sync: Sync, key: str) -> tuple[list[str], int, int]:
    """The addresses that a window sends, how many rows it reads, and how many are superseded."""
    windows = [window(sync, key)]
    tally = Tally(windows)
    addresses: list[str] = []
    source = open_source(sync, warehouse, NOW)
    with engine() as connection:
        for rows in source.newest(windows, Rivals(connection.cursor(), source.plan), tally):
            addresses += [str(address) for address, held in zip(rows.mapped.profiles["email"], rows.held, strict=True) if not held]
    return sorted(addresses), int(tally.counts["read"][0]), int(tally.counts["superseded"][0])


def test_a_row_that_leaves_the_window_is_superseded(place: Place, people: str) -> None:
    """A row that changes between the two queries, to after the windows, is sent by its later window and not as it was."""
    rows = [("1", "old@example.com", "2026-01-02 10:00:00"), ("2", "calm@example.com", "2026-01-02 11:00:00")]
    table = make_table(place, people, COLUMNS, rows)
    sync = sync_of(table, profile={"external_id": "id", "email": "email"})
    moved = place.types["instant"].value.format("'2026-01-05 10:00:00'")
    change = f"UPDATE {table} SET email = 'new@example.com', changed = {moved} WHERE id = '1'"
    with closing(BusyWarehouse(place, change)) as warehouse:
        assert went_out(warehouse, sync, DAY) == (["calm@example.com"], 2, 1)
        assert warehouse.queries == 2
    assert taken(place, sync, "2026-01-05").ids == {"2026-01-05": ["1"]}


def test_a_version_that_comes_late_does_not_go_out_beside_the_older(place: Place, people: str) -> None:
    """A newer row that is committed into the window while it is read goes out when the window runs again, not in the same batch."""
    table = make_table(place, people, COLUMNS, [("1", "old@example.com", "2026-01-02 10:00:00")])
    sync = sync_of(table, profile={"external_id": "id", "email": "email"})
    moment = place.types["instant"].value.format("'2026-01-02 12:00:00'")
    with closing(BusyWarehouse(place, f"INSERT INTO {table} SELECT '1', 'new@example.com', {moment}")) as warehouse:
        assert went_out(warehouse, sync, DAY) == (["old@example.com"], 1, 0)
        assert went_out(warehouse, sync, DAY) == (["new@example.com"], 2, 1)
