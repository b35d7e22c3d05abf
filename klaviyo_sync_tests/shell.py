"""What people type, typed: commands in a shell, over a copy of the project, with Ctrl-C as a terminal sends it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PATIENCE = 300.0
MARK = "SHELL_TEST"
# A shell starts background jobs with Ctrl-C ignored, and all that they start, such as these tests; a terminal does not.
HEEDS_CTRL_C = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp('bash', ['bash', '-c', sys.argv[1]])"
FOREIGN = ("KLAVIYO_", "DAGSTER_", "PYTEST_", "MAKE", "MFLAGS")


def environment(**own: str) -> dict[str, str]:
    """This process's variables without those of klaviyo_sync, Dagster, pytest and make, `.venv/bin` in PATH, and one's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}", **own}


def copied_project(folder: Path) -> Path:
    """A copy of every file that git knows or would add, with an installed `.venv`: what a clone is after `make setup`."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    (folder / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith(".ready"):
            (folder / ".venv" / part.name).symlink_to(part)
    for stamp in (".ready", ".ready-dev"):  # newer than pyproject.toml: nothing is to be installed
        (folder / ".venv" / stamp).touch()
    return folder


def type_in(command: str, folder: Path, env: dict[str, str], *, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """What became of a command."""
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=seconds)


@dataclass
class Terminal:
    """A command that runs in the foreground of a terminal of its own; all that it starts carries a mark."""

    process: subprocess.Popen[bytes]
    log: Path
    mark: str = field(repr=False)

    @property
    def said(self) -> str:
        """Everything on the screen."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """What `what` gives, once that is true. Raises AssertionError when the command ends or time is up before."""
        until = time.monotonic() + seconds
        while not (given := what()):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said[-3000:]}"
            assert time.monotonic() < until, f"waited {seconds:.0f} s:\n{self.said[-3000:]}"
            time.sleep(0.2)
        return given

    def interrupt(self, sign: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C: the signal goes to every process of the foreground's group."""
        os.killpg(self.process.pid, sign)

    def ended(self, seconds: float = 90) -> int:
        """The exit status of the command."""
        return self.process.wait(seconds)

    def left_behind(self, seconds: float = 30) -> list[str]:
        """The command lines of processes that the command started and that are still there after some seconds."""
        until = time.monotonic() + seconds
        while (lines := list(marked(self.mark))) and time.monotonic() < until:
            time.sleep(0.2)
        return lines


@contextmanager
def terminal(command: str, folder: Path, env: dict[str, str], log: Path) -> Iterator[Terminal]:
    """A command in the foreground of a new terminal. What is left of it at the end is killed."""
    mark = uuid.uuid4().hex
    with log.open("wb") as out:
        words = [sys.executable, "-c", HEEDS_CTRL_C, f"exec {command}"]
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**env, MARK: mark, "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Terminal(process, log, mark)
    finally:
        for number in list(pids(mark)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait()


def pids(mark: str) -> Iterator[int]:
    """The processes that carry the mark in the environment they started with (Linux; elsewhere none are known)."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in entry.read_bytes():
                yield int(entry.parent.name)


def marked(mark: str) -> Iterator[str]:
    """The command lines of these processes."""
    for number in pids(mark):
        with suppress(OSError):
            yield Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def free_port() -> int:
    """A port that nobody listens on, below those that Linux gives to connections: no other test is given it before it is used."""
    for port in secrets.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("No free port from 20000 to 31999.")


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assets(port: int) -> dict[str, dict[str, int] | None]:
    """The assets that the Dagster UI on this port lists, each with its windows; empty while it does not answer."""
    query = "{assetNodes{assetKey{path} partitionStats{numMaterialized numPartitions}}}"
    try:
        nodes = requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=30).json()["data"]["assetNodes"]
    except (requests.RequestException, KeyError, TypeError):
        return {}
    return {"/".join(node["assetKey"]["path"]): node["partitionStats"] for node in nodes}
