"""JSON: which texts Klaviyo can store, and the issue code of each that it cannot.

Klaviyo publishes limits for the values inside events (https://developers.klaviyo.com/en/reference/events_api_overview) and none for those
inside profiles, so the limits of events are taken for both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import accumulate

import numpy as np
import orjson
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import Flag, longest, text_bytes, text_ends
from klaviyo_sync.core.frames import Mask, by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc

MAX_DEPTH = 10
MAX_ITEMS = 4_000
LARGEST = 2**63 - 1
INTEGER_DIGITS = 19

STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)|\x7f", re.DOTALL)
CONTROL_ESCAPE = re.compile(r"\\u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F]|7[fF])|\\[bf]|\x7f")

# What every text has that needs a closer look, as one pattern without alternatives that begin alike: words that JSON does not know,
# long numbers, escapes of control characters and of half characters, and control characters themselves.
DOUBTFUL = r"N|nan|nf|undefined|[0-9]{19}|[eE][+-]?[0-9]{3}|\\u|\\[bf]|[\x00-\x1f\x7f]"
CONTROL_ESCAPES = r"\\u00[017]|\\[bf]|\x7f"


def depth(text: str) -> int:
    """How many lists and objects stand inside each other in a JSON text, at most."""
    brackets = (mark for mark in STRING.sub("", text) if mark in "[]{}")
    return max(accumulate(1 if mark in "[{" else -1 for mark in brackets), default=0)


def number_fault(text: str) -> str | None:
    """The issue code of the first number in a JSON text that is beyond 64 bits or not finite."""
    for number in NUMBER.findall(STRING.sub("", text)):
        digits = number.removeprefix("-")
        if not digits.isdigit():
            if math.isinf(float(number)):
                return "not_a_number"
        elif len(digits) > INTEGER_DIGITS or not -LARGEST - 1 <= int(number) <= LARGEST:
            return "number_too_large"
    return None


def longest_list(value: object) -> int:
    """The items of the longest list anywhere in a value."""
    if isinstance(value, list):
        return max([len(value), *map(longest_list, value)])
    return max(map(longest_list, value.values()), default=0) if isinstance(value, dict) else 0


def json_fault(text: str) -> str | None:
    """The issue code of a text that Klaviyo cannot store as JSON; None for one that it can."""
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        return "nested_too_deep"
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson refuses a number that is not finite, which is JSON all the same.
        return "not_a_number" if number_fault(text) == "not_a_number" and is_json_but_for_numbers(text) else "not_json"
    if text.count(",") >= MAX_ITEMS and longest_list(value) > MAX_ITEMS:
        return "list_too_long"
    return number_fault(text)


def is_json_but_for_numbers(text: str) -> bool:
    """Whether the text is JSON once every number in it is 0."""
    strings: list[str] = STRING.findall(text)
    bare = NUMBER.sub("0", STRING.sub('""', text))
    try:
        orjson.loads(bare)
        return all(orjson.loads(string) is not None for string in strings)
    except orjson.JSONDecodeError:
        return False


def list_fault(text: str) -> str | None:
    """The issue code of a text that Klaviyo cannot store as a list; None for one that it can."""
    fault = json_fault(text)
    if fault is None and text.lstrip().startswith("["):
        return None
    return "not_a_list" if fault in (None, "not_json") else fault


def counts(marks: np.ndarray, texts: pa.Array) -> np.ndarray:
    """How many of the marks, positions among the bytes of all texts in order, stand in each text."""
    return np.diff(np.searchsorted(marks, text_ends(texts)))


def may_exceed(texts: pa.Array, byte: int, most: int, *, ignoring: int = 0) -> Mask | None:
    """Which texts hold a byte more often than `most` times, if any may; bits in `ignoring` make no difference."""
    size = longest(texts)
    if size <= most:
        return None
    found = text_bytes(texts)
    marks = np.flatnonzero((found | ignoring if ignoring else found) == byte)
    # So many and one more in a text are nearer to each other than the longest text is long.
    if len(marks) <= most or (marks[most:] - marks[:-most]).min() >= size:
        return None
    return counts(marks, texts) > most


def doubtful(texts: pa.Array) -> pa.Array:
    """Which texts that a warehouse wrote as JSON need a closer look; the others Klaviyo can store as they are."""
    if len(texts) == 0:
        return pa.array([], pa.bool_())
    found = pc.fill_null(pc.match_substring_regex(texts, DOUBTFUL), fill_value=False)
    # "[" and "{" differ in one bit.
    for many in (may_exceed(texts, ord("{"), MAX_DEPTH, ignoring=ord("{") - ord("[")), may_exceed(texts, ord(","), MAX_ITEMS - 1)):
        if many is not None:
            found = pc.or_(found, pa.array(many))
    return pc.and_(texts.is_valid(), found) if texts.null_count else found


def storable(texts: pa.Array, looked_at: pa.Array, fault: Callable[[str], str | None]) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The JSON texts that Klaviyo can store, less control characters, and the flags of the others.

    `looked_at` says which texts are judged by `fault`.
    """
    if not pc.any(looked_at).as_py():
        return texts, ()
    codes = replaced(pa.nulls(len(texts), pa.string()), looked_at, lambda _: by_distinct(texts.filter(looked_at), fault).cast(pa.string()))
    kept = keep_where(codes.is_null(), texts)
    flags = [Flag(code, pc.fill_null(pc.equal(codes, code), fill_value=False)) for code in pc.unique(pc.drop_null(codes)).to_pylist()]
    dirty = pc.and_(looked_at, pc.fill_null(pc.match_substring_regex(kept, CONTROL_ESCAPES), fill_value=False))
    clean = replaced(kept, dirty, lambda some: by_distinct(some, without_control_escapes))
    changed = pc.fill_null(pc.not_equal(clean, kept), fill_value=False)
    if pc.any(changed).as_py():
        flags.append(Flag("control_characters", changed))
    return clean, tuple(flags)


def without_control_escapes(text: str) -> str:
    """The JSON text without control characters in its strings and keys, other than tab and line ends."""
    return ESCAPE.sub(lambda found: "" if CONTROL_ESCAPE.fullmatch(found[0]) else found[0], text)
