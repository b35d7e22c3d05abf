"""Imports by a script of Klaviyo's, and what became of their rows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from scripted_klaviyo import Importing, Says, Scripted, bad_rows, errors, quick, serving

from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import FATES, Outcome, Reason
from klaviyo_sync.klaviyo.imports import import_batches


def fates(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """The fate of every row by its key; a row that comes back twice, or a loss without a reason, is an error."""
    found: dict[str, str] = {}
    for outcome in outcomes:
        for row, key in enumerate(outcome.rows["key"].to_pylist()):
            assert key not in found
            found[key] = FATES[outcome.fates[row]]
            assert (row in outcome.reasons) == (found[key] != "imported")
    return found


def counted(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many rows met each fate."""
    return dict(Counter(fates(outcomes).values()))


def reasons(outcomes: Iterable[Outcome]) -> set[Reason]:
    """The different reasons."""
    return {reason for outcome in outcomes for reason in outcome.reasons.values()}


def run(script: Any, *batches: Batch, **options: Any) -> tuple[list[Outcome], Scripted]:
    """The outcomes of importing these batches by a script, and what the server was asked."""
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        return list(import_batches(klaviyo, iter(batches), **options)), server


def no_threads_left() -> bool:
    """Whether all threads of imports have ended."""
    return not [thread for thread in threading.enumerate() if thread.name.startswith("klaviyo")]


def shop(*bad: str, most: int | None = None, named: bool = True) -> Importing:
    """A Klaviyo that refuses these e-mail addresses, naming at most so many rows in one answer, or none."""

    def judge(profiles: list[dict[str, Any]]) -> Says | None:
        found = [n for n, profile in enumerate(profiles) if profile["attributes"]["email"] in bad]
        if not found:
            return None
        return Says(400, bad_rows(*found[:most]) if named else errors(("/data", "Something is wrong.")))

    return Importing(judge=judge)


def people(numbers: Iterable[int]) -> list[str]:
    """The addresses of the people of these numbers."""
    return [f"person{n}@shop.example" for n in numbers]
