"""A run out of Snowflake whose read breaks half-way: it is not done, and the next one loses and repeats nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("fakesnow", reason="fakesnow, on which the local Snowflake stands, is not installed")

from snowflake_people import make_people, opened, people
from warehouse_reads import NOW

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox
from klaviyo_sync.sandbox import serve as serve_klaviyo
from klaviyo_sync.sync_window import Report, sync_windows
from snowflake_server import Answer, Server, serve

ROWS = 60_000
CHUNK = 3_000
DAY = "2026-01-01"


def run(server: Server, url: str, rejects: Path) -> Report:
    """Imports the day's rows, a thousand a request."""
    sync = people()
    with opened(server) as warehouse, Klaviyo("pk_x", url, limits=LIMITS.scaled(1e6)) as klaviyo:
        windows = [window(sync, DAY)]
        return sync_windows(sync, windows, warehouse, klaviyo, now=NOW, rejects=Rejects(str(rejects)), log=lambda _: None, most=CHUNK)


def test_a_read_that_breaks_half_way(tmp_path: Path) -> None:
    """The run raises before anything went out, and the next one ends with every profile once."""
    box = Sandbox(limits=False, job_seconds=0)
    with serve() as server, serve_klaviyo(box) as klaviyo:
        server.state.chunk_rows = server.state.inline_rows = CHUNK
        make_people(server, ROWS)
        server.state.execute("UPDATE people SET id = 'r' || id")  # 0 is nobody's id
        chunks = ROWS // CHUNK - 1
        # Most of the chunks of the rows; after that addresses are dead, and so is the result.
        server.state.failures["chunk"] = [*[None] * (chunks - 2), *[Answer(403)] * 100]
        server.state.failures["result"] = [Answer(503)] * 10_000
        with pytest.raises(Unavailable):
            run(server, klaviyo.url, tmp_path)
        assert len(box.profiles) == 0
        server.state.failures.clear()
        result = run(server, klaviyo.url, tmp_path).results[DAY]
        assert (result.read, result.imported, result.balanced) == (ROWS, ROWS, True)
        ids = Counter(box.profiles.attributes(number)["external_id"] for number in range(len(box.profiles)))
    assert ids == Counter(f"r{number}" for number in range(ROWS))
