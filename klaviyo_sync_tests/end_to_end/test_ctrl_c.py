"""Ctrl-C and SIGTERM of commands: one line, the exit status that shells expect, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from process_place import ENDLESS, PATIENCE, PROMPTLY, TRICKLE, process_place

COMMAND = [sys.executable, "-c", "from klaviyo_sync.cli import main; main()"]


def ended(process: subprocess.Popen[str], sign: signal.Signals) -> tuple[int, list[str]]:
    """How a process ended after this signal: its status, and the lines that it still printed."""
    process.send_signal(sign)
    told, _ = process.communicate(timeout=PROMPTLY)
    return process.returncode, told.splitlines()


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """A command that runs, and ends with the test."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox(sign: signal.Signals) -> None:
    """Ctrl-C is how it is meant to end."""
    with running([*COMMAND, "sandbox", "--port", "0"]) as process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(3)][2].startswith("export KLAVIYO_API_KEY")
        assert ended(process, sign) == ((130, ["Stopped."]) if sign == signal.SIGINT else (143, []))


@pytest.mark.parametrize("source", [pytest.param(ENDLESS, marks=pytest.mark.long), TRICKLE], ids=["in a long query", "between rows"])
def test_preview_in_the_middle_of_a_query(tmp_path: Path, source: str) -> None:
    """The query is interrupted as well, however long it would take to its next row, and nothing spilled stays behind."""
    with (
        process_place(tmp_path / "home", source=source) as place,
        running([*COMMAND, "preview", "people", "--window", "2026-05-01"], env=place.environ, cwd=place.folder) as process,
    ):
        place.until(lambda: list((place.folder / "tmp").glob("klaviyo_sync_*")), PATIENCE)
        status, (account, *rest) = ended(process, signal.SIGINT)
        assert (status, account.startswith("Klaviyo at "), rest) == (130, True, ["Stopped."])
        assert list((place.folder / "tmp").glob("klaviyo_sync_*")) == []


def test_check_in_the_middle_of_a_request(tmp_path: Path) -> None:
    """It waits for no rate limit of Klaviyo's."""
    with process_place(tmp_path / "home", limits=False) as place:
        place.box.faults.add("429", endpoint="get_accounts", times=0, retry_after=300)
        with running([*COMMAND, "check", "--connect"], env=place.environ, cwd=place.folder) as process:
            place.until(lambda: place.box.requests["get_accounts", 429], PATIENCE)
            status, told = ended(process, signal.SIGINT)
            assert (status, told[-1]) == (130, "Stopped.")
            assert "Traceback" not in "\n".join(told)


def test_the_demo_in_the_middle_of_an_import(tmp_path: Path) -> None:
    """It goes on with no other window, although Dagster keeps the interrupt of a run to itself."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "klaviyo_sync.demo", "--folder", str(tmp_path / "demo"), "--people", "2000"]
    with running(command, cwd=root) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("crm_contacts, window"):  # the first import has ended, the next one begins
                break
        status, told = ended(process, signal.SIGINT)
        assert (status, told[-1]) == (130, "Stopped.")
        assert "Traceback" not in "\n".join(told)
        assert sum(line.startswith(("crm_contacts", "loyalty", "churn", "segments")) for line in told) <= 1
