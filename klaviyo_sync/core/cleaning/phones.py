"""Phone numbers to E.164, by libphonenumber's rules.

Parsing one number costs as much as everything else that happens to its row. So the numbering plans that libphonenumber
carries are turned into one pattern per calling code, which settles numbers that are in E.164 form already; only
the others are parsed, once per distinct number and country. Both ways give the same answer (a test compares them).
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import phonenumbers
import pyarrow as pa
from phonenumbers import PhoneMetadata, PhoneNumberDesc

from klaviyo_sync.core.cleaning.cells import Cleaned, Flag, has_hidden_characters, trimmed
from klaviyo_sync.core.cleaning.countries import country_code
from klaviyo_sync.core.cleaning.texts import bare_identifiers
from klaviyo_sync.core.frames import by_distinct, keep_where
from klaviyo_sync.core.kernels import pc

PUNCTUATION = r"[\s().\-/\x{00a0}\x{2010}-\x{2015}]"
PUNCTUATION_SIGNS = r"[\s().\-/\u00a0\u2010-\u2015]"
DIGITS = r"^[0-9]{4,15}$"
LONGEST_CALLING_CODE = 3

# libphonenumber does not take the 0 from every number there that looks as if it had one.
ALWAYS_PARSED = frozenset({"IL"})

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
    international = pc.fill_null(pc.starts_with(numbers, "+"), fill_value=False)
    valid = pc.and_(international, pc.is_null(international))
    prefixes = pc.unique(pc.utf8_slice_codeunits(numbers.filter(international), 0, LONGEST_CALLING_CODE + 1)).to_pylist()
    for code in sorted({code for prefix in prefixes if (code := calling_code(prefix)) is not None}):
        here = pc.fill_null(pc.starts_with(numbers, "+" + code), fill_value=False)
        valid = pc.replace_with_mask(valid, here, pc.match_substring_regex(numbers.filter(here), valid_pattern(code)))
    return valid


def parsed(number: str, country: str | None) -> str | None:
    """The number in E.164 form when libphonenumber finds it valid, else None."""
    try:
        found = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(found) else None


def international(number: str, country: str) -> str | None:
    """The number in E.164 form, read as if only its + were missing, where it begins like its country's calling code and is valid so."""
    digits = re.sub(PUNCTUATION_SIGNS, "", number)
    if not digits.isdecimal() or not digits.startswith(str(phonenumbers.country_code_for_region(country))):
        return None
    return parsed(f"+{digits}", None)


class Home(NamedTuple):
    """How a country writes its national numbers: its calling code, what is dialled before them, patterns for both, and their lengths."""

    code: str
    prefix: str
    prefix_rule: str
    lengths: tuple[int, ...]


@cache
def home_of(iso: str) -> Home:
    """The country's ways, from libphonenumber's plan for it."""
    plan = PhoneMetadata.metadata_for_region(iso, None)
    prefix = plan.national_prefix or "" if plan is not None else ""
    rule = plan.national_prefix_for_parsing or prefix if plan is not None else prefix
    lengths = plan.general_desc.possible_length if plan is not None and plan.general_desc is not None else ()
    return Home(str(phonenumbers.country_code_for_region(iso)), f"^{prefix}", f"^(?:{rule})", lengths)


def national_e164(numbers: pa.Array, homes: pa.Array) -> pa.Array:
    """The E.164 form of numbers in plain national digits, by the ISO code of their country; NULL where only parsing can tell.

    Left to parsing are numbers with more before them than the country's prefix (a carrier's code), those that begin
    like their own calling code, and those of a length that only another country with the same calling code has.
    """
    found = pa.nulls(len(numbers), pa.string())
    digits = pc.fill_null(pc.match_substring_regex(numbers, DIGITS), fill_value=False)
    present = {*pc.drop_null(pc.unique(homes.filter(digits))).to_pylist()}
    for iso in sorted((present & phonenumbers.SUPPORTED_REGIONS) - ALWAYS_PARSED):
        home = home_of(iso)
        here = pc.and_(digits, pc.fill_null(pc.equal(homes, iso), fill_value=False))
        dialled = numbers.filter(here)
        national = pc.replace_substring_regex(dialled, home.prefix, "")
        simple = pc.equal(pc.replace_substring_regex(dialled, home.prefix_rule, ""), national)
        simple = pc.and_not(simple, pc.starts_with(national, home.code))
        simple = pc.and_(simple, pc.is_in(pc.utf8_length(national), pa.array(home.lengths, pa.int32())))
        candidates = pc.binary_join_element_wise("+" + home.code, national, "")
        valid = pc.and_(simple, pc.match_substring_regex(candidates, valid_pattern(home.code)))
        found = pc.replace_with_mask(found, here, keep_where(valid, candidates))
    return found


