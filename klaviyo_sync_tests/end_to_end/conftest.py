"""What end-to-end tests leave behind: the fault matrix, printed once at the end."""

from __future__ import annotations

import pytest

LINES = pytest.StashKey[list[tuple[str, ...]]]()
HEAD = ("fault", "batch", "the run says", "Klaviyo holds", "the run", "next run")


@pytest.fixture
def matrix_lines(pytestconfig: pytest.Config) -> list[tuple[str, ...]]:
    """The lines of the fault matrix so far."""
    return pytestconfig.stash.setdefault(LINES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the matrix, when it was run: fault, statement, truth."""
    lines = config.stash.get(LINES, [])
    if lines:
        table = [HEAD, *lines]
        widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
        terminalreporter.section("fault matrix: what runs said, and what was true")
        for line in table:
            terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
