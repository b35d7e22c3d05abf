"""What the values inside a profile may be: how deep, how long, and which characters. Read by plain recursion, unlike what the sync does.

Klaviyo publishes the limits for event properties only (https://developers.klaviyo.com/en/reference/events_api_overview).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from klaviyo_sync.sandbox.answers import problem

MAX_DEPTH = 10
MAX_ITEMS = 4_000
NUL = "\0"

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_FRAME = 2
"""What stands around the value of a property: the attributes, and their properties."""


def may_break_limits(attributes: bytes) -> bool:
    """Whether some value in the encoded attributes of a profile is nested too deep, or may be a list of too many items."""
    if attributes.count(b",") >= MAX_ITEMS:
        return True
    most = MAX_DEPTH + _FRAME
    return attributes.count(b"[") + attributes.count(b"{") > most and _depth(attributes) > most


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for token in _TOKENS.findall(text):
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest


def value_problems(value: Any, at: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The errors of one value of a profile, which stands at the JSON pointer `at`."""
    if isinstance(value, str):
        if NUL in value:
            yield problem("invalid", "Strings must not contain NUL.", at)
    elif isinstance(value, (list, dict)):
        if depth == MAX_DEPTH:
            yield problem("invalid", f"Values may be nested {MAX_DEPTH} levels deep.", at)
        elif isinstance(value, list) and len(value) > MAX_ITEMS:
            yield problem("invalid", f"A list takes at most {MAX_ITEMS} items.", at)
        else:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in inner:
                if isinstance(name, str) and NUL in name:
                    yield problem("invalid", "Names must not contain NUL.", at)
                yield from value_problems(item, f"{at}/{name}", depth + 1)
