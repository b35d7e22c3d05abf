"""A hundred thousand people: the fewest requests, and no more memory than ten thousand need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest
from consent_place import SCHEMA, Place, placed

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)
ROOM = 100_000_000  # bytes; a kilobyte for each further person would be 90 MB, and Python objects take more
CHILD = """
import json, resource, sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from consent_place import Place

def peak():
    # Linux keeps ru_maxrss over exec: it would be that of the parent, which holds the local Klaviyo.
    with suppress(OSError):
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

if __name__ == "__main__":
    folder, now, url = sys.argv[1:]
    place = Place(Path(folder), datetime.fromisoformat(now))
    place.url = url
    result = place.run(["2026-12-09"]).results["2026-12-09"]
    counts = {channel: [one.stated, one.sent] for channel, one in result.consent.items() if one.stated}
    print(json.dumps([peak(), counts, result.consent_requests, result.phone_requests, result.read]))
"""


class Ran(NamedTuple):
    """What a run in a process of its own took: its peak of memory in bytes, [stated, sent] by channel, requests for consent, rows.

    `phone_requests` are those that ask who has the numbers.
    """

    peak: int
    counts: dict[str, list[int]]
    requests: int
    phone_requests: int
    read: int


def fill(place: Place, count: int, word: str, at: str) -> None:
    """So many people who state a word for e-mails and for texts, with a date or NULL."""
    stated = {
        "email": "'person' || n || '@shop.example'",
        "phone": "'+49151' || (10000000 + n)",
        "changed": "TIMESTAMPTZ '2026-12-09 10:00:00+00'",
    }
    for channel in ("email_marketing", "sms_marketing"):
        stated |= {channel: f"'{word}'", f"{channel}_at": f"{at}::TIMESTAMPTZ"}
    types = {name: "TIMESTAMPTZ" if name.endswith("_at") else "VARCHAR" for name in SCHEMA.names}
    cells = ", ".join(f"{stated.get(name, f'NULL::{type_}')} AS {name}" for name, type_ in types.items())
    with duckdb.connect(str(place.file)) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; CREATE OR REPLACE TABLE people AS SELECT {cells} FROM range({count}) AS _(n)")


def ran(place: Place, folder: Path) -> Ran:
    """A run of the place in a process of its own, which does not hold the local Klaviyo."""
    (folder / "child.py").write_text(CHILD, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    command = [sys.executable, str(folder / "child.py"), str(folder), place.now.isoformat(), place.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return Ran(*json.loads(done.stdout))


def seen(place: Place) -> list[int]:
    """The requests that Klaviyo saw: imports, reads, unsubscribes, subscribes."""
    operations = ("bulk_import_profiles", "get_profiles", "bulk_unsubscribe_profiles", "bulk_subscribe_profiles")
    return [sum(number for (one, _), number in place.box.requests.items() if one == operation) for operation in operations]


@pytest.mark.long
def test_a_hundred_thousand_people(tmp_path: Path) -> None:
    """Memory is that of a tenth of them: a run keeps nothing of anybody."""
    peaks = [check_many(tmp_path, count) for count in (10_000, 100_000)]
    assert peaks[1] < peaks[0] + ROOM


def test_ten_thousand_people(tmp_path: Path) -> None:
    """Two reads for a hundred before, by e-mail address and by number, and one after; a subscribe for a thousand with both channels."""
    check_many(tmp_path, 10_000)


def check_many(tmp_path: Path, count: int) -> int:
    """The peak of memory of a run over so many people, in bytes. Raises AssertionError when Klaviyo saw a request too many."""
    folder = tmp_path / str(count)
    folder.mkdir()
    with placed(folder, NOW) as place:
        fill(place, count, "Subscribe", "'2026-12-01 10:00:00+00'")
        found = ran(place, folder)
        assert found.read == count
        assert found.counts == {"email_marketing": [count, count], "sms_marketing": [count, count]}
        imports, reads, opt_outs, subscribes = seen(place)
        assert (imports, opt_outs, subscribes) == (count // 10_000, 0, count // 1_000)
        assert 3 * count // 100 <= reads - found.phone_requests <= 3 * count // 100 + count // 5_000  # what is read back is cut anew
        assert found.requests == reads - found.phone_requests + subscribes
        assert place.box.consent(f"person{count - 1}@shop.example").status("sms_marketing") == "SUBSCRIBED"
        assert not place.box.consent_jobs.ignored
    return found.peak


@pytest.mark.parametrize("at", ["NULL", "'2026-12-01 10:00:00+00'"])
def test_opt_outs_in_the_fewest_requests(tmp_path: Path, at: str) -> None:
    """Of people new to Klaviyo: an unsubscribe for a hundred before the import and one after; reads by both identifiers, and one after.

    Of people whom Klaviyo shows as the warehouse has them: one unsubscribe, before.
    """
    with placed(tmp_path, NOW) as place:
        fill(place, 2_050, "Unsubscribed", at)
        for unsubscribes in (42, 21 if at == "NULL" else 0):
            place.box.requests.clear()
            result = place.run(["2026-12-09"]).results["2026-12-09"]
            assert [one.unsubscribed or one.already for one in result.consent.values() if one.stated] == [2_050, 2_050]
            reads = 63 if unsubscribes else 42
            assert seen(place) == [1, reads + result.phone_requests, unsubscribes, 0]
            assert result.consent_requests == reads + unsubscribes
