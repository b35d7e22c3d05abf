"""What `check --connect` asks the Dagster instance that would be used here."""

from __future__ import annotations

from pathlib import Path

from klaviyo_sync.cli.connect import Finding
from klaviyo_sync.orchestration.dagster_slots import instance_here
from klaviyo_sync.orchestration.guarantees import one_at_a_time

ABOUT = "one import at a time"
NONE_HERE = "no Dagster instance here; a temporary one holds only its own runs to it"


def ask_dagster(folder: Path) -> Finding:
    """Whether the instance holds imports to one at a time, and how that stands."""
    try:
        with instance_here(folder) as instance:
            good, said = (True, NONE_HERE) if instance is None else one_at_a_time(instance)
    except Exception as error:  # noqa: BLE001 - a storage of any kind, and an answer is due in any case
        good, said = False, f"the Dagster instance cannot be opened ({type(error).__name__}): {str(error).partition(chr(10))[0][:200]}"
    return Finding("dagster", ABOUT, good=good, said=said)
