"""What `check --connect` asks: each warehouse about its datasets, Klaviyo about the key and the lists."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import NamedTuple, Protocol

import pyarrow as pa
from rich.text import Text

from klaviyo_sync.config import Connection, KlaviyoSettings, Project
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, about, safe_text
from klaviyo_sync.core.mapping import plan_mapping
from klaviyo_sync.core.placeholder_query import Placeholder, placeholder_query, placeholders_in
from klaviyo_sync.core.placeholders import MOST_BESIDE
from klaviyo_sync.core.query import FAR_AWAY, Column, Query, Relation, extent_query, find_column, relation, window_query
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import windows
from klaviyo_sync.klaviyo.accounts import Account, ListDetails
from klaviyo_sync.rejects_store import Store
from klaviyo_sync.source import Source
from klaviyo_sync.warehouses import Warehouse


class Asks(Protocol):
    """What is asked of Klaviyo's client."""

    def account(self) -> Account: ...
    def list_details(self, list_id: str) -> ListDetails: ...


OpenWarehouse = Callable[[Connection, str], Warehouse]
OpenKlaviyo = Callable[[KlaviyoSettings], AbstractContextManager[Asks]]
Located = Callable[[str], AbstractContextManager[None]]


class Finding(NamedTuple):
    """One answer: who was asked, about what, whether it is good, and what it says; with the placeholders that a dataset shows."""

    asked: str
    about: str
    good: bool
    said: str
    placeholders: tuple[Placeholder, ...] = ()

    def shown(self) -> Text:
        """The answer, for a table."""
        return Text(self.said, "green") if self.good else Text(f"wrong: {self.said}", "red")


def findings(project: Project, now: datetime, open_warehouse: OpenWarehouse, open_klaviyo: OpenKlaviyo) -> Iterator[Finding]:
    """Every answer: first which Klaviyo account the key opens, then the warehouses', the place of the rejects files, the lists.

    A connection that no sync uses is not asked.
    """
    answers = ask_klaviyo(project, open_klaviyo)
    yield next(answers)
    for name, connection in project.connections.items():
        syncs = [sync for sync in project.syncs if sync.connection == name]
        if syncs:
            at = project.at("connections", name)
            yield from ask_warehouse(name, connection, syncs, now, open_warehouse, located=project.located, at=at)
    yield ask_rejects(project.rejects, project.at("rejects"))
    yield from answers


def ask_rejects(folder: str, at: AbstractContextManager[None] | None = None) -> Finding:
    """Whether the rejects files can be written: a probe file is written and removed; `at` puts file and line before what is wrong."""
    try:
        with at or nullcontext():
            Store(folder).probe()
    except KlaviyoSyncError as error:
        return Finding("rejects", folder, good=False, said=str(error))
    return Finding("rejects", folder, good=True, said="a probe file was written and removed")


def ask_warehouse(
    name: str,
    connection: Connection,
    syncs: list[Sync],
    now: datetime,
    open_warehouse: OpenWarehouse,
    *,
    located: Located = nullcontext,
    at: AbstractContextManager[None] | None = None,
) -> Iterator[Finding]:
    """A warehouse's answers about the datasets of these syncs.

    `located` puts file and line before what is wrong with a sync's keys, `at` before what is wrong with the connection.
    """
    try:
        with at or nullcontext():
            warehouse = open_warehouse(connection.resolved(), f"klaviyo-sync check {name}")
    except Exception as error:  # noqa: BLE001 - the other answers are worth having, whatever became of this one
        yield Finding(name, "credentials", good=False, said=safe_text(error))
        return
    yield Finding(name, "credentials", good=True, said=f"connected to {connection.type}")
    try:
        for sync in syncs:
            yield from ask_dataset(name, sync, now, warehouse, located)
    finally:
        warehouse.close()


def ask_dataset(name: str, sync: Sync, now: datetime, warehouse: Warehouse, located: Located = nullcontext) -> Iterator[Finding]:
    """A warehouse's answers about one sync's dataset: every column that is missing, else whether its newest window can be read."""
    try:
        read = relation(sync, warehouse.dialect)
        with located(sync.name), about("query" if sync.dataset is None else "dataset"):
            columns = warehouse.columns(read)
        faults = [fault for column in sync.columns() if (fault := missing(name, sync, column, columns, located))]
        yield from faults
        if not faults:
            with located(sync.name):
                source = Source(sync, warehouse, read, columns, plan_mapping(sync, columns, DIALECTS[warehouse.dialect], now), now)
                newest = newest_query(sync, read, columns, now)
            next(iter(warehouse.batches(newest)), None)
            yield Finding(name, sync.name, good=True, said=f"{len(sync.columns())} columns found, and rows can be read")
            rows, newest_change = extent(source)
            yield Finding(name, f"{sync.name}: rows", good=True, said=f"{rows:,}, last modified at {newest_change}" if rows else "none yet")
            if rows and len(sync.identifiers) > 1:
                yield ask_placeholders(name, source, rows)
            yield from (Finding(name, f"{sync.name}: {sync.modified_at.column}", good=True, said=said) for said in costs(source, newest))
            warehouse.notes += source.present_time(whole=True)
            yield from (Finding(name, sync.name, good=True, said=note) for note in warehouse.notes)
    except Exception as error:  # noqa: BLE001 - as above
        yield Finding(name, sync.name, good=False, said=safe_text(error))


