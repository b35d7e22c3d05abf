"""A few requests at a time: in order, never more than asked for, and with an end when one breaks."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from klaviyo_sync.klaviyo.side_by_side import side_by_side


def test_in_order_and_with_what_is_added() -> None:
    """Results come in the order of the queue; an item that is added on the way is worked on too."""
    queue = deque(range(10))
    found = []
    for item, made in side_by_side(lambda item: item * item, queue):
        found.append((item, made))
        if item == 3:
            queue.append(100)
    assert found == [(item, item * item) for item in (*range(10), 100)]


def test_so_many_at_once() -> None:
    """As many as allowed are under way together, so that waiting for one is not waiting for all."""
    together = threading.Barrier(4, timeout=60)
    assert [made for _, made in side_by_side(lambda _: together.wait() >= 0, deque(range(8)), at_once=4)] == [True] * 8


def test_an_error_ends_it() -> None:
    """An error is raised where its result would come, and what has not begun by then never does."""
    begun: set[int] = set()

    def work(item: int) -> int:
        begun.add(item)
        if item == 2:
            raise ValueError("no")
        return item

    with pytest.raises(ValueError, match="no"):
        list(side_by_side(work, deque(range(1_000)), at_once=4))
    assert len(begun) < 10
