"""What end-to-end tests leave behind: the fault matrix, printed once at the end."""

from __future__ import annotations

import pytest

LINE = "line of the fault matrix"
HEAD = ("fault", "batch", "the run says", "Klaviyo holds", "the run", "next run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the matrix, when it was run: fault, statement, truth. Its lines come with the reports of the tests, from any worker."""
    reports = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    lines = sorted({tuple(line) for report in reports for name, line in report.user_properties if name == LINE})
    if lines:
        table = [HEAD, *lines]
        widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
        terminalreporter.section("fault matrix: what runs said, and what was true")
        for line in table:
            terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
