"""The three ways in which a run can fail, named by who must act. A bad row is never one of them: it is an issue."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the core's models raise these errors
    from klaviyo_sync.core.stopping import Stop

FRAMES = 6


class KlaviyoSyncError(Exception):
    """Base of the three; never raised itself. `key` is the path of the sync's key that it is about, empty when it is about none."""

    def __init__(self, message: str = "", key: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key = key


@contextmanager
def about(*key: str) -> Iterator[None]:
    """ConfigErrors that are raised inside are about this key of the sync, unless they name a key of their own."""
    try:
        yield
    except ConfigError as error:
        error.key = error.key or key
        raise


class ConfigError(KlaviyoSyncError):
    """For the author of the YAML: says the file, the line, the key, what was found and what was expected."""


class NoSuchListError(ConfigError):
    """A ConfigError about a list id: the account has no such list."""

    def __init__(self, message: str, list_id: str) -> None:
        super().__init__(message)
        self.list_id = list_id


class HaltedError(ConfigError):
    """A ConfigError about the data: every window of the run stopped itself, since it would have changed more than `stop_above` allows.

    `stopped` has, by window, why, and what became of its opt-outs.
    """

    def __init__(self, text: str, stopped: Mapping[str, Stop] | None = None) -> None:
        super().__init__(text)
        self.stopped = dict(stopped or {})


class Refused(KlaviyoSyncError):  # noqa: N818 - the design names it so
    """For the owner of the key or of the warehouse rights: the other side answered, and the answer was no."""


class Unavailable(KlaviyoSyncError):  # noqa: N818
    """For nobody: the other side did not answer in time, or answered that it cannot now. It was retried; the next run asks again."""


class OtherImportsError(Unavailable):
    """Import jobs of others, which the account is still at work on, did not end in time."""


class SlotTakenError(Unavailable):
    """Another import into the same account ran for longer than this run waits."""


def withheld(error: Exception) -> str:
    """The type and place of an error that is not one of the three; its text stays out, since drivers quote cells in theirs."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return f"{type(error).__module__}.{type(error).__qualname__} (text withheld, it may quote a cell) at {' > '.join(frames[-FRAMES:])}"


def safe_text(error: Exception) -> str:
    """What may be said of any error: the text of one of the three, the type and place of any other."""
    return str(error) if isinstance(error, KlaviyoSyncError) else withheld(error)
