"""docs/mapping.md keeps up with the catalogues of attributes, property types and issue codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.issues import CODES, Code
from klaviyo_sync.core.sync import PropertyType

PAGE = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("path", [*ATTRIBUTES, *get_args(PropertyType)])
def test_every_attribute_and_type_has_a_line(path: str) -> None:
    """Each attribute and each property type has one line in a table."""
    assert [row[0] for row in ROWS].count(f"`{path}`") == 1


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_every_issue_has_its_line(code: Code) -> None:
    """Each code has one line, with the effect, the message and the advice of the catalogue."""
    assert [row for row in ROWS if row[0] == f"`{code.code}`"] == [[f"`{code.code}`", code.effect, code.message, code.advice]]


def test_no_issue_is_made_up() -> None:
    """The page names no issue code that does not exist."""
    named = {word for row in ROWS for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", row[-1])}
    assert named <= set(CODES)
