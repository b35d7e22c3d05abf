"""docs/exports.md: each load and each sync as they stand there, on a file of that shape.

A folder in cases/exports holds the files of an export (made-up people); expected.yaml says what Klaviyo holds afterwards: `before` who had
opted out there, `people` the profiles and their consent, `issues` how many cells had which issue.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from run_place import FAST

from documented import FENCE
from klaviyo_sync.config import load
from klaviyo_sync.core.sync import Channel, Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import sync_windows
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
CASES = Path(__file__).parents[1] / "cases" / "exports"
NAMES = sorted(folder.name for folder in CASES.iterdir())
PROJECT = "klaviyo: {api_key: {env: KLAVIYO_API_KEY}}\nconnections:\n  local: {type: duckdb, path: warehouse.duckdb}\n"
BEFORE, LOADED = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 2, 10, tzinfo=UTC)
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
GUESSED = {"as text": "", "as DuckDB guesses": ", all_varchar = true"}
CHANNELS: dict[str, tuple[str, Channel]] = {"email": ("email", "email_marketing"), "sms": ("phone_number", "sms_marketing")}


def section(name: str) -> dict[str, str]:
    """The code blocks of an export's section, by language."""
    [text] = [part for part in PAGE.split("\n## ") if part.lower().startswith(name)]
    return dict(FENCE.findall(text))


def load_export(name: str, file: Path, left_out: str) -> None:
    """Runs the load of a section, less one of its options; rows that take the time of the load as theirs all get LOADED."""
    sql = section(name)["sql"]
    [table] = [line.split()[4] for line in sql.splitlines() if line.startswith("CREATE OR REPLACE TABLE")]
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET file_search_path = '{CASES / name}'")
        connection.execute(sql.replace(left_out, "") if left_out else sql)
        if "loaded_at" in sql:
            connection.execute(f"UPDATE {table} SET loaded_at = ?", [LOADED])


def documented_sync(name: str, folder: Path) -> Sync:
    """The sync of a section, as the files that it is written into are read."""
    text = section(name)["yaml"]
    (folder / "syncs").mkdir()
    (folder / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    (folder / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    [sync] = load(folder / "klaviyo_sync.yaml", {}, NOW).syncs
    return sync


def held(box: Sandbox) -> list[dict[str, Any]]:
    """Every profile, and what its addresses are in the channels, as far as anything was stated."""
    people = []
    for number in box.profiles.numbers():
        profile = box.profiles.attributes(number)
        statuses = {short: box.consents.of(number).status(channel) for short, (path, channel) in CHANNELS.items() if profile.get(path)}
        people.append({"profile": profile, **{short: status for short, status in statuses.items() if status != "NEVER_SUBSCRIBED"}})
    return sorted(people, key=lambda person: str(person["profile"].get("email") or person["profile"].get("external_id")))


@pytest.mark.parametrize("left_out", GUESSED.values(), ids=GUESSED)
@pytest.mark.parametrize("name", NAMES)
def test_the_documented_export(name: str, left_out: str, tmp_path: Path) -> None:
    """Every person of an export becomes the right profile with the right consent, also where DuckDB guesses the types of the columns."""
    case = yaml.safe_load((CASES / name / "expected.yaml").read_text(encoding="utf-8"))
    load_export(name, tmp_path / "warehouse.duckdb", left_out)
    sync = documented_sync(name, tmp_path)
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    for address in case.get("before", ()):
        box.opt_out(address, "email_marketing", BEFORE)
    with serve(box) as server, closing(DuckDBWarehouse(tmp_path / "warehouse.duckdb")) as warehouse:
        windows = [window(sync, key) for key in case["windows"]]
        with Klaviyo("pk_x", server.url, **FAST) as klaviyo:
            report = sync_windows(sync, windows, warehouse, klaviyo, now=NOW, rejects=Rejects(str(tmp_path)), log=lambda _: None)
    counted: dict[str, int] = {}
    for result in report.results.values():
        assert result.balanced
        assert result.proven
        for kind, count in result.issues.items():
            counted[f"{kind.column}: {kind.code}"] = counted.get(f"{kind.column}: {kind.code}", 0) + count
    assert held(box) == case["people"]
    assert counted == case["issues"]


def test_every_export_is_tried() -> None:
    """Each section of the page with a load and a sync has its files."""
    assert sorted(part.split("\n")[0].lower() for part in PAGE.split("\n## ")[1:]) == NAMES
