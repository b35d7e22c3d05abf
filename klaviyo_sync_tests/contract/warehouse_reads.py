"""What the shared suite asks of a warehouse: which rows each window takes, and what they become."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from backends import Place

from klaviyo_sync.core.packing import import_envelope, pack
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, window
from klaviyo_sync.engine import engine
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.source import Source, open_source
from klaviyo_sync.sync_window import profiles
from klaviyo_sync.warehouses import connect

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Taken(NamedTuple):
    """The external ids that each window takes, and how many rows it counts as read and as superseded."""

    ids: dict[str, list[str]]
    read: dict[str, int]
    superseded: dict[str, int]


def sync_of(dataset: str | None, **changes: Any) -> Sync:
    """A sync of a dataset, with changes; None takes a key out."""
    plain = {
        "name": "people",
        "connection": "warehouse",
        "dataset": dataset,
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
    }
    return Sync.model_validate({key: value for key, value in {**plain, **changes}.items() if value is not None})


@contextmanager
def opened(place: Place, sync: Sync, now: datetime = NOW) -> Iterator[Source]:
    """The source of a sync, over the warehouse's real client."""
    warehouse = connect(place.connection, f"klaviyo_sync {sync.name}")
    try:
        yield open_source(sync, warehouse, now)
    finally:
        warehouse.close()


def taken(place: Place, sync: Sync, *keys: str) -> Taken:
    """What the windows of these keys take, in one run."""
    return taken_by(place, sync, [window(sync, key) for key in keys])


def taken_by(place: Place, sync: Sync, windows: list[Window]) -> Taken:
    """What some windows take, in one run."""
    found: dict[str, list[str]] = {one.key: [] for one in windows}
    tally = Tally(windows)
    with opened(place, sync) as source, engine() as connection:
        for rows in source.newest(windows, Rivals(connection.cursor(), source.plan), tally):
            for position, name, held in zip(rows.windows, rows.mapped.profiles["external_id"], rows.held, strict=True):
                if not held:
                    found[windows[position].key].append(str(name))
    counts = {
        name: {one.key: count for one, count in zip(windows, tally.counts[name].tolist(), strict=True)} for name in ("read", "superseded")
    }
    return Taken({key: sorted(names) for key, names in found.items()}, counts["read"], counts["superseded"])


def sent(place: Place, sync: Sync, key: str) -> list[dict[str, Any]]:
    """The attributes of the profiles that a window would send, as the JSON says, in the order of their texts."""
    windows = [window(sync, key)]
    found: list[dict[str, Any]] = []
    with opened(place, sync) as source, engine() as connection, Rejects("memory://contract").open("people", [key]) as files:
        for batch in pack(profiles(source, windows, connection, Tally(windows), files), import_envelope()):
            body = orjson.loads(bytes(batch.body()))
            found += [one["attributes"] for one in body["data"]["attributes"]["profiles"]["data"]]
    return sorted(found, key=orjson.dumps)


def quarters(start: datetime, count: int) -> list[Window]:
    """So many quarters of an hour."""
    step = timedelta(minutes=15)
    return [Window(str(position), start + step * position, start + step * (position + 1)) for position in range(count)]
