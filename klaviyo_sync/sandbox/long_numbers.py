"""Numbers beyond 64 bits, which JSON allows and Klaviyo does not, found without looking at every number.

orjson reads such an integer as a float, so that it would pass unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_LONG = (b"9" * 19, b"9e999")
_NINES = bytes.maketrans(b"012345678E", b"999999999e")


def may_hold_long_numbers(body: bytes) -> bool:
    """Whether the body has 19 digits in a row anywhere, or an exponent of three, numbers and texts alike: some 10 ms for 5 MB."""
    nines = body.translate(_NINES, b"+")
    return any(long in nines for long in _LONG)


def long_integers(body: bytes) -> Iterator[str]:
    """The JSON pointers of the integers that do not fit in 64 signed bits; none for a body that is nested too deep to be looked at."""
    try:
        yield from _walk(json.loads(body), "")
    except RecursionError:
        return


def _walk(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(item, f"{at}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{at}/{index}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield at
