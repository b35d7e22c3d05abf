"""An interrupt ends what it was meant to end, even where Python would ignore it."""

from __future__ import annotations

import os
import signal
import time
import weakref
from collections.abc import Callable

import pytest

from klaviyo_sync.interrupts import not_swallowed


class Collected:
    """Something that can be collected; interrupted while it is, if so made."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self.interrupted = interrupted

    def __del__(self) -> None:
        if self.interrupted:
            interrupt()


def interrupt() -> None:
    """Ctrl-C, which is handled here."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.001)


def collect_with_a_destructor() -> None:
    """Collects something whose `__del__` is interrupted."""
    Collected(interrupted=True)


def collect_with_a_callback() -> None:
    """Collects something whose weak reference has a callback, which is interrupted."""
    watched = Collected()
    reference = weakref.ref(watched, lambda _: interrupt())
    del watched
    assert reference() is None


def collect_and_work(collect: Callable[[], None]) -> None:
    """Collects, and then works on for as long as it may."""
    with not_swallowed():
        collect()
        time.sleep(60)


@pytest.mark.parametrize("collect", [collect_with_a_destructor, collect_with_a_callback])
def test_an_interrupt_while_memory_is_collected_comes_again(collect: Callable[[], None]) -> None:
    """Python ignores exceptions there; the work ends all the same, moments later."""
    with pytest.raises(KeyboardInterrupt):
        collect_and_work(collect)


def test_other_ignored_exceptions_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listened for exceptions that Python ignores still hears of those that are no interrupts, and of all of them afterwards."""
    reported: list[type[BaseException]] = []
    monkeypatch.setattr("sys.unraisablehook", lambda ignored: reported.append(ignored.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ValueError

    with not_swallowed():
        Broken()
    Broken()
    assert reported == [ValueError, ValueError]
