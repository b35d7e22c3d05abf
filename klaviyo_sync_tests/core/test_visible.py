"""Characters that nobody sees: in names, in values, in messages."""

from __future__ import annotations

import pytest

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import Column, find_column
from klaviyo_sync.core.reports import shown
from klaviyo_sync.core.reserved import reserved_name
from klaviyo_sync.core.visible import BLANKS, visible

COLUMNS = [Column("\ufeffemail", "VARCHAR"), Column("id\u200b", "VARCHAR")]


def test_what_nobody_sees_is_shown() -> None:
    """Zero-width, direction and control characters become escapes; spaces, tabs, line ends and letters of any script stay."""
    assert visible("a\u200bb\ufeff\u00a0\x00\u202a") == "a\\u200bb\\ufeff\\xa0\\x00\\u202a"
    assert visible(" \t\r\nKöln 日本 😀") == " \t\r\nKöln 日本 😀"
    assert all(visible(mark) != mark for mark in BLANKS if mark not in " \t\n\r\v\f")
    assert (shown("a\u200b"), shown(7), shown(None)) == ("a\\u200b", 7, None)


def test_a_header_with_a_byte_order_mark() -> None:
    """The message about a missing column shows the characters that make the nearest name another one."""
    with pytest.raises(ConfigError, match=r"Did you mean \\ufeffemail\?.*id\\u200b"):
        find_column("email", COLUMNS, "main.t")
    assert find_column("\ufeffemail", COLUMNS, "main.t").name == "\ufeffemail"


@pytest.mark.parametrize(
    "name", ["Email", "EMAIL", "email ", "$EMAIL", "\ufeffemail", "first name", "FIRST_NAME", "State/Region", "zip code", "SOURCE"]
)
def test_reserved_in_any_case(name: str) -> None:
    """A name that Klaviyo owns is refused in any case, with white space around it as well."""
    assert reserved_name(name) is not None


@pytest.mark.parametrize("name", ["Tier", "Email Domain", "e-mail", "Sources", "my email"])
def test_free_names(name: str) -> None:
    """A name that only holds one of Klaviyo's is free."""
    assert reserved_name(name) is None
