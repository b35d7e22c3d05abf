"""Repaired addresses: what an address was most likely meant to be, for opt-outs alone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.cleaning.phones import clean_phone
from klaviyo_sync.core.cleaning.repairs import repaired_email, repaired_number
from klaviyo_sync.core.cleaning.texts import clean_email

UTC = ZoneInfo("UTC")
# Control, zero-width and direction characters, soft hyphen, byte order mark, tags.
UNSEEN = "\x01\x1b\x7f\x85\xad\u034f\u061c\u180e\u200b\u200d\u200f\u202a\u202e\u2060\u2066\ufeff\ufff9\U000e0041"


def email(text: str) -> tuple[str | None, str | None]:
    """The address as it goes out, and as it is repaired."""
    return clean_email(pa.array([text])).cells[0].as_py(), clean_email(repaired_email(pa.array([text]))).cells[0].as_py()


def number(text: str) -> tuple[str | None, str | None]:
    """The number as it goes out, and as it is repaired."""
    plain, again = pa.array([text]), repaired_number(pa.array([text]))
    return clean_phone(plain, None, "DE").cells[0].as_py(), clean_phone(again, None, "DE").cells[0].as_py()


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(UNSEEN)), min_size=1, max_size=5))
def test_what_nobody_sees_is_taken_out(marks: list[tuple[int, str]]) -> None:
    """Characters that nobody sees, wherever they stand, leave the address that everybody sees; inside it the cell itself is not usable."""
    address, phone = "ann.reed@example.com", "+4915112345678"
    for place, mark in marks:
        address, phone = address[:place] + mark + address[place:], phone[:place] + mark + phone[place:]
    for (given_address, repaired), seen in ((email(address), "ann.reed@example.com"), (number(phone), "+4915112345678")):
        assert repaired == seen
        assert given_address in (None, seen)


@pytest.mark.parametrize(
    "text",
    [
        "Ann Reed <ann@example.com>",
        "<ann@example.com>",
        "mailto:ann@example.com",
        "MAILTO:ann@example.com;",
        '"ann@example.com"',
        "(ann@example.com)",
        "ann@example.com,",
        "ann@example.com.",
        "ann @ example.com",
        "ann@\nexample.com",
        "\uff41nn\uff20example.com",
    ],
)
def test_addresses_cut_out_of_texts(text: str) -> None:
    """What stands around an address in mails and lists is taken off, blanks inside it are, and full-width letters are plain ones."""
    assert email(text) == (None, "ann@example.com")


@pytest.mark.parametrize("text", ["tel:+4915112345678", "<+4915112345678>", "+49 151 1234\u200b5678;", "0151 1234\u200b5678"])
def test_numbers_cut_out_of_texts(text: str) -> None:
    """What stands around a number is taken off."""
    assert number(text)[1] == "+4915112345678"


@pytest.mark.parametrize("text", ["ann", "ann@", "ann@example", "a@example.com, b@example.com", "@example.com", "ann@exa mple", "n/a", ""])
def test_beyond_repair(text: str) -> None:
    """Nothing is made up: two addresses, half of one and none stay what they are."""
    assert email(text) == (None, None)
