"""Importing batches: submitted by a few threads, watched by one, their errors read by two; outcomes come back as jobs finish."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self

from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import Outcome
from klaviyo_sync.klaviyo.answers import Answer, Json, Rejection
from klaviyo_sync.klaviyo.client import SLICE_SECONDS, Klaviyo, Request, StoppedError
from klaviyo_sync.klaviyo.jobs import Patience, listed, looked_up, lost, settled
from klaviyo_sync.klaviyo.kept_batches import Kept, KeptBatches
from klaviyo_sync.klaviyo.limits import IMPORT_PROFILES
from klaviyo_sync.klaviyo.looks import Looks
from klaviyo_sync.klaviyo.second_attempts import Pile, Sending, marked, told
from klaviyo_sync.klaviyo.submission import Job, Submission

READERS = 2
MOST_WAITING_AGAIN = 2
LAST_SECONDS = 10.0


def import_batches(
    klaviyo: Klaviyo, batches: Iterable[Batch], *, senders: int = 4, in_flight: int = 32, patience: Patience | None = None
) -> Iterator[Outcome]:
    """Yields what became of every row of the batches, each row once, in the order in which it becomes known.

    `batches` is read in the calling thread. At most `senders` + 1 batches wait or are being sent at once, and at most `in_flight` import
    jobs are open; all of them lie on disk until their jobs are done. Profiles of which Klaviyo refused a cell go again without it, once,
    as many together as one request takes. Closing the iterator early ends the threads; a request that is under way is waited for, unless
    the client was stopped: then all of it ends within LAST_SECONDS.

    Raises:
        Refused: The key, its scopes or the list are not good.
        Unavailable: Klaviyo did not answer in time. What is known by then has been yielded before.
    """
    with _Run(klaviyo, senders, in_flight, patience or Patience()) as run:
        for kept in map(run.keep, batches):  # map, not a loop: no name here keeps a batch in memory while the next one is made
            while not run.offer(kept):
                yield from run.ready()
            yield from run.ready()
        while run.busy():
            yield from run.ready()


@dataclass(eq=False)
class _Watched:
    """A running job, when it was accepted and when it is looked at next."""

    job: Job
    accepted: float
    due: float


class _Run:
    """What the threads of one import share; every change is announced through one condition."""

    def __init__(self, klaviyo: Klaviyo, senders: int, in_flight: int, patience: Patience) -> None:
        self._klaviyo = klaviyo
        self._patience = patience
        self._changed = Condition()
        self._stop = Event()
        self._waiting: deque[Kept] = deque()
        self._again: deque[Sending] = deque()
        self._pile = Pile()
        self._kept = KeptBatches()
        self._running: list[_Watched] = []
        self._complete: deque[tuple[Job, Json]] = deque()
        self._ids: set[str] = set()
        self._outcomes: deque[Outcome] = deque()
        self._slots = in_flight
        self._open = 0
        self._unsent = 0
        self._all_offered = False
        self._error: BaseException | None = None
        work = [self._send] * senders + [self._watch] + [self._read] * READERS
        self._threads = [Thread(target=self._guarded, args=(one,), name=f"klaviyo{one.__name__}", daemon=True) for one in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._halt()
        for thread in self._threads:
            # A stopped client opens no connection: a thread that still waits for one can send nothing.
            while thread.is_alive() and not self._klaviyo.stopped:
                thread.join(SLICE_SECONDS)
        until = time.monotonic() + LAST_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._kept.__exit__(kind, error, trace)

    # The caller's side.

    def keep(self, batch: Batch) -> Kept:
        """The batch, written down."""
        return self._kept.keep(marked(batch))

    def offer(self, batch: Kept) -> bool:
        """Whether the batch was taken; if not, something is ready first."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._outcomes or not self._waiting)
            if self._error or self._outcomes:
                return False
            self._waiting.append(batch)
            self._open += 1
            self._unsent += 1
            self._changed.notify_all()
            return True

    def ready(self) -> list[Outcome]:
        """The outcomes that are there. An error of a thread is raised here, after the last of them."""
        with self._changed:
            taken = list(self._outcomes)
            self._outcomes.clear()
            if self._error and not taken:
                raise self._error
            return taken

    def busy(self) -> bool:
        """Whether there are outcomes, or an error; waits for them as long as work is under way. Nothing is offered any more."""
        with self._changed:
            self._all_offered = True
            self._send_the_pile()
            self._changed.wait_for(lambda: self._error or self._outcomes or not self._open)
            return bool(self._error or self._outcomes)

    # The threads.

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            with self._changed:
                self._error = self._error or error
            self._halt()

    def _halt(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def _when(self, possible: Callable[[], object]) -> None:
        """Returns when `possible`; with the condition held."""
        self._changed.wait_for(lambda: self._stop.is_set() or possible())
        if self._stop.is_set():
            raise StoppedError

    def _send(self) -> None:
        while True:
            with self._changed:
                self._when(lambda: self._again or self._waiting)
                sending = self._again.popleft() if self._again else self._waiting.popleft()
                self._changed.notify_all()
            self._submit(sending)
            del sending

    def _submit(self, sending: Kept | Sending) -> None:
        """Sends one batch. A slot is taken before something is sent, and goes on to the job that comes of it."""
        has_slot = False

        def post(part: Kept) -> Answer | Rejection:
            nonlocal has_slot
            if not has_slot:
                with self._changed:
                    self._when(lambda: self._slots)
                    self._slots -= 1
                has_slot = True
            return self._klaviyo.request(Request(IMPORT_PROFILES, body=part.body()), self._stop)

        if isinstance(sending, Kept):
            batch, submission = sending, Submission(post, self.keep)
        else:
            batch = self.keep(sending.batch)
            submission = Submission(post, self.keep, requests=sending.requests, bytes=sending.bytes, earlier=sending.jobs)
        for made in submission.submit(batch):
            if isinstance(made, Job):
                has_slot = False
                self._watch_over(made)
            else:
                self._report(made)
        with self._changed:
            self._unsent -= 1
        self._close(slots=int(has_slot))

    def _watch_over(self, job: Job) -> None:
        now = self._klaviyo.clock()
        with self._changed:
            taken = job.id in self._ids
            self._ids.add(job.id)
            self._open += 1
            if not taken:
                self._running.append(_Watched(job, now, now + self._patience.shortest))
            self._changed.notify_all()
        if taken:
            self._report(lost(job, "Klaviyo gave it the id of another import job."))
            self._close(slots=1)

    def _report(self, outcome: Outcome) -> None:
        finished = told(outcome)
        with self._changed:
            self._outcomes.append(finished)
            self._changed.notify_all()

    def _close(self, slots: int) -> None:
        """One batch, or one job, is done with."""
        with self._changed:
            self._slots += slots
            self._open -= 1
            self._send_the_pile()
            self._changed.notify_all()

    def _go_again(self, part: Sending) -> None:
        """Puts profiles on the pile, and sends what does not fit beside them. Waits while enough of that is waiting already."""
        with self._changed:
            self._when(lambda: len(self._again) < MOST_WAITING_AGAIN)
            full = self._pile.add(part)
            if full is not None:
                self._offer_again(full)

    def _send_the_pile(self) -> None:
        """Sends the pile once nothing else is under way; with the condition held."""
        if self._all_offered and not self._open and len(self._pile):
            self._offer_again(self._pile.take())

    def _offer_again(self, sending: Sending) -> None:
        self._again.append(sending)
        self._open += 1
        self._unsent += 1
        self._changed.notify_all()

    def _watch(self) -> None:
        looks = Looks(self._patience.pace)
        while True:
            with self._changed:
                self._when(lambda: self._running)
                running = list(self._running)
                sending = self._unsent > 0 or not self._all_offered
                blocked = self._slots == 0
            now = self._klaviyo.clock()
            wait = looks.wait(now, min(one.due for one in running), sending=sending, blocked=sending and blocked)
            if wait > 0:
                self._klaviyo.pause(min(wait, SLICE_SECONDS), self._stop)
                continue
            found = listed(self._klaviyo, [one.job.id for one in running], self._stop) if len(running) > 1 else {}
            for one in running:
                if one.job.id in found:
                    self._look(one, found[one.job.id])
                elif one.due <= now:
                    self._look(one, looked_up(self._klaviyo, one.job.id, self._stop))
            looks.took(now)

    def _look(self, one: _Watched, state: Json | None) -> None:
        """Decides on one job, given its attributes, or None when Klaviyo does not know it."""
        now = self._klaviyo.clock()
        age = now - one.accepted
        status = state.get("status") if state is not None else "unheard of"
        if state is not None and status == "complete":
            with self._changed:
                self._running.remove(one)
                self._complete.append((one.job, state))
                self._changed.notify_all()
        elif status == "cancelled":
            self._lose(one, "Klaviyo cancelled the import job.")
        elif age >= self._patience.job or (state is None and age >= self._patience.unheard_of):
            self._lose(one, f"The import job is {status} {age:.0f} s after Klaviyo accepted it.")
        else:
            one.due = now + self._patience.until_next_look(age)

    def _lose(self, one: _Watched, why: str) -> None:
        with self._changed:
            self._running.remove(one)
        self._report(lost(one.job, why))
        one.job.batch.drop()
        self._close(slots=1)

    def _read(self) -> None:
        while True:
            with self._changed:
                self._when(lambda: self._complete)
                job, state = self._complete.popleft()
            outcome, again = settled(self._klaviyo, job, state, self._stop)
            if len(outcome.rows):
                self._report(outcome)
            job.batch.drop()
            with self._changed:  # before anything waits for those who send, which may need the slot
                self._slots += 1
                self._changed.notify_all()
            if again is not None:
                self._go_again(again)
            self._close(slots=0)
            del job, state, outcome, again
