"""Private folders: nothing of what a run spills stays behind, even when its process is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from klaviyo_sync.scratch import LOCK, Scratch

OWNER = """
import sys
from klaviyo_sync.scratch import Scratch
folder = Scratch()
(folder.path / "spilled").write_text("x")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders for temporary files of the test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def grown_old(folder: Path) -> None:
    """Lets a folder be an hour old."""
    past = (folder / LOCK).stat().st_mtime - 3600
    os.utime(folder / LOCK, (past, past))


def test_a_folder_is_private_and_goes_with_its_run() -> None:
    """Only its owner can read it, and it is gone at the end."""
    with Scratch() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_what_a_killed_process_left_is_taken_away() -> None:
    """As long as a process runs, its folder stays, however old; once it is killed, the next folder's maker takes it away."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    grown_old(folder)
    with Scratch():
        assert (folder / "spilled").exists()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    with Scratch():
        assert not folder.exists()


def test_a_new_folder_is_left_alone(tmp_path: Path) -> None:
    """Its owner may be about to lock it."""
    folder = tmp_path / "klaviyo_sync_new"
    folder.mkdir()
    (folder / LOCK).touch()
    with Scratch():
        assert folder.exists()
    grown_old(folder)
    with Scratch():
        assert not folder.exists()
