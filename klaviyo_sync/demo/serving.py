"""Keeps `dagster dev` running until Ctrl-C, and takes it down with everything that it started."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from klaviyo_sync.core.errors import Unavailable

LOG = "dagster-dev.log"
PATIENCE = 120
MERCY = 15


def check_free(port: int) -> None:
    """Raises Unavailable when something else listens on the port already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise Unavailable(f"port {port} of this machine is taken; choose another one: make dev PORT={port + 1}")


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
            if requests.get(f"http://127.0.0.1:{port}/server_info", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.3)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
    raise Unavailable(f"dagster dev did not come up; {log} ends in:\n{tail}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks politely as Ctrl-C does, then less so."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(MERCY)
        except subprocess.TimeoutExpired:
            continue


def heed_signals() -> None:
    """Ctrl-C and SIGTERM both raise KeyboardInterrupt, also where a shell started us with Ctrl-C ignored; children inherit neither."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
