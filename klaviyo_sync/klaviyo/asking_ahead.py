"""The stage of a run that asks Klaviyo who holds the phone numbers, ahead of the rows that are being encoded and sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from types import TracebackType
from typing import NamedTuple, Self

from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.shared_phones import Numbers, numbers_beside, without_numbers
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.holders import MOST_PAGES, ByNumber, Found, everybody, parts, reads_for, together, who_has
from klaviyo_sync.klaviyo.side_by_side import AT_ONCE

AHEAD = 1
"""Pieces of rows that wait for their answers while others are asked about: enough never to leave Klaviyo unasked."""
LISTED_FOR = 600.0
"""Seconds for which the list of a small account's profiles is trusted."""

Counted = Callable[[int, int], None]


class Waiting(NamedTuple):
    """Rows that wait for answers about their numbers."""

    rows: Rows
    numbers: Numbers
    answers: list[Future[Found]]


@dataclass
class Listing:
    """Everybody in a small account who has a number, and when that was read."""

    holders: ByNumber
    read_at: float


class PhoneLookups:
    """Asks about the numbers of a run's rows, several requests at a time; a context manager that ends its threads.

    `ready` returns once Klaviyo may be asked; it is called before the first question. `count` takes the position of a window and the
    number of requests that were made for its rows.
    """

    def __init__(self, klaviyo: Klaviyo, plan: Plan, *, ready: Callable[[], object], count: Counted) -> None:
        self._klaviyo = klaviyo
        self._plan = plan
        self._ready = ready
        self._count = count
        self._stop = Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="klaviyo_holders")
        self._listing: Listing | None = None
        self._small = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def resolve(self, pieces: Iterable[Rows]) -> Iterator[Rows]:
        """The rows, each without a number that another profile holds. Of at most AHEAD + 1 pieces the rows are held at once.

        Errors as for `Klaviyo.request`.
        """
        waiting: deque[Waiting] = deque()
        for rows in pieces:
            waiting.append(self._begin(rows))
            if len(waiting) > AHEAD or not waiting[0].answers:
                yield self._settled(waiting.popleft())
            del rows
        while waiting:
            yield self._settled(waiting.popleft())

    def _begin(self, rows: Rows) -> Waiting:
        numbers = numbers_beside(rows, self._plan)
        if not numbers.numbers:
            return Waiting(rows, numbers, [])
        self._ready()
        distinct = numbers.distinct()
        listing = self._listed(reads_for(len(distinct)), window_of(rows, numbers))
        if listing is not None:
            known: Future[Found] = Future()
            known.set_result(Found({number: listing[number] for number in distinct if number in listing}, frozenset(), 0))
            return Waiting(rows, numbers, [known])
        return Waiting(rows, numbers, [self._pool.submit(who_has, self._klaviyo, part, self._stop) for part in parts(distinct)])

    def _listed(self, reads: int, window: int) -> ByNumber | None:
        """Everybody who has a number, when the account is so small that listing it takes fewer requests than asking about numbers."""
        now = self._klaviyo.clock()
        if self._listing is not None and now - self._listing.read_at < LISTED_FOR:
            return self._listing.holders
        if not self._small or reads <= MOST_PAGES:
            return None
        holders, requests = everybody(self._klaviyo, self._stop)
        self._count(window, requests)
        self._small = holders is not None
        self._listing = Listing(holders, now) if holders is not None else None
        return holders

    def _settled(self, waiting: Waiting) -> Rows:
        rows, numbers, answers = waiting
        if not answers:
            return rows
        found = together(answer.result() for answer in answers)
        self._count(window_of(rows, numbers), found.requests)
        return settled(rows, self._plan, numbers, found)


def settled(rows: Rows, plan: Plan, numbers: Numbers, found: Found) -> Rows:
    """The rows without the numbers that others hold, or that Klaviyo does not look up."""
    without_others = without_numbers(rows, plan, numbers.of_others(found.holders))
    return without_numbers(without_others, plan, numbers.among(found.refused), "phone_not_looked_up")


def window_of(rows: Rows, numbers: Numbers) -> int:
    """The position of the first window of the rows that have numbers: the requests about them are counted there."""
    return int(rows.windows[numbers.positions].min())
