"""Random histories through Dagster and HTTP into the sandbox: no opt-out is missing, and nobody is subscribed against one.

The end state may differ by the order in which windows run where a subscribe is concerned: a window that runs alone does not read older
rows, so it neither sends what they state nor lets their subscribes outweigh its opt-outs. Of an opt-out that no row outweighs it may not
differ, nor of a household whose rows are all in one window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
import yaml
from histories import NOW, SYNC, TABLE, Address, Change, addresses, household, orders, standing, subscribed

from how_many import long_form
from klaviyo_sync.config import load
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.orchestration.resources import OpenKlaviyo, OpenWarehouse
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report, sync_windows

SPEED = 10_000.0
COLUMNS = ("id", "mail", "phone", "e", "e_at", "s", "s_at", "changed")
pytestmark = [pytest.mark.filterwarnings("ignore::dagster.BetaWarning"), pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")]
ONCE_WRONG = (688, 1035)  # in doubt about a zone, Klaviyo's copy of the very subscribe counted as newer than the opt-out
Histories = Mapping[int, Sequence[Change]]


def run_windows(
    sync: Sync,
    windows: Sequence[Window],
    warehouse: OpenWarehouse,
    klaviyo: OpenKlaviyo,
    *,
    now: datetime,
    rejects: Rejects,
    log: Callable[[str], None],
    before: Sequence[Changes] = (),
    let_through: bool = False,
) -> Report:
    """The real import, by a client without pace whose clock is fast."""
    with warehouse("histories") as opened, klaviyo() as given:
        fast: dict[str, Any] = {
            "limits": LIMITS.scaled(1e6),
            "clock": lambda: time.monotonic() * SPEED,
            "sleep": lambda seconds: time.sleep(seconds / SPEED),
        }
        with Klaviyo("pk_histories", given.base_url, **fast) as client:
            return sync_windows(sync, windows, opened, client, now=now, rejects=rejects, log=log, before=before, let_through=let_through)


def ended(folder: Path, histories: Histories, runs: Sequence[Sequence[str]]) -> dict[Address, str]:
    """What Klaviyo holds of every address after these runs of a Dagster of their own, into an account of their own."""
    (folder / "syncs").mkdir(parents=True)
    project = {"klaviyo": {"api_key": {"env": "KEY"}, "base_url": {"env": "URL"}}, "rejects": str(folder / "rejects")}
    connections = {"connections": {"local": {"type": "duckdb", "path": "warehouse.duckdb"}}}
    (folder / "klaviyo_sync.yaml").write_text(yaml.safe_dump(project | connections), encoding="utf-8")
    (folder / "syncs" / "members.yaml").write_text(yaml.safe_dump(SYNC), encoding="utf-8")
    rows = [row.cells for changes in histories.values() for row in changes]
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(TABLE)
        connection.register("given", pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))))
        connection.execute("INSERT INTO members SELECT * FROM given")
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server, dg.DagsterInstance.ephemeral() as instance:
        environ = {"KEY": "pk_histories", "URL": server.url}
        loaded = load(folder / "klaviyo_sync.yaml", environ)
        importing = Importing(run_windows, lambda: Rejects(loaded.rejects), lambda: NOW, dg.RetryPolicy(max_retries=0))
        job = build_definitions(loaded, importing, environ).resolve_job_def("klaviyo_members")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        for days in runs:
            span = {"dagster/asset_partition_range_start": days[0], "dagster/asset_partition_range_end": days[-1]}
            assert job.execute_in_process(quiet, tags=span, instance=instance).success
        return {
            (channel, address): box.consent(address).status(channel)
            for changes in histories.values()
            for channel, address in addresses(changes)
        }


def faults(rows: Sequence[Change], statuses: Mapping[Address, str]) -> list[str]:
    """What is wrong with what Klaviyo holds of a household in the end."""
    missing = [f"{address} opted out and is {statuses[address]}" for address in standing(rows) if statuses[address] != "UNSUBSCRIBED"]
    joined = [address for address in addresses(rows) - subscribed(rows) if statuses[address] == "SUBSCRIBED"]
    return [*missing, *(f"{address} is subscribed, and no row says so" for address in joined)]


def minimised(folder: Path, rows: Sequence[Change], runs: Sequence[Sequence[str]]) -> list[Change]:
    """The fewest rows of a household with which these runs still end wrong."""
    least = list(rows)
    for number, row in enumerate(rows):
        fewer = [one for one in least if one is not row]
        if fewer and faults(fewer, ended(folder / str(number), {0: fewer}, runs)):
            least = fewer
    return least


@pytest.mark.parametrize("names", [("one range", "any order"), pytest.param(("one by one", "twice"), marks=pytest.mark.long)])
def test_no_opt_out_is_missing(tmp_path: Path, names: Sequence[str]) -> None:
    """In whatever order the windows run, every opt-out that no row outweighs holds in the end, and nobody joins whom no row subscribes."""
    histories = {seed: household(seed) for seed in (*range(1_500 if long_form() else 300), *ONCE_WRONG)}
    ends = {name: ended(tmp_path / name, histories, orders(0)[name]) for name in names}
    for seed, rows in histories.items():
        for name, statuses in ends.items():
            if wrong := faults(rows, statuses):
                least = minimised(tmp_path / f"least {name} {seed}", rows, orders(0)[name])
                pytest.fail(f"seed {seed}, {name}: {wrong}\n" + "\n".join(map(str, least)))
        if len({f"{row.changed:%Y-%m-%d}" for row in rows}) == 1:
            first, *others = ({address: statuses[address] for address in addresses(rows)} for statuses in ends.values())
            assert all(other == first for other in others), f"seed {seed}: {rows}"
