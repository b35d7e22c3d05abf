"""A run out of a local BigQuery into a local Klaviyo, and what becomes of it when reading breaks half-way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from run_place import FAST

from bigquery_server import Server
from bigquery_server import serve as serve_bigquery
from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import sync_windows
from klaviyo_sync.warehouses import connect

ROWS = 20_000
TABLE = f"""
CREATE SCHEMA crm;
CREATE TABLE crm.members AS SELECT 'c' || n AS id, n AS balance, TIMESTAMPTZ '2026-01-02 00:00Z' + to_seconds(n) AS updated_at
FROM range({ROWS}) AS r(n);
"""
SYNC = Sync.model_validate(
    {
        "name": "members",
        "connection": "bigquery",
        "dataset": "crm.members",
        "modified_at": "updated_at",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
        "properties": {"Balance": "balance"},
    }
)
PROFILES_PER_REQUEST = 1_000
OUTSIDE = 1  # the streams that a run reads before that of its rows


class Place:
    """A BigQuery, a Klaviyo and a rejects folder."""

    def __init__(self, folder: Path, server: Server, box: Sandbox, url: str) -> None:
        self.rejects = Rejects(str(folder / "rejects"))
        self.server, self.box, self.url = server, box, url

    def run(self) -> Result:
        """Runs the window that holds all rows."""
        warehouse = connect(BigQueryConnection.model_validate({"name": "bigquery", **self.server.connection()}), "klaviyo_sync members")
        now, chosen = datetime(2026, 1, 10, tzinfo=UTC), window(SYNC, "2026-01-02")
        try:
            with Klaviyo("pk_x", self.url, **FAST) as klaviyo:
                report = sync_windows(
                    SYNC, [chosen], warehouse, klaviyo, now=now, rejects=self.rejects, log=lambda _: None, most=PROFILES_PER_REQUEST
                )
                return report.results[chosen.key]
        finally:
            warehouse.close()

    def balances(self) -> list[int]:
        """The balance of every profile that Klaviyo holds, sorted."""
        held = (self.box.profiles.attributes(number) for number in range(len(self.box.profiles)))
        return sorted(profile["properties"]["Balance"] for profile in held)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place whose rows come in messages of 2,000."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve_bigquery(message_rows=2_000) as server, serve(box) as klaviyo:
        server.state.execute(TABLE)
        yield Place(tmp_path, server, box, klaviyo.url)


def test_a_stream_that_is_taken_up_again(place: Place) -> None:
    """A stream that breaks and goes on costs nothing: every row is read, and imported, once."""
    place.server.state.fail("ReadRows", grpc.StatusCode.UNAVAILABLE, skipped=OUTSIDE, rows=18_000)
    result = place.run()
    assert (result.read, result.imported, result.superseded) == (ROWS, ROWS, 0)
    assert place.balances() == list(range(ROWS))


def test_a_stream_that_is_lost(place: Place) -> None:
    """A read that breaks for good is no result, and nothing was sent by then; the next run makes it whole, and nothing is there twice."""
    place.server.state.fail("ReadRows", grpc.StatusCode.INTERNAL, skipped=OUTSIDE, rows=18_000)
    with pytest.raises(Unavailable, match="the next run asks again"):
        place.run()
    assert len(place.box.profiles) == 0
    assert place.run().imported == ROWS
    assert place.balances() == list(range(ROWS))
