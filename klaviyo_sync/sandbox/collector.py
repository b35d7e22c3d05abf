"""Python's garbage collector, kept away from bodies."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps the collector from walking through a body again and again while it is read.

    A body is a tree, freed with its last name; yet its tens of thousands of objects make the collector run so often that it takes as
    long as everything else.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
