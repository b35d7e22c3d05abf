"""What the shell said, although Dagster has read `.env` into the environment since."""

from __future__ import annotations

import os
from pathlib import Path

DAGSTER = b"dagster"


def shell_environment(proc: Path = Path("/proc")) -> dict[str, str]:
    """The variables with which a shell started this process, or the Dagster command that it belongs to. Empty where no /proc tells.

    Dagster puts the variables of `.env` over those of its own process, and hands the result to the processes that it starts.
    """
    process = os.getpid()
    try:
        while is_dagster(proc, parent := parent_of(proc, process)):
            process = parent
        pairs = (proc / str(process) / "environ").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return {}
    return dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)


def parent_of(proc: Path, process: int) -> int:
    """The process that started a process."""
    state = (proc / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
    return int(state.rpartition(")")[2].split()[1])  # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html


def is_dagster(proc: Path, process: int) -> bool:
    """Whether a process runs one of Dagster's commands."""
    return process > 1 and DAGSTER in (proc / str(process) / "cmdline").read_bytes()