def clean_phone(texts: pa.Array, countries: pa.Array | None, default_country: str | None) -> Cleaned:
    """The numbers in E.164 form; blank cells count as missing.

    `countries` (texts, same length) hold ISO codes or names. `default_country` stands in where a cell is blank, never where it
    holds what is no country: the number could be a stranger's there.
    """
    cells, flags = bare_identifiers(texts)
    hidden = has_hidden_characters(cells)
    if pc.any(hidden).as_py():
        cells, flags = keep_where(pc.invert(hidden), cells), (*flags, Flag("invalid_phone", hidden))
    numbers = keep_where(valid_e164(cells), cells)
    unsettled = pc.and_(cells.is_valid(), numbers.is_null())
    if not pc.any(unsettled).as_py():
        return Cleaned(numbers, "text", flags)
    spelled = cells.filter(unsettled)
    places = pa.nulls(len(spelled), pa.string()) if countries is None else trimmed(countries.filter(unsettled))
    homes = home_regions(places, default_country)
    unknown = pc.and_(places.is_valid(), homes.is_null())
    bare = pc.replace_substring_regex(spelled, PUNCTUATION, "")
    found = pc.coalesce(keep_where(valid_e164(bare), bare), national_e164(bare, homes))
    left = found.is_null()
    read, ambiguous = parse_all(spelled.filter(left), homes.filter(left))
    found = pc.replace_with_mask(found, left, read)
    ambiguous = pc.replace_with_mask(pc.and_(left, pc.invert(left)), left, ambiguous)
    lost = pc.and_not(pc.and_(found.is_null(), spelled.is_valid()), ambiguous)
    national = pc.and_(lost, pc.and_(homes.is_null(), pc.invert(pc.starts_with(spelled, "+"))))
    nowhere = pc.and_(unsettled, pc.is_null(unsettled))
    return Cleaned(
        pc.replace_with_mask(numbers, unsettled, found),
        "text",
        (
            *flags,
            Flag("invalid_phone", pc.replace_with_mask(nowhere, unsettled, pc.and_not(lost, national))),
            Flag("ambiguous_phone", pc.replace_with_mask(nowhere, unsettled, ambiguous)),
            Flag("phone_without_country", pc.replace_with_mask(nowhere, unsettled, pc.and_not(national, unknown))),
            Flag("unknown_country", pc.replace_with_mask(nowhere, unsettled, pc.and_(national, unknown))),
        ),
    )


def home_regions(countries: pa.Array, default_country: str | None) -> pa.Array:
    """The ISO code that each number is read by when it names none itself: that of its country, the default where the country is NULL.

    NULL where there is neither, and where the country is not known: a number is never read by a country that it may not have.
    """
    known = by_distinct(countries, country_code).cast(pa.string())
    return pc.if_else(countries.is_null(), pa.scalar(default_country, pa.string()), known)


def parse_all(numbers: pa.Array, homes: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Each number in E.164 form or NULL, and which ones are NULL since they are valid with and without their calling code in front.

    Each distinct number and country is parsed once.
    """
    known: dict[tuple[str, str | None], tuple[str | None, bool]] = {}
    pairs = list(zip(numbers.to_pylist(), homes.to_pylist(), strict=True))
    for pair in pairs:
        if pair not in known:
            number, country = pair
            national = parsed(number, country)
            ambiguous = country is not None and national is not None and international(number, country) not in (None, national)
            known[pair] = (None, True) if ambiguous else (national, False)
    read = [known[pair] for pair in pairs]
    return pa.array([number for number, _ in read], pa.string()), pa.array([ambiguous for _, ambiguous in read], pa.bool_())
