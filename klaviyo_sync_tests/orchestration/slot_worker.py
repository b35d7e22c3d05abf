"""Claims the import slot in a process of its own: `python slot_worker.py HOME FLAG ROUNDS`.

Waits until the file FLAG.go is there, so that several begin at the same moment. Each round holds the slot and, meanwhile, the file FLAG,
which must not be there already. With 0 rounds it says so and keeps the slot until it is killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import dagster as dg
from dagster import job

from klaviyo_sync.orchestration.import_slot import Patience, import_slot

QUICK = Patience(look=0.02, tell=1000.0, whole=300.0)


@job
def idle() -> None:
    """Nothing; a run of it stands for an import."""


def main(home: str, flag: str, rounds: int) -> None:
    """Does what the module says."""
    with dg.DagsterInstance.from_config(home) as instance:
        run = instance.create_run_for_job(idle)
        Path(f"{flag}.{os.getpid()}.ready").touch()
        while not Path(f"{flag}.go").exists():
            time.sleep(0.001)
        for _ in range(rounds):
            with import_slot(instance, run.run_id, lambda _: None, QUICK):
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
                time.sleep(0.005)
                Path(flag).unlink()
        if not rounds:
            with import_slot(instance, run.run_id, lambda _: None, QUICK):
                sys.stdout.write(f"{run.run_id}\n")
                sys.stdout.flush()
                time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
