"""A soak: many windows, rows that change, random faults and kills; in the end Klaviyo holds exactly what it should.

`python klaviyo_sync_tests/end_to_end/soak.py` runs a million rows and prints what happened; `soak` is also a test with few rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import duckdb
from crash_place import CrashPlace, crash_place

IMPORT, ERRORS, SUBSCRIBE = "bulk_import_profiles", "get_errors_for_bulk_import_profiles_job", "bulk_subscribe_profiles"
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "429", "times": 5},
    {"kind": "500", "times": 6, "endpoint": IMPORT},
    {"kind": "503", "times": 20},
    {"kind": "502", "times": 2, "endpoint": ERRORS},
    {"kind": "reset", "carried_out": True, "times": 2},
    {"kind": "truncated", "times": 2},
    {"kind": "garbage", "times": 3, "endpoint": IMPORT},
    {"kind": "outage", "seconds": 0.2},
    {"kind": "413", "times": 2, "endpoint": IMPORT},
    {"kind": "400", "endpoint": IMPORT},
    {"kind": "job_cancelled"},
    {"kind": "job_vanished"},
    {"kind": "500", "times": 4, "endpoint": SUBSCRIBE},
    {"kind": "504", "carried_out": True, "endpoint": SUBSCRIBE},
)
STATUSES = {0: "SUBSCRIBED", 1: "UNSUBSCRIBED", 2: "SUBSCRIBED"}


@dataclass
class Told:
    """What happened in a soak."""

    rows: int = 0
    runs: int = 0
    killed: int = 0
    failed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    imported: int = 0
    profiles: int = 0
    seconds: float = 0.0


def soak(folder: Path, *, people: int, step: int, days: int, most: int, seed: int, longest: float) -> Told:
    """What happened. Every day, one person in `step` changes. Runs are killed within `longest` seconds, if at all.

    Raises AssertionError when Klaviyo does not hold exactly the newest row and the consent of everybody.
    """
    random = Random(seed)
    told = Told()
    started = time.monotonic()
    with crash_place(folder, people, most, job_seconds=(0.0, 0.5), seed=seed) as place:
        missing: set[int] = set()
        for day in range(days):
            place.change(step, random.randrange(step))
            missing.add(day)
            for _ in range(random.choice((1, 1, 2, 3))):
                if random.random() < 0.6:
                    fault = random.choice(FAULTS)
                    told.faults[fault["kind"]] += 1
                    place.box.faults.add(**{"skip": random.randrange(6), **fault})
                # As a schedule does, now and then: all that is missing, from the oldest on.
                attempt(place, missing, told, random.random() * longest if random.random() < 0.5 else 0.0)
        place.box.faults.clear()
        while missing:
            attempt(place, missing, told, 0.0)
        compare(place, told)
    told.seconds = time.monotonic() - started
    return told


def attempt(place: CrashPlace, missing: set[int], told: Told, seconds: float) -> None:
    """One run over the oldest missing windows that adjoin, killed after so many seconds, if any."""
    if not missing:
        return
    first = min(missing)
    last = next(day for day in range(first, place.day + 1) if day not in missing)
    ended, _ = place.run(range(first, last), seconds=seconds)
    told.runs += 1
    told.killed += ended < 0
    told.failed += ended > 0
    if ended == 0:
        missing.difference_update(range(first, last))


def compare(place: CrashPlace, told: Told) -> None:
    """Klaviyo holds exactly what it should."""
    held = place.profiles()
    assert {name: attributes["properties"]["Version"] for name, attributes in held.items()} == place.expected()
    assert len(held) == len(place.box.profiles)
    for name in held:
        if "@" in name:
            number = int(name[1:].partition("@")[0])
            assert place.box.consent(name).status("email_marketing") == STATUSES.get(number % 5, "NEVER_SUBSCRIBED"), name
    with duckdb.connect(str(place.folder / "warehouse.duckdb"), read_only=True) as connection:
        [(told.rows,)] = connection.execute("SELECT COUNT(*) FROM people").fetchall()
    told.requests, told.profiles, told.imported = place.requests(), len(held), place.box.rows_seen


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        sys.stdout.write(
            f"{soak(Path(where) / 'soak', people=200_000, step=5, days=25, most=10_000, seed=int(sys.argv[1]), longest=20.0)}\n"
        )
