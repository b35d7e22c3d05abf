"""The three ways in which a run can fail, named by who must act. A bad row is never one of them: it is an issue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the core's models raise these errors
    from klaviyo_sync.core.stopping import Stop


class KlaviyoSyncError(Exception):
    """Base of the three; never raised itself."""


class ConfigError(KlaviyoSyncError):
    """For the author of the YAML: says the file, the line, the key, what was found and what was expected."""


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
    """For nobody: the other side did not answer in time. It was retried; the next run asks again."""
