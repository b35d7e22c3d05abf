"""Phone numbers to E.164, by libphonenumber's rules.

Parsing one number costs as much as everything else that happens to its row. So the numbering plans that libphonenumber
carries are turned into one pattern per calling code, which settles numbers that are in E.164 form already; only
the others are parsed, once per distinct number and country. Both ways give the same answer (a test compares them).
"""

from __future__ import annotations

from functools import cache

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pycountry
from phonenumbers import PhoneMetadata, PhoneNumberDesc

from klaviyo_sync.core.cleaning.cells import Cleaned, Flag, trimmed, without_control_characters
from klaviyo_sync.core.frames import keep_where

PUNCTUATION = r"[\s().\-/\x{00a0}\x{2010}-\x{2015}]"
DECORATED = r"[^+0-9]"
E164 = r"^\+[1-9][0-9]{6,14}$"
LONGEST_CALLING_CODE = 3

# Names that people write and ISO 3166 does not list.
COUNTRY_ALIASES = {
    "UK": "GB",
    "ENGLAND": "GB",
    "SCOTLAND": "GB",
    "WALES": "GB",
    "GREAT BRITAIN": "GB",
    "USA": "US",
    "U.S.": "US",
    "U.S.A.": "US",
}

TYPES = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan", "voicemail")


@cache
def calling_codes() -> frozenset[str]:
    """Every calling code that libphonenumber knows."""
    return frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


def plans(code: str) -> list[PhoneMetadata]:
    """The numbering plans behind a calling code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)]
    found = [
        PhoneMetadata.metadata_for_nongeo_region(int(code), None) if region == "001" else PhoneMetadata.metadata_for_region(region, None)
        for region in regions
    ]
    return [plan for plan in found if plan is not None]


def used(kind: PhoneNumberDesc | None) -> bool:
    """Whether a plan has numbers of this kind at all."""
    return kind is not None and bool(kind.national_number_pattern) and kind.possible_length not in ((), (-1,))


@cache
def valid_pattern(code: str) -> str:
    """A pattern for every valid E.164 number with this calling code."""
    patterns = {
        kind.national_number_pattern
        for plan in plans(code)
        for name in TYPES
        if (kind := getattr(plan, name, None)) is not None and used(kind)
    }
    return rf"^\+{code}(?:{'|'.join(sorted(patterns))})$"


@cache
def calling_code(prefix: str) -> str | None:
    """The calling code at the start of a text such as +491, if there is one; no code is the beginning of another."""
    digits = prefix.removeprefix("+")
    return next((digits[:length] for length in range(1, LONGEST_CALLING_CODE + 1) if digits[:length] in calling_codes()), None)


def valid_e164(numbers: pa.Array) -> pa.Array:
    """Which texts are valid numbers in E.164 form; false for everything else, NULL too."""
    valid = pc.fill_null(pc.match_substring_regex(numbers, E164), fill_value=False)
    prefixes = pc.utf8_slice_codeunits(numbers.filter(valid), 0, LONGEST_CALLING_CODE + 1)
    codes = {code for prefix in pc.unique(prefixes).to_pylist() if (code := calling_code(prefix)) is not None}
    settled = pa.array([False] * 0, pa.bool_())
    settled = pc.if_else(valid, False, False)
    for code in sorted(codes):
        here = pc.and_(valid, pc.starts_with(numbers, "+" + code))
        here = pc.fill_null(here, fill_value=False)
        settled = pc.replace_with_mask(settled, here, pc.match_substring_regex(numbers.filter(here), valid_pattern(code)))
    return settled


@cache
def region(country: str) -> str | None:
    """The ISO code for a country's code or name, or None when it is not known."""
    word = country.strip().upper()
    if word in COUNTRY_ALIASES:
        return COUNTRY_ALIASES[word]
    try:
        return pycountry.countries.lookup(word).alpha_2
    except LookupError:
        return None


def parsed(number: str, country: str | None) -> str | None:
    """The number in E.164 form when libphonenumber finds it valid, else None."""
    try:
        found = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(found) else None


def clean_phone(texts: pa.Array, countries: pa.Array | None, default_country: str | None) -> Cleaned:
    """The numbers in E.164 form; blank cells count as missing.

    `countries` (texts, same length) hold ISO codes or names; `default_country` stands in where there is none.
    """
    cells, flags = without_control_characters(texts)
    cells = trimmed(cells)
    decorated = pc.fill_null(pc.match_substring_regex(cells, DECORATED), fill_value=False)
    bare = cells
    if pc.any(decorated).as_py():
        bare = pc.replace_with_mask(cells, decorated, pc.replace_substring_regex(cells.filter(decorated), PUNCTUATION, ""))
    settled = valid_e164(bare)
    open_ = pc.and_(pc.invert(settled), cells.is_valid())
    if not pc.any(open_).as_py():
        return Cleaned(keep_where(settled, bare), "text", flags)
    spelled = cells.filter(open_)
    homes = pa.nulls(len(spelled), pa.string()) if countries is None else countries.filter(open_)
    found, homeless = parse_all(spelled, homes, default_country)
    numbers = pc.replace_with_mask(keep_where(settled, bare), open_, found)
    none = pc.if_else(open_, False, False)
    without_country = pc.replace_with_mask(none, open_, homeless)
    invalid = pc.replace_with_mask(none, open_, pc.and_(found.is_null(), pc.invert(homeless)))
    return Cleaned(numbers, "text", (*flags, Flag("invalid_phone", invalid), Flag("phone_without_country", without_country)))


def parse_all(numbers: pa.Array, countries: pa.Array, default_country: str | None) -> tuple[pa.Array, pa.Array]:
    """Each number in E.164 form or NULL, and whether it is NULL for want of a country. Each distinct pair is parsed once."""
    known: dict[tuple[str, str | None], str | None] = {}
    found: list[str | None] = []
    homeless: list[bool] = []
    for number, country in zip(numbers.to_pylist(), countries.to_pylist(), strict=True):
        home = (region(country) if country else None) or default_country
        pair = (number, home)
        if pair not in known:
            known[pair] = parsed(number, home)
        found.append(known[pair])
        homeless.append(known[pair] is None and home is None and not number.startswith("+"))
    return pa.array(found, pa.string()), pa.array(homeless, pa.bool_())
