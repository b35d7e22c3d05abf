"""Cells of the rejects file: nothing that a spreadsheet would run, and nothing that cannot be had back."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klaviyo_sync.core.formulas import harmless, original

STARTERS = "=+-@＝＋－＠"  # noqa: RUF001 - full-width ones are meant
TEXTS = st.text(st.sampled_from(f"{STARTERS}'\"; \t\n\r,a1.\u00a0\u2028\ufeff\x00"), max_size=12) | st.text(max_size=20)
LINK = 'x;=HYPERLINK("http://evil.example")'


def starts(piece: str) -> bool:
    """Whether a spreadsheet may take a piece for a formula, whatever blanks and quotes it strips; signed numbers are none."""
    bare = piece.lstrip(' "\u00a0\ufeff\x00')
    return bare[:1] in STARTERS and bare != "" and not re.fullmatch(r"[+-]\d+(\.\d+)?\"?", bare)


@given(TEXTS)
@example(LINK)
@example("\n=1+1")
@example(" =1+1")
@example("＝1+1")  # noqa: RUF001
@example('a;"=1+1"')
def test_no_piece_is_a_formula(text: str) -> None:
    """Cut at the start, at semicolons, tabs and any line breaks, no piece of a cell begins a formula, but for a cell that is a number."""
    pieces = [piece for line in str(harmless(text)).splitlines() for piece in re.split("[;\t]", line)]
    assert not any(map(starts, pieces))


@given(st.lists(TEXTS, min_size=1, max_size=3))
@example(["a", LINK])
@example(['"', LINK])
def test_a_file_cut_at_semicolons_holds_no_formula(cells: list[str]) -> None:
    """A file written with commas and opened where the separator is `;` or a tab has no cell that begins a formula."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(["row", *map(harmless, cells)])
    for delimiter in ";\t":
        opened = csv.reader(io.StringIO(file.getvalue().replace("\0", ""), newline=""), delimiter=delimiter)
        assert not any(cell[:1] in STARTERS and cell != "" for line in opened for cell in line)


@given(TEXTS)
def test_the_exact_text_comes_back(text: str) -> None:
    """What was written can be undone to the letter, and a reader with commas gets what was written."""
    written = harmless(text)
    assert isinstance(written, str)
    assert original(written) == text


def test_long_cells_take_no_time() -> None:
    """A cell of a megabyte of separators and blanks is done at once: the work grows with its length, not with its square."""
    assert str(harmless(" ;\n'" * 250_000 + "=")).endswith("'=")


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+49*cmd|calc", "'+49*cmd|calc"),
        ("+1-2", "'+1-2"),
        ("\t=1", "\t'=1"),
        ("'=1", "''=1"),
        (LINK, 'x;\'=HYPERLINK("http://evil.example")'),
        ("+4915112345678", "+4915112345678"),
        ("-12.5", "-12.5"),
        ("a=b", "a=b"),
        ("a; b", "a; b"),
        (-3, -3),
        (None, None),
    ],
)
def test_a_cell_is_no_formula(cell: object, written: object) -> None:
    """A text that a spreadsheet would run gets an apostrophe where that begins; plain numbers and phone numbers stay as they are."""
    assert harmless(cell) == written
