"""Everything that is wrong with the configuration, told at once: one line each, in the order of files and lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from klaviyo_sync.core.errors import ConfigError

KeyPath = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in a file, counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    file: str
    mark: Mark | None
    key: KeyPath
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.mark.line}:{self.mark.column}" if self.mark else self.file
        return ": ".join(part for part in (place, dotted(self.key), self.message) if part)


@dataclass
class Problems:
    """The problems found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, file: Path, mark: Mark | None, key: KeyPath, message: str) -> None:
        """Note one more."""
        self.found.append(Problem(str(file), mark, key, " ".join(message.split())))

    def raise_any(self) -> None:
        """Raise a ConfigError with every problem, one a line, when there are any."""
        if self.found:
            first = self.found[0].file
            ordered = sorted(
                dict.fromkeys(self.found), key=lambda problem: (problem.file != first, problem.file, problem.mark or Mark(0, 0))
            )
            raise ConfigError("\n".join(map(str, ordered)))


def dotted(key: KeyPath) -> str:
    """A key path as people write it: `profile.location.city`, `upstream[1]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """A value of the file, short and on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"' if isinstance(value, str) else text  # noqa: PLR2004
