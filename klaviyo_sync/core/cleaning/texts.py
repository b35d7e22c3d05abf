"""Cleaners for attributes that are texts: names, identifiers, e-mail addresses, locales, addresses of pictures, places."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
from email_validator import EmailNotValidError, validate_email

from klaviyo_sync.core.cleaning.cells import (
    DELETE,
    Cleaned,
    Flag,
    any_between,
    bad_cells,
    checked,
    has_hidden_characters,
    longest,
    text_cells,
    trimmed,
    without_control_characters,
    without_marks,
)
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc

# At most 100 characters: https://developers.klaviyo.com/en/reference/profiles_api_overview
EMAIL_LENGTH = 100
# https://help.klaviyo.com/hc/en-us/articles/115005074627: longer ones are cut, and could then be somebody else's.
IDENTIFIER_LENGTH = 64

# Klaviyo takes no slash, though mail does: https://help.klaviyo.com/hc/en-us/articles/8557592023451
ATOM = r"[A-Za-z0-9!#$%&'*+=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^{ATOM}(?:\.{ATOM})*@(?:{LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])$"
LOCAL_LENGTH = 64
LOCALE = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{4,8})*$"
URL = r"^(?i:https?)://[^\s/?#]+[^\s]*$"
ENTITY = r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});"
# Postal codes of most countries have five characters or more; one that is shorter may have lost its zeros on the way through a number.
ZIP_LENGTH = 5
# Integers beyond these are not all there are: their neighbours become the same float.
EXACT = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): 2.0**53}
IPV4 = r"^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$"


def clean_as_text(clean: Callable[[pa.Array], Cleaned], cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """Cells of any kind, cleaned as texts; NaN and infinities have none."""
    texts, flags = text_cells(cells, kind, zone)
    if kind == "float":
        finite = pc.is_finite(cells)
        texts, flags = keep_where(finite, texts), (bad_cells("not_a_number", cells, finite),)
    cleaned = clean(texts)
    return cleaned._replace(flags=(*flags, *cleaned.flags))


def clean_text(texts: pa.Array) -> Cleaned:
    """The texts as they are, empty ones too, less control characters. HTML entities stay, with a note."""
    cells, flags = without_control_characters(texts)
    if any_between(cells, ord("&"), ord("&")):
        # Beside tags they are part of the markup.
        entities = pc.and_not(pc.match_substring_regex(cells, ENTITY), pc.match_substring(cells, "<"))
        flags = (*flags, Flag("html_entities", pc.fill_null(entities, fill_value=False)))
    return Cleaned(cells, "text", flags)


def clean_zip(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """Postal codes of a column of any kind as texts, without a spreadsheet's marks; a short one from a number gets a note."""
    cleaned = clean_as_text(clean_text, cells, kind, zone)
    bare, flags = without_marks(cleaned.cells)
    if kind in ("integer", "decimal", "float"):
        short = pc.fill_null(pc.less(pc.utf8_length(bare), ZIP_LENGTH), fill_value=False)
        flags = (*flags, Flag("zip_from_number", short))
    return Cleaned(bare, "text", (*cleaned.flags, *flags))


def exact(cells: pa.Array) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The floats that no other integer becomes as well, and the flag of the others; NaN and infinities stay."""
    inexact = pc.fill_null(pc.and_(pc.is_finite(cells), pc.greater_equal(pc.abs(cells), EXACT[cells.type])), fill_value=False)
    return keep_where(pc.invert(inexact), cells), (Flag("inexact_identifier", inexact),)


def bare_identifiers(texts: pa.Array) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The texts without surrounding white space and a spreadsheet's marks, NULL for blank ones, and the flags of what was taken off."""
    return without_marks(trimmed(texts))


