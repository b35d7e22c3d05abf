"""Characters that nobody sees: which of them are white space around a value, and how a message shows them."""

from __future__ import annotations

import re

# White space that surrounds values in real tables, no-break, zero-width and direction characters among it.
BLANKS = " \t\n\r\v\f\u0085\u00a0\u00ad\u1680\u180e\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, (*range(0x2000, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x2070)))
)

UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u034f\u061c\ufff9-\ufffb\U000e0000-\U000e007f" + BLANKS.lstrip(" \t\n\r\v\f") + "]"
)


def visible(text: str) -> str:
    """The text with each character that nobody sees as its escape, as Python and YAML write it. Spaces, tabs and line ends stay."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
