"""Interrupts: Ctrl-C, SIGTERM and Dagster's Terminate end a run at once, whatever it is doing.

Python handles a signal in the main thread, between two steps of Python code. Two things get in the way. A long call into C, such as a
query of DuckDB, keeps the handler waiting until it returns; and code that catches the exception, or makes another one of it, loses the
interrupt. `on_interrupt` covers the first, `not_swallowed` the second. `sent_again` covers what Python itself ignores: exceptions in
`__del__` and in callbacks of weak references, which run whenever memory is collected.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AFTER_COLLECTING = 0.05  # seconds until an interrupt that Python ignored comes again; the callback it came in takes far less


class _Watch:
    """Calls back from a thread of its own the moment that a signal comes, through Python's wakeup pipe
    (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], object]] = {}
        self._process = 0

    def add(self, key: object, callback: Callable[[], object]) -> None:
        """Calls `callback` at every interrupt from now on."""
        with self._lock:
            self._callbacks[key] = callback
            if self._process != os.getpid() and threading.current_thread() is threading.main_thread():
                self._start()

    def remove(self, key: object) -> None:
        """Calls it no more."""
        with self._lock:
            self._callbacks.pop(key, None)

    def _start(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        already = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if already != -1:  # somebody else's, such as asyncio's
            signal.set_wakeup_fd(already)
        threading.Thread(target=self._listen, args=(reading,), name="interrupts", daemon=True).start()
        self._process = os.getpid()

    def _listen(self, reading: int) -> None:
        while numbers := os.read(reading, 64):
            if any(number in SIGNALS for number in numbers):
                with self._lock:
                    callbacks = list(self._callbacks.values())
                for callback in callbacks:
                    with suppress(Exception):  # what it belongs to may have ended meanwhile
                        callback()


_WATCH = _Watch()


@contextmanager
def on_interrupt(callback: Callable[[], object]) -> Iterator[None]:
    """Calls `callback` from another thread as soon as an interrupt comes, while the main thread may still be busy in C."""
    key = object()
    _WATCH.add(key, callback)
    try:
        yield
    finally:
        _WATCH.remove(key)


@contextmanager
def sent_again() -> Iterator[None]:
    """Sends an interrupt again that came while Python collected memory, and was ignored there.

    Outside of the main thread, where no signal is handled, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    report, main_thread = sys.unraisablehook, threading.get_ident()

    def send_again(ignored: sys.UnraisableHookArgs) -> None:
        if issubclass(ignored.exc_type, Exception | GeneratorExit):
            report(ignored)
            return
        number = signal.SIGTERM if issubclass(ignored.exc_type, SystemExit) else signal.SIGINT
        threading.Timer(AFTER_COLLECTING, signal.pthread_kill, (main_thread, number)).start()

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = report


@contextmanager
def not_swallowed() -> Iterator[None]:
    """Raises KeyboardInterrupt in place of any other error once an interrupt has come: DuckDB, for one, makes a RuntimeError of it.

    Whoever handled signals before still does. Outside of the main thread, where no signal is handled, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        with sent_again():
            yield
    except Exception:
        if received:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Has SIGTERM end a command as Ctrl-C does, with its clean-up, and the exit status that shells expect of it (143)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
