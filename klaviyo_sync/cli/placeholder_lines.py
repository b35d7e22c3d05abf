"""The lines of `klaviyo_sync.yaml` that leave placeholders out of every window. They hold cells: for the terminal alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from klaviyo_sync.core.placeholder_query import Placeholder
from klaviyo_sync.core.placeholders import folded
from klaviyo_sync.core.visible import visible


def placeholder_lines(own: Sequence[str], found: Sequence[Placeholder]) -> Iterator[str]:
    """The whole key `placeholders`: the configuration's own values, then those that were found, each once; nothing if none was found."""
    if not found:
        return
    yield "Put these lines into klaviyo_sync.yaml, in the place of its placeholders, less the values that do identify one person:"
    yield "placeholders:"
    yield from (f"  - {scalar(value)}" for value in own)
    listed: set[str] = set()
    for placeholder in found:
        if folded(placeholder.value) not in listed:
            listed.add(folded(placeholder.value))
            column, beside = visible(placeholder.column), visible(placeholder.beside)
            yield f"  - {scalar(placeholder.value)}  # {' '.join(f'{column}, beside {placeholder.different:,} values of {beside}'.split())}"


def scalar(value: str) -> str:
    """The text as a YAML scalar in double quotes, with what nobody sees as escapes."""
    return visible(json.dumps(value, ensure_ascii=False))
