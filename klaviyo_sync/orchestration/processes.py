"""Which process holds something, written as one word, and whether that process is still there."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["alive", "gone", "unknown"]
PREFIX = "import@"


class Process(NamedTuple):
    """A process on some machine. `boot` and `space` (of process ids) are empty where the system does not tell them, as on macOS."""

    host: str
    boot: str
    space: str
    pid: int
    started: str

    def written(self, token: str) -> str:
        """The process, and one of the things that it holds, as one word that `read` understands."""
        return f"{PREFIX}{self.host}:{self.pid}:{self.started}:{self.boot}:{self.space}:{token}"


def own() -> Process:
    """This process."""
    pid = os.getpid()
    return Process(platform.node().replace(":", "-"), first_line("/proc/sys/kernel/random/boot_id"), namespace(), pid, started(pid) or "")


def read(word: str) -> tuple[Process, str] | None:
    """The process and the token of a word; None for a word that is not of this kind."""
    parts = word.removeprefix(PREFIX).split(":")
    if not word.startswith(PREFIX) or len(parts) != 6 or not parts[1].isdecimal():  # noqa: PLR2004 - the parts of `written`
        return None
    host, pid, start, boot, space, token = parts
    return Process(host, boot, space, int(pid), start), token


def state(process: Process, *, same_disk: bool) -> State:
    """Whether a process is still there; unknown when it belongs to another machine or container.

    `same_disk` says that it used a disk of this machine: with another boot of the same host it has then ended.
    """
    here = own()
    if (process.host, process.boot, process.space) != (here.host, here.boot, here.space):
        rebooted = same_disk and process.host == here.host and here.boot not in ("", process.boot)
        return "gone" if rebooted else "unknown"
    if here.boot:
        return "alive" if started(process.pid) == process.started else "gone"
    if os.name != "posix":
        return "unknown"
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        return "alive"
    return "alive"


def started(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None when there is none, or only its remains (a zombie).

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: after the name in brackets come the state and, as the 20th, the start.
    """
    fields = first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else None


def namespace() -> str:
    """The id of the namespace in which process ids of this process mean something."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


def first_line(file: str) -> str:
    """The first line of a file of the system; empty when there is no such file."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return ""
