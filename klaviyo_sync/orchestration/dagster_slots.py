"""Concurrency slots in Dagster's event log, behind its public interface; klaviyo_sync_tests/orchestration/test_import_slot.py holds it.

Apart from dagster_private.py because it loads SQLAlchemy, which only runs need.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.schema import ConcurrencySlotsTable
from sqlalchemy import and_, func, select
from sqlalchemy.exc import IntegrityError


class Holder(NamedTuple):
    """Who holds a concurrency slot, by the names that Dagster keeps of it."""

    run_id: str
    step_key: str


def has_slots(storage: EventLogStorage) -> bool:
    """Whether an event log can hold concurrency slots. One in memory can, although it says of itself that it does not limit steps."""
    if isinstance(storage, SqlEventLogStorage):
        return storage.has_table(ConcurrencySlotsTable.name)
    return storage.supports_global_concurrency_limits


def is_local(storage: EventLogStorage) -> bool:
    """Whether the event log is a file on a disk of this machine."""
    return isinstance(storage, SqliteEventLogStorage | ConsolidatedSqliteEventLogStorage)


def holders(storage: EventLogStorage, key: str) -> list[Holder]:
    """Who holds slots of this key, also slots whose limit was taken away since."""
    return [Holder(slot.run_id, slot.step_key) for slot in storage.get_concurrency_info(key).claimed_slots]


def take(storage: EventLogStorage, key: str, holder: Holder) -> bool:
    """Whether a free slot of this key is now the holder's. A key without slots gets one first.

    Dagster's own claim reads a free row and then writes it by its id; on SQLite two processes can do so at once, and both are told that
    the slot is theirs. The condition in this UPDATE is checked by the database, so that it succeeds once, on every database.
    Storages that are no database of ours, such as Dagster+, claim on their side.
    """
    if storage.get_concurrency_info(key).slot_count == 0:
        with suppress(IntegrityError):  # somebody else makes it at the same moment
            storage.set_concurrency_slots(key, 1)
    if not isinstance(storage, SqlEventLogStorage):
        return storage.claim_concurrency_slot(key, *holder).is_claimed
    slots = ConcurrencySlotsTable.c
    live = and_(slots.concurrency_key == key, slots.deleted.is_(False))
    with storage.index_connection() as connection:
        # Of several slots only the first counts, so that all compete for the same.
        first = connection.execute(select(func.min(slots.id)).where(live)).scalar()
    if first is None:
        return False
    with storage.index_connection() as connection:
        claim = ConcurrencySlotsTable.update().where(and_(slots.id == first, slots.run_id.is_(None), live)).values(**holder._asdict())
        return connection.execute(claim).rowcount == 1


def free(storage: EventLogStorage, holder: Holder) -> None:
    """Takes from the holder what it holds or waits for."""
    storage.free_concurrency_slot_for_step(*holder)


def storage_folder(instance: dg.DagsterInstance) -> Path | None:
    """The folder of an event log that is kept in files; None for a database, and for one in memory."""
    storage = instance.event_log_storage
    return (
        Path(storage.conn_string_for_shard("index").removeprefix("sqlite:///")).parent
        if isinstance(storage, SqliteEventLogStorage)
        else None
    )


def pool_limit(instance: dg.DagsterInstance, pool: str) -> int | None:
    """The limit that holds for a pool, its own or the default one; None without any."""
    own = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits() if not limit.from_default}
    return own.get(pool, instance.get_concurrency_config().pool_config.default_pool_limit)


@contextmanager
def instance_here(folder: Path) -> Iterator[dg.DagsterInstance | None]:
    """The instance that Dagster would use when started in `folder`; None when that would be a temporary one."""
    if is_dagster_home_set():
        with dg.DagsterInstance.get() as instance:
            yield instance
    elif not (folder / "dagster.yaml").is_file():
        yield None
    else:
        # As Dagster does it: what the file gives no place for goes into a temporary folder.
        with (
            TemporaryDirectory() as temporary,
            dg.DagsterInstance.from_ref(InstanceRef.from_dir(temporary, config_dir=str(folder))) as instance,
        ):
            yield instance
