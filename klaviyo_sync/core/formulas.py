"""Texts that a spreadsheet would run as a formula, made harmless in a way that can be undone exactly.

A rejects file is opened by people, and its cells were written by strangers. Where the list separator is `;`, as in most of Europe, a
spreadsheet cuts a comma-separated file at `;` and at line breaks inside cells, so every piece counts, not only the start of a cell.
https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import re

# Where a spreadsheet may begin a new cell, what it skips there, and what then starts a formula: ASCII, full-width and small forms, minus.
PIECE = r"(?:\A|(?<=[;\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]))"
SKIPPED = r"[^\S\t\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|[\"'`\x00-\x08\x0e-\x1b\x7f\u200b-\u200f\u2060\ufeff]"
STARTER = r"[=+\-@＝＋－＠﹦﹢﹣﹫−]"  # noqa: RUF001 - these are the characters that are meant
FORMULA = re.compile(f"{PIECE}(?=(?:{SKIPPED})*{STARTER})")
DEFUSED = re.compile(f"{PIECE}'(?=(?:{SKIPPED})*{STARTER})")
NUMBER = re.compile(r"[+-]\d+(\.\d+)?", re.ASCII)


def harmless(cell: object) -> object:
    """The cell, with an apostrophe before every piece of a text that would be run as a formula; plain signed numbers stay."""
    return FORMULA.sub("'", cell) if isinstance(cell, str) and not NUMBER.fullmatch(cell) else cell


def original(text: str) -> str:
    """The text that `harmless` was given, from the one that it returned."""
    return DEFUSED.sub("", text)
