"""A dry run of one window: everything that a run does before it sends. Klaviyo is neither asked nor written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.packing import import_envelope, pack
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Channel, Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.source import open_source
from klaviyo_sync.sync_window import engine
from klaviyo_sync.warehouses import Warehouse

# https://developers.klaviyo.com/en/reference/bulk_import_profiles
JOBS_PER_MINUTE = 150
EXAMPLES = 3


@dataclass(frozen=True)
class Preview:
    """What a run of one window would do, as far as the warehouse can tell.

    `result` counts the rows; its `requests` and `bytes` are those that would be sent. `stated` counts the usable consent statements by
    channel and meaning. `examples` are the first profiles as they would be sent, as JSON texts.
    """

    result: Result
    profiles: int
    stated: dict[tuple[Channel, str], int]
    examples: tuple[str, ...]
    undated: int
    future: int

    @property
    def minutes(self) -> float:
        """How long the requests take at Klaviyo's limit."""
        return self.result.requests / JOBS_PER_MINUTE


def preview_window(sync: Sync, window: Window, warehouse: Warehouse, *, now: datetime, seen: Callable[[int], None]) -> Preview:
    """The preview of one window; `seen` is told how many rows were read each time that some were.

    Raises ConfigError, Refused or Unavailable when the window cannot be read.
    """
    source = open_source(sync, warehouse, now)
    undated, future = source.rows_outside()
    tally = Tally([window])
    stated: Counter[tuple[Channel, str]] = Counter()
    examples: list[str] = []
    requests = size = profiles = 0

    with engine() as connection:
        encoder = Encoder(connection)

        def prepared(rows: Rows) -> tuple:
            ready = prepare_rows(rows, source.plan, encoder)
            tally.count("rejected", rows.windows[ready.rejected])
            tally.add_issues(ready.issues, rows.windows)
            stays = rows.held.copy()
            stays[ready.rejected] = True
            for channel, statements in rows.mapped.statements.items():
                meanings = np.asarray(statements.meaning.to_numpy(zero_copy_only=False))[~stays]
                stated.update((channel, meaning) for meaning in meanings if meaning is not None)
            examples.extend(ready.profiles.slice(0, EXAMPLES - len(examples)).to_pylist())
            seen(len(rows.frame))
            return ready.profiles, ready.rows

        rows = source.newest([window], Rivals(connection.cursor(), source.plan), tally)
        for batch in pack(map(prepared, rows), import_envelope(sync.list_id)):
            requests, size, profiles = requests + 1, size + batch.size, profiles + len(batch)

    counted = tally.results()[window.key] + Result(requests=requests, bytes=size)
    return Preview(counted, profiles, dict(stated), tuple(text.rstrip(",") for text in examples), undated, future)