def clean_identifier(texts: pa.Array) -> Cleaned:
    """The identifiers without surrounding white space; blank ones count as missing. Nothing inside them is repaired."""
    cells, flags = bare_identifiers(texts)
    hidden = has_hidden_characters(cells)
    if pc.any(hidden).as_py():
        cells, flags = keep_where(pc.invert(hidden), cells), (*flags, Flag("invalid_identifier", hidden))
    if longest(cells) <= IDENTIFIER_LENGTH:
        return Cleaned(cells, "text", flags)
    fits = pc.less_equal(pc.utf8_length(cells), IDENTIFIER_LENGTH)
    return Cleaned(keep_where(fits, cells), "text", (*flags, bad_cells("identifier_too_long", cells, fits)))


def international_email(address: str) -> str | None:
    """The address with an ASCII domain when only its domain needs more than a pattern, else None."""
    try:
        return validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True).ascii_email
    except EmailNotValidError:
        return None


def lower_domain(addresses: pa.Array) -> pa.Array:
    """The addresses with the part behind the last @ in lower case."""
    parts = pc.extract_regex(addresses, r"(?s)^(?P<local>.*@)(?P<domain>[^@]*)$")
    return pc.binary_join_element_wise(pc.struct_field(parts, "local"), pc.utf8_lower(pc.struct_field(parts, "domain")), "")


def clean_email(texts: pa.Array) -> Cleaned:
    """The addresses, trimmed, with the domain in lower case; blank ones count as missing.

    A pattern settles ASCII addresses; email-validator those whose domain has other letters, which are sent in ASCII form.
    """
    cells, flags = bare_identifiers(texts)
    if any_between(cells, ord("A"), ord("Z")) or any_between(cells, DELETE, 0xFF):
        upper = pc.and_(pc.match_substring(cells, "@"), pc.not_equal(pc.utf8_lower(cells), cells))
        cells = replaced(cells, upper, lower_domain)
    good = pc.match_substring_regex(cells, EMAIL)
    if not pc.all(pc.fill_null(good, fill_value=True)).as_py():
        foreign = pc.and_not(pc.invert(pc.string_is_ascii(cells)), pc.or_(good, has_hidden_characters(cells)))
        cells = pc.coalesce(replaced(cells, foreign, lambda some: by_distinct(some, international_email)), cells)
        good = pc.match_substring_regex(cells, EMAIL)
    if longest(cells) <= LOCAL_LENGTH:
        return Cleaned(keep_where(good, cells), "text", (*flags, bad_cells("invalid_email", cells, good)))
    good = pc.and_(good, pc.less_equal(pc.find_substring(cells, "@"), LOCAL_LENGTH))
    short = pc.less_equal(pc.utf8_length(cells), EMAIL_LENGTH)
    too_long = Flag("email_too_long", pc.and_not(good, short))
    return Cleaned(keep_where(pc.and_(good, short), cells), "text", (*flags, bad_cells("invalid_email", cells, good), too_long))


def clean_locale(texts: pa.Array) -> Cleaned:
    """The language tags, with hyphens for underscores."""
    cells = pc.replace_substring(trimmed(texts), "_", "-")
    return checked("invalid_locale", cells, pc.match_substring_regex(cells, LOCALE))


def clean_url(texts: pa.Array) -> Cleaned:
    """The http and https addresses."""
    cells = trimmed(texts)
    return checked("invalid_url", cells, pc.match_substring_regex(cells, URL))


@cache
def timezone_names() -> pa.Array:
    """The IANA time zones, sorted."""
    return pa.array(sorted(available_timezones()))


def clean_timezone(texts: pa.Array) -> Cleaned:
    """The IANA time zones."""
    cells = trimmed(texts)
    return checked("invalid_timezone", cells, pc.is_in(cells, timezone_names()))


def ip_address(text: str) -> str | None:
    """The address as Python writes it, or None."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def clean_ip(texts: pa.Array) -> Cleaned:
    """The IPv4 and IPv6 addresses."""
    cells = trimmed(texts)
    simple = pc.match_substring_regex(cells, IPV4)
    found = replaced(cells, pc.and_(cells.is_valid(), pc.invert(simple)), lambda some: by_distinct(some, ip_address))
    return Cleaned(found, "text", (bad_cells("invalid_ip", cells, found.is_valid()),))
