"""Keeps `dagster dev` running until Ctrl-C, and takes it down with everything that it started."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.demo.account import direct_session

LOG = "dagster-dev.log"
DEFAULT_PORT = 3000
FIRST_FREE_FOR_ALL = 1024
LAST_PORT = 65_535
PATIENCE = 120
MERCY = 15


def check_free(port: int) -> None:
    """Raises Unavailable when this process cannot listen on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last server has just ended is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is in use" if taken else f"cannot be used: {error.strerror}"
            raise Unavailable(f"Port {port} of this machine {reason}. Choose another one, such as make dev PORT={another(port)}.") from None


def another(port: int) -> int:
    """A port near the given one, that anybody may listen on."""
    return port + 1 if FIRST_FREE_FOR_ALL <= port < LAST_PORT else DEFAULT_PORT + 1


@contextmanager
def dagster_dev(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster dev` over the project in `folder`, answering on `port` of this machine. Raises Unavailable when it does not come up."""
    log = folder / LOG
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603 - our own words
    try:
        wait_for(process, port, log)
        yield process
    finally:
        stop(process)


@contextmanager
def another_warehouse(command: str, file: Path) -> Iterator[dict[str, Any]]:
    """The keys of a connection to a warehouse with the tables of a DuckDB file, served by a process of its own.

    Raises Unavailable when it does not come up.
    """
    with subprocess.Popen([*shlex.split(command), str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the user's own words
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                raise Unavailable(f"{command} ended without the keys of a connection")
            yield json.loads(line)
        finally:
            process.stdin.close()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Comes back when the UI answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with direct_session() as session:
                if session.get(f"http://127.0.0.1:{port}/server_info", timeout=2).ok:
                    return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
    raise Unavailable(f"dagster dev did not come up; {log} ends in:\n{tail}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and everything that it started: politely, as Ctrl-C does, then less so, at once when interrupted again."""
    group = process.pid
    INTERRUPTS.hasten = lambda: signal_group(group, signal.SIGKILL)
    if INTERRUPTS.count > 1:
        INTERRUPTS.hasten()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if not signal_group(group, sign):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(MERCY)


def signal_group(group: int, sign: signal.Signals) -> bool:
    """Whether there was a process left in the group to get the signal."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True


class Interrupts:
    """What Ctrl-C does: the first raises KeyboardInterrupt; the others call `hasten`, so that tidying up is never broken off."""

    def __init__(self) -> None:
        self.count = 0
        self.hasten: Callable[[], object] = lambda: None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.count += 1
        if self.count == 1:
            raise KeyboardInterrupt
        self.hasten()


INTERRUPTS = Interrupts()


def heed_signals() -> None:
    """Makes Ctrl-C, SIGTERM and a closed terminal interrupt us, also where a shell started us with Ctrl-C ignored."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:  # nohup
            signal.signal(sign, INTERRUPTS)
