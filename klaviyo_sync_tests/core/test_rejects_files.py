"""Rejects files: whole or not at all, for their owner only, gone when there is nothing to say."""

from __future__ import annotations

import csv
import stat
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest
from upath import UPath

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.reports import COLUMNS
from klaviyo_sync.rejects import Rejects

KEYS = ["2026-01-01", "2026-01-02-03:15+0100"]
NUMBERS = count()


@pytest.fixture(params=["folder", "memory"])
def rejects(request: pytest.FixtureRequest, tmp_path: Path) -> Rejects:
    """A local folder, and an address in memory that takes the ways of s3:// and gs://."""
    return Rejects(str(tmp_path / "rejects") if request.param == "folder" else f"memory://rejects{next(NUMBERS)}")


def line(**cells: object) -> Mapping[str, object]:
    """A line with these columns, the others empty."""
    return {**dict.fromkeys(COLUMNS, ""), **cells}


def publish(rejects: Rejects, *lines: tuple[int, Mapping[str, object]]) -> None:
    """A run that has these lines to tell."""
    with rejects.open("members", KEYS) as files:
        for one in lines:
            files.add([one])
        files.publish()


def read(rejects: Rejects, key: str) -> list[dict[str, str]] | None:
    """What the file of a window says, or None without one."""
    file = rejects.file("members", key)
    if not file.exists():
        return None
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_lines_come_back(rejects: Rejects) -> None:
    """Each window's file has its own lines under one header, whatever stands in them."""
    nasty = 'say "hi", then;\r\nNUL-free 😀'
    publish(rejects, (0, line(row="external_id=1", value=nasty)), (1, line(row="2")), (0, line(row="3", value=None)))
    first, second = read(rejects, KEYS[0]), read(rejects, KEYS[1])
    assert first is not None
    assert second is not None
    assert [(found["row"], found["value"]) for found in first] == [("external_id=1", nasty), ("3", "")]
    assert [found["row"] for found in second] == ["2"]
    assert list(first[0]) == list(COLUMNS)


def test_the_address_is_where_the_file_lies(rejects: Rejects) -> None:
    """What the run shows as the address opens the file."""
    publish(rejects, (0, line(row="1")))
    assert UPath(rejects.address("members", KEYS[0])).exists()


def test_a_later_run_takes_the_place(rejects: Rejects) -> None:
    """A run's file replaces that of the run before; a clean window's file goes."""
    publish(rejects, (0, line(row="1")), (1, line(row="2")))
    publish(rejects, (0, line(row="3")))
    assert [found["row"] for found in read(rejects, KEYS[0]) or ()] == ["3"]
    assert read(rejects, KEYS[1]) is None


def test_a_broken_run_changes_nothing(rejects: Rejects) -> None:
    """Files of the run before stay as they were when a run ends before it publishes."""
    publish(rejects, (0, line(row="1")))
    with rejects.open("members", KEYS) as files:
        files.add([(0, line(row="2")), (1, line(row="3"))])
    assert [found["row"] for found in read(rejects, KEYS[0]) or ()] == ["1"]
    assert read(rejects, KEYS[1]) is None


def test_nothing_to_say_makes_nothing(rejects: Rejects) -> None:
    """Clean windows leave neither file nor folder."""
    publish(rejects)
    assert not rejects.path.exists()


def test_only_the_owner_reads(tmp_path: Path) -> None:
    """Files hold personal data: mode 0600 also where an older file was open to all, and nothing is left beside them."""
    rejects = Rejects(str(tmp_path / "rejects"))
    target = Path(rejects.address("members", KEYS[0]))
    target.parent.mkdir(parents=True)
    target.write_text("old", encoding="utf-8")
    target.chmod(0o644)
    Path(f"{target}.part").write_text("left by a crash", encoding="utf-8")
    publish(rejects, (0, line(row="1")))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [found.name for found in target.parent.iterdir()] == [target.name]


def test_a_reader_sees_one_or_the_other(tmp_path: Path) -> None:
    """A file that is open while a run publishes goes on being the old one."""
    rejects = Rejects(str(tmp_path))
    publish(rejects, (0, line(row="1")))
    with Path(rejects.address("members", KEYS[0])).open(encoding="utf-8") as old:
        publish(rejects, (0, line(row="2")))
        assert "2" not in old.read().replace(",", "").splitlines()[1]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in the place of a draft or of the file is replaced, and what it points to is not written."""
    rejects, elsewhere = Rejects(str(tmp_path / "rejects")), tmp_path / "elsewhere"
    elsewhere.write_text("kept", encoding="utf-8")
    target = Path(rejects.address("members", KEYS[0]))
    target.parent.mkdir(parents=True)
    for place in (target, Path(f"{target}.part")):
        place.symlink_to(elsewhere)
    publish(rejects, (0, line(row="1")))
    assert elsewhere.read_text(encoding="utf-8") == "kept"
    assert not target.is_symlink()


def test_an_address_that_nothing_opens() -> None:
    """An address of an unknown kind is the configuration's fault, and named."""
    with pytest.raises(ConfigError, match="nowhere://"):
        Rejects("nowhere://bucket")


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    """A part of a file, from a process that was killed while it wrote, is gone after the next run."""
    rejects = Rejects(str(tmp_path))
    part = Path(f"{rejects.file('members', KEYS[0])}.part")
    part.parent.mkdir(parents=True)
    for lines in ((), ((0, line(row="external_id=1")),)):
        part.write_text("row,modif", encoding="utf-8")
        publish(rejects, *lines)
        assert not part.exists()