def extent(source: Source) -> tuple[int, object]:
    """How many rows there are, and up to when."""
    query = extent_query(source.sync, source.relation, source.columns, now=source.now)
    [row] = [row for batch in source.warehouse.batches(query) for row in batch.to_pylist()]
    return int(row["found"]), row["newest"]


def ask_placeholders(name: str, source: Source, rows: int) -> Finding:
    """The values that stand for nobody, counted over the whole dataset. A dataset in which they cannot be counted is not wrong for it."""
    about_them = f"{source.sync.name}: placeholders"
    queries = {path: placeholder_query(source.sync, source.relation, source.columns, path) for path in source.sync.identifiers}
    try:
        sizes = [source.warehouse.estimate(query) for query in queries.values()]
        placeholders = tuple(found for path, query in queries.items() for found in placeholders_of(source, path, query))
    except KlaviyoSyncError as error:
        return Finding(name, about_them, good=True, said=f"not counted. {error}")
    megabytes_read = "" if None in sizes else f" ({megabytes(sum(filter(None, sizes)))})"
    many = f"more than {MOST_BESIDE} values of another identifier in {rows:,} rows{megabytes_read}"
    if not placeholders:
        return Finding(name, about_them, good=True, said=f"no value stands beside {many}")
    stand = "1 value stands" if len(placeholders) == 1 else f"{len(placeholders)} values stand"
    said = f"{stand} beside {many}. The lines below leave out what stands for nobody"
    return Finding(name, about_them, good=True, said=said, placeholders=placeholders)


def placeholders_of(source: Source, path: str, query: Query) -> list[Placeholder]:
    """The placeholders of one identifier, as the warehouse counts them."""
    batches = list(source.warehouse.batches(query))
    dialect = DIALECTS[source.warehouse.dialect]
    return placeholders_in(pa.Table.from_batches(batches), source.sync, source.columns, dialect, path) if batches else []


def costs(source: Source, newest: Query) -> Iterator[str]:
    """What spares a run the rows of other windows, and how much the newest window reads of what there is, where that can be known."""
    sync, columns = source.sync, source.columns
    told = source.warehouse.pruning(source.relation, find_column(sync.modified_at.column, columns, sync.dataset or "the query"))
    if told is not None:
        yield told
    cost = source.warehouse.estimate(newest)
    whole = source.warehouse.estimate(window_query(sync, source.relation, columns, lower=None, upper=FAR_AWAY, aligned=False))
    if cost is not None and whole is not None:
        yield f"the newest window reads {megabytes(cost)} of {megabytes(whole)}"


def megabytes(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 1e6:,.1f} MB"


def missing(name: str, sync: Sync, column: str, columns: Sequence[Column], located: Located) -> Finding | None:
    """What is wrong with one column, if anything."""
    try:
        with located(sync.name), about(*sync.column_keys()[column]):
            find_column(column, columns, sync.dataset or "the query")
    except ConfigError as error:
        return Finding(name, f"{sync.name}: {column}", good=False, said=str(error))
    return None


def newest_query(sync: Sync, read: Relation, columns: Sequence[Column], now: datetime) -> Query:
    """The query of the newest window that has closed; of everything since the start when none has."""
    newest = deque(windows(sync, now), maxlen=1)
    lower, upper = (newest[0].start, newest[0].end) if newest else (sync.starts_at, now)
    return window_query(sync, read, columns, lower=lower, upper=upper)


def ask_klaviyo(project: Project, open_klaviyo: OpenKlaviyo) -> Iterator[Finding]:
    """Klaviyo's answers about the key, and about every list that a sync names."""
    try:
        with open_klaviyo(project.klaviyo) as klaviyo:
            with project.at("klaviyo", "api_key"):
                account = klaviyo.account()
            yield Finding("klaviyo", "api_key", good=True, said=str(account))
            for list_id, syncs in lists_of(project).items():
                yield ask_list(klaviyo, list_id, syncs, project)
    except Exception as error:  # noqa: BLE001 - as above
        yield Finding("klaviyo", "api_key", good=False, said=safe_text(error))


def ask_list(klaviyo: Asks, list_id: str, syncs: Sequence[str], project: Project) -> Finding:
    """Whether a list exists, and whether it asks people to confirm."""
    which = f"list {list_id} ({', '.join(syncs)})"
    try:
        with project.located(syncs[0]):
            found = klaviyo.list_details(list_id)
    except KlaviyoSyncError as error:
        return Finding("klaviyo", which, good=False, said=str(error))
    return Finding("klaviyo", which, good=True, said=f"{found.name}, {found.opt_in_process.replace('_', ' ')}")


def lists_of(project: Project) -> dict[str, list[str]]:
    """Every list id that is configured, with the syncs that name it."""
    found: dict[str, list[str]] = {}
    for sync in project.syncs:
        for list_id in dict.fromkeys((sync.list_id, sync.consent.list_id if sync.consent else None)):
            if list_id is not None:
                found.setdefault(list_id, []).append(sync.name)
    return found


def open_warehouse(connection: Connection, label: str) -> Warehouse:
    """The real warehouse behind a connection."""
    from klaviyo_sync.warehouses import connect  # noqa: PLC0415 - drivers take seconds to load

    return connect(connection, label)


def open_klaviyo(settings: KlaviyoSettings) -> AbstractContextManager[Asks]:
    """The real Klaviyo account."""
    from klaviyo_sync.klaviyo.client import Klaviyo  # noqa: PLC0415 - not needed until somebody is asked

    return Klaviyo(settings.api_key.reveal(), settings.base_url, account=settings.account)
