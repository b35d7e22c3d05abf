"""Windows: `[start, end)` of `modified_at`, from a sync's frequency, start and time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from croniter import croniter


@dataclass(frozen=True)
class Window:
    """`[start, end)`, both time-zone aware. The first window of a sync also holds every older row, unless history is skipped."""

    key: str
    start: datetime
    end: datetime
    first: bool = False


@dataclass(frozen=True)
class Frequency:
    """A cron expression for the ends of windows, and how their keys are written."""

    cron: str
    key_format: str


FREQUENCIES: dict[str, Frequency] = {
    "every_15_minutes": Frequency("*/15 * * * *", "%Y-%m-%d-%H:%M"),
    "hourly": Frequency("0 * * * *", "%Y-%m-%d-%H:%M"),
    "daily": Frequency("0 0 * * *", "%Y-%m-%d"),
    "weekly": Frequency("0 0 * * 1", "%Y-%m-%d"),
    "monthly": Frequency("0 0 1 * *", "%Y-%m-%d"),
}


def frequency(name: str) -> Frequency:
    """The catalogue's frequency, or one for a cron string."""
    return FREQUENCIES.get(name) or Frequency(name, "%Y-%m-%d-%H:%M")


def check_frequency(value: object) -> object:
    """The value itself when it is a word of the catalogue or a five-field cron string."""
    if isinstance(value, str) and (value in FREQUENCIES or (len(value.split()) == 5 and croniter.is_valid(value))):
        return value
    raise ValueError(f"expected {', '.join(FREQUENCIES)}, or a cron string with five fields")
