"""No cell of the warehouse and no key is ever in what Dagster keeps, in what is logged, or in what a process prints."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import duckdb
import pytest
from fault_place import DAYS, Place

from klaviyo_sync.sandbox import Sandbox, serve

pytestmark = [pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"), pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

# Every cell of the table holds one of these, and nothing else in the project does.
WORD, DIGITS, KEY = "zq7xw", "15173442", "pk_fault_matrix"
PROJECT = """
klaviyo: {{api_key: {{env: KEY}}, base_url: {{env: URL}}}}
connections: {{local: {{type: duckdb, path: warehouse.duckdb}}}}
rejects: {rejects}
"""
SYNC = """
connection: local
dataset: crm.people
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile:
  email: email
  external_id: id
  phone_number: {column: phone, country: country}
  first_name: name
  locale: locale
  image: image
  location.latitude: latitude
  location.timezone: zone
properties:
  Score: {column: score, type: number}
  Day: {column: day, type: date}
  List: {column: list, type: list}
  Json: {column: json, type: json}
consent:
  email_marketing: {column: consent, timestamp: consented_at}
  sms_marketing: texts
stop_above: {rejected: null}
"""
# Datasets whose reading breaks on a cell or at a column, and the property that does it.
BROKEN = {"broken": "name", "wrong_json": "json", "without": "score"}
BROKEN_SYNC = """
connection: local
dataset: crm.{name}
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile: {{email: email, external_id: id}}
properties: {{Of_{name}: {column}}}
"""
# Clean rows, rows with every cell wrong, rows without identifiers, rivals and histories, over three days.
ROWS = f"""
CREATE SCHEMA crm;
CREATE TABLE crm.people AS SELECT
    CASE n % 5 WHEN 4 THEN NULL ELSE '{WORD}-key-' || n // 2 END AS id,
    CASE n % 5
        WHEN 0 THEN '{WORD}' || n || '@example.com' WHEN 1 THEN '{WORD} no address' WHEN 2 THEN '{WORD}' || n || '@@example.com'
    END AS email,
    CASE n % 3 WHEN 0 THEN '+49{DIGITS}' || (100 + n % 900) WHEN 1 THEN '{DIGITS}' || n ELSE 'call {WORD}' END AS phone,
    '{WORD} country' AS country,
    '{WORD}' || chr(7) || ' name' AS name,
    '{WORD} locale' AS locale,
    '{WORD} image' AS image,
    '{WORD} latitude' AS latitude,
    '{WORD}/zone' AS zone,
    '{WORD} score' AS score,
    '{WORD} day' AS day,
    '{WORD} list' AS list,
    '{{"{WORD}": ' AS json,
    CASE n % 4 WHEN 0 THEN 'Subscribe' WHEN 1 THEN 'Unsubscribed' ELSE '{WORD} perhaps' END AS consent,
    CASE n % 4 WHEN 0 THEN '{WORD} when' WHEN 1 THEN '2025-01-01T00:00:00Z' END AS consented_at,
    CASE n % 2 WHEN 0 THEN 'Subscribe' ELSE '{WORD} texts' END AS texts,
    TIMESTAMP '2026-01-01' + to_hours(n * 72 // 60) AS updated_at
FROM range(60) AS _(n);
CREATE VIEW crm.broken AS SELECT * REPLACE (CAST(CAST(name AS INTEGER) AS VARCHAR) AS name) FROM crm.people;
CREATE VIEW crm.wrong_json AS SELECT * REPLACE (CAST(json AS JSON) AS json) FROM crm.people;
CREATE VIEW crm.without AS SELECT * EXCLUDE (score) FROM crm.people;
"""


class Trouble(NamedTuple):
    """What goes wrong in one run: the faults, and the dataset that is read."""

    faults: tuple[dict[str, Any], ...] = ()
    dataset: str = "people"


QUOTING = f"The value {WORD}-key-3 of {WORD}3@example.com, +49{DIGITS}103, is not valid."
ENDPOINTS = (
    "get_accounts",
    "bulk_import_profiles",
    "get_bulk_import_profiles_jobs",
    "get_errors_for_bulk_import_profiles_job",
    "get_profiles",
    "bulk_subscribe_profiles",
    "bulk_unsubscribe_profiles",
)
TROUBLES: dict[str, Trouble] = {
    "none": Trouble(),
    "rows that fail late, with Klaviyo quoting them": Trouble(({"kind": "row", "containing": f"{WORD}-key-3", "detail": QUOTING},)),
    **{f"{kind} at {endpoint}": Trouble(({"kind": kind, "endpoint": endpoint},)) for kind in ("400", "garbage") for endpoint in ENDPOINTS},
    **{
        f"{kind} at the import": Trouble(({"kind": kind, "endpoint": "bulk_import_profiles"},))
        for kind in ("401", "403_html", "413", "reset", "truncated")
    },
    **{kind: Trouble(({"kind": kind},)) for kind in ("job_cancelled", "job_vanished")},
    **{f"dataset {name}": Trouble(dataset=name) for name in BROKEN},
}

FEW = ("none", "rows that fail late, with Klaviyo quoting them", "400 at bulk_import_profiles", "garbage at get_profiles", "dataset broken")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A project whose every cell is personal, and a local Klaviyo."""
    folder = tmp_path_factory.mktemp("private")
    (folder / "syncs").mkdir()
    (folder / "klaviyo_sync.yaml").write_text(PROJECT.format(rejects=folder / "rejects"), encoding="utf-8")
    (folder / "syncs" / "people.yaml").write_text(SYNC, encoding="utf-8")
    for name, column in BROKEN.items():
        (folder / "syncs" / f"{name}.yaml").write_text(BROKEN_SYNC.format(name=name, column=column), encoding="utf-8")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(ROWS)
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server:
        yield Place(folder, box, server.url, server.end_outage)


def found_in(text: str) -> list[str]:
    """Which of the words that nobody may see are in a text."""
    folded = text.casefold()
    return [word for word in (WORD, DIGITS, KEY) if word in folded]


def leaks(folder: Path) -> dict[str, list[str]]:
    """The files of a folder, with what they give away."""
    files = {str(path.relative_to(folder)): found_in(path.read_bytes().decode("latin-1")) for path in folder.rglob("*") if path.is_file()}
    return {name: words for name, words in files.items() if words}


@pytest.mark.parametrize("troubles", [FEW, pytest.param(tuple(TROUBLES), marks=pytest.mark.long)], ids=["few", "all"])
def test_nothing_personal_under_any_fault(
    troubles: tuple[str, ...], place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """After runs over the dirtiest rows under every fault, neither storage, nor any log, nor the output holds a cell or the key."""
    caplog.set_level(logging.DEBUG)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for trouble in map(TROUBLES.__getitem__, troubles):
            place.fresh()
            for fault in trouble.faults:
                place.box.faults.add(**fault)
            place.run(trouble.dataset, instance)
        texts = {"log": caplog.text, **dict(zip(("output", "errors"), capfd.readouterr(), strict=True))}
        runs = instance.get_runs_count()
    assert runs == len(troubles)
    assert {name: words for name, text in texts.items() if (words := found_in(text))} == {}
    assert leaks(tmp_path) == {}
    assert any(path.suffix == ".db" and path.stat().st_size for path in tmp_path.rglob("*")), "nothing was stored, so nothing was shown"


def test_only_the_rejects_file_tells_and_only_to_its_owner(place: Place) -> None:
    """The rows that stayed behind are in the rejects file with their cells, and its mode lets nobody else read it."""
    place.fresh()
    with dg.DagsterInstance.ephemeral() as instance:
        assert place.run("people", instance).success
    files = [place.folder / "rejects" / "people" / f"{day}.csv" for day in DAYS]
    assert all(WORD in file.read_text(encoding="utf-8") for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("dataset", [pytest.param("people", marks=pytest.mark.long), "broken"])
def test_a_process_of_its_own(place: Place, tmp_path: Path, dataset: str) -> None:
    """What `dagster asset materialize` prints and keeps, whether the run succeeds or breaks on a cell, is free of cells and of the key."""
    place.fresh()
    command = ["-m", "dagster", "asset", "materialize", "-m", "klaviyo_sync.definitions", "--select", f'key:"klaviyo/{dataset}"']
    environment = {
        **os.environ,
        "KLAVIYO_SYNC_CONFIG": str(place.folder / "klaviyo_sync.yaml"),
        "KEY": KEY,
        "URL": place.url,
        "DAGSTER_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, *command, "--partition", DAYS[0]],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode == 0) == (dataset == "people"), done.stderr
    assert found_in(done.stdout + done.stderr) == []
    assert leaks(tmp_path) == {}
