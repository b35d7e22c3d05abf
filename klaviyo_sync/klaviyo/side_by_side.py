"""A few requests at a time: what comes back is taken in order, in the calling thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# Enough to reach Klaviyo's limit of 750 a minute while an answer takes a third of a second.
AT_ONCE = 4

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], queue: deque[T], at_once: int = AT_ONCE) -> Iterator[tuple[T, R]]:
    """Each item of the queue with what `work` made of it, in order. Items that the caller adds meanwhile are worked on too.

    An error of `work` is raised where its result would come; what has not begun by then never does.
    """
    under_way: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="klaviyo_asks") as pool:
        try:
            while queue or under_way:
                while queue and len(under_way) < at_once:
                    item = queue.popleft()
                    under_way.append((item, pool.submit(work, item)))
                item, made = under_way.popleft()
                yield item, made.result()
        finally:
            pool.shutdown(cancel_futures=True)
