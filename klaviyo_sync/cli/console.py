"""What commands print with: a terminal's own width, or a wide one where output goes to a file or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
SHELL = "klaviyo_sync.shell"
"""Key of the shell's variables, as they were before `.env` was read, in the context of a command."""


def make_console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error."""
    console = Console(highlight=False, markup=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, markup=False, stderr=stderr, width=PLAIN_WIDTH)


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """A table; columns in `numbers` are set to the right, those in `whole` keep each cell on one line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    console.print(table)


def print_lines(console: Console, lines: Iterable[str], style: str | None = None) -> None:
    """Lines as they are, never wrapped or cut."""
    for line in lines:
        console.print(line, style=style, soft_wrap=True)
