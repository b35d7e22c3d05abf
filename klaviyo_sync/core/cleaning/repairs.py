"""Repaired addresses: what an address that is not usable as it is written was most likely meant to be.

Only opt-outs go to them. A repaired address may be somebody else's, so nobody is identified or subscribed by it; but nobody may be mailed
on because a character that nobody sees stands in their opt-out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import HIDDEN
from klaviyo_sync.core.kernels import pc

# `Ann Reed <ann@example.com>`, and what is left around an address that was cut out of a text.
NAMED = r"(?s)^[^<]*<([^<>]*)>[^>]*$"
AROUND_EMAILS = r"^(?i:mailto:)?[\"'(<\[{,;:.]*|[\"')>\]},;:.]*$"
AROUND_NUMBERS = r"^(?i:tel:|phone:)?[\"'<\[{,;:]*|[\"'>\]},;:.]*$"


def composed(texts: pa.Array) -> pa.Array:
    """The texts with full-width letters, digits and signs as plain ones, without control and invisible characters."""
    plain = pa.array([None if text is None else unicodedata.normalize("NFKC", text) for text in texts.to_pylist()], pa.string())
    return pc.replace_substring_regex(plain, HIDDEN, "")


def repaired_email(texts: pa.Array) -> pa.Array:
    """The texts less everything that cannot belong to an e-mail address."""
    bare = pc.replace_substring_regex(pc.replace_substring_regex(composed(texts), NAMED, r"\1"), r"\s", "")
    return pc.replace_substring_regex(bare, AROUND_EMAILS, "")


def repaired_number(texts: pa.Array) -> pa.Array:
    """The texts less everything that cannot belong to a phone number."""
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(composed(texts)), AROUND_NUMBERS, "")


REPAIRS: dict[str, Callable[[pa.Array], pa.Array]] = {"email": repaired_email, "phone_number": repaired_number}
"""By attribute, the texts that its cells were most likely meant to be. What comes out is cleaned like any other cell."""
