"""A place in each warehouse, opened once and shared by its tests; what is missing is said when a test is skipped."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from backends import BACKENDS, Place, backend

NUMBERS = count(1)
OPENED: dict[str, Place] = {}


@pytest.fixture(scope="session")
def places() -> Iterator[ExitStack]:
    """What is opened stays open until the last test."""
    with ExitStack() as opened:
        yield opened
    OPENED.clear()


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest, places: ExitStack) -> Place:
    """Each warehouse in turn."""
    chosen = backend(request.param)
    missing = chosen.missing()
    if missing:
        pytest.skip(missing)
    if chosen.name not in OPENED:
        OPENED[chosen.name] = places.enter_context(chosen.opened())
        gc.collect()
        gc.freeze()  # as conftest.py does after collection: what was imported for the warehouse stays, and so does the place
    for part, reason in chosen.deviations.items():
        if part in request.node.nodeid:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    return OPENED[chosen.name]


@pytest.fixture
def people() -> str:
    """A table's name that no other test has."""
    return f"people_{next(NUMBERS)}"
