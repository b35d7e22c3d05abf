"""Phone patterns give libphonenumber's own answer, in every region."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import phonenumbers
import pyarrow as pa
import pytest

from klaviyo_sync.core.cleaning.phones import clean_phone, national_e164, parsed, valid_e164

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = sorted(phonenumbers.PhoneNumberType.values())
E164 = phonenumbers.PhoneNumberFormat.E164


def mutations(digits: str, random: Random) -> Iterator[str]:
    """The digits, and what typing errors make of them."""
    yield digits
    for _ in range(4):
        position = random.randrange(len(digits))
        yield digits[:position] + str(random.randrange(10)) + digits[position + 1 :]
        yield digits[:position] + digits[position + 1 :]
        yield digits[:position] + str(random.randrange(10)) + digits[position:]


@cache
def examples(iso: str) -> tuple[phonenumbers.PhoneNumber, ...]:
    """One number of each kind that the region has."""
    found = [phonenumbers.example_number_for_type(iso, kind) for kind in KINDS]
    return tuple(number for number in found if number is not None)


def international() -> list[str]:
    """Numbers in E.164 form or nearly so, from every region and every code without one."""
    random = Random(1)
    numbers = [number for iso in REGIONS for number in examples(iso)]
    numbers += [
        number
        for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS
        if (number := phonenumbers.example_number_for_non_geo_entity(code)) is not None
    ]
    written = {phonenumbers.format_number(number, E164) for number in numbers}
    return sorted({"+" + found for number in written for found in mutations(number[1:], random)})


def national(iso: str) -> list[str]:
    """Plain digits as people of a region dial them, and typing errors."""
    random = Random(iso)
    prefix = (phonenumbers.PhoneMetadata.metadata_for_region(iso, None) or phonenumbers.PhoneMetadata("ZZ")).national_prefix or ""
    found: set[str] = set()
    for number in examples(iso):
        significant = phonenumbers.national_significant_number(number)
        for digits in (significant, prefix + significant, f"{number.country_code}{significant}", f"00{number.country_code}{significant}"):
            found.update(mutations(digits, random))
    return sorted(found)


def test_no_false_accept() -> None:
    """What the patterns take for a valid number is one, and is written as libphonenumber writes it."""
    numbers = international()
    accepted = [number for number, good in zip(numbers, valid_e164(pa.array(numbers)).to_pylist(), strict=True) if good]
    assert len(accepted) > 1_000
    wrong = {number: found for number in accepted if (found := parsed(number, None)) != number}
    assert not wrong


def test_cleaning_is_parsing() -> None:
    """Numbers that the patterns settle and numbers that are parsed come out alike."""
    numbers = international()
    cleaned = clean_phone(pa.array(numbers), None, None).cells.to_pylist()
    wrong = {number: found for number, found in zip(numbers, cleaned, strict=True) if found != parsed(number, None)}
    assert not wrong


def test_national_numbers_are_parsed_alike() -> None:
    """In every region, digits that the plan settles become what parsing makes of them."""
    digits = [(number, iso) for iso in REGIONS for number in national(iso)]
    found = national_e164(pa.array([number for number, _ in digits]), pa.array([iso for _, iso in digits])).to_pylist()
    assert sum(number is not None for number in found) > 5_000
    wrong = {pair: number for pair, number in zip(digits, found, strict=True) if number is not None and number != parsed(*pair)}
    assert not wrong


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_columns_without_numbers(chunks: int) -> None:
    """Empty columns and columns of NULLs pass."""
    assert clean_phone(pa.nulls(chunks, pa.string()), pa.nulls(chunks, pa.string()), None).cells.to_pylist() == [None] * chunks


@pytest.mark.parametrize("country", ["Antarctica", "AQ", "Bouvet Island", "South Georgia and the South Sandwich Islands"])
def test_countries_without_a_plan(country: str) -> None:
    """A real country that has no numbers of its own spoils no column: its national numbers are issues, others are not."""
    cleaned = clean_phone(pa.array(["0151 23456789", "+4915123456789", "015123456789"]), pa.array([country] * 3), None)
    assert cleaned.cells.to_pylist() == [None, "+4915123456789", None]
    assert {flag.code: flag.where.to_pylist() for flag in cleaned.flags}["invalid_phone"] == [True, False, True]


@pytest.mark.parametrize("country", ["Narnia", "Atlantis", "N/A", "-", "unknown", "XX", "\N{NO-BREAK SPACE}?"])
def test_the_default_country_is_for_blank_cells(country: str) -> None:
    """A number beside a country that is filled and not known is left out: read by the default country it could be a stranger's."""
    cleaned = clean_phone(pa.array(["(212) 555 12 25"] * 3 + ["+4915123456789"]), pa.array([country, None, " ", country]), "US")
    assert cleaned.cells.to_pylist() == [None, "+12125551225", "+12125551225", "+4915123456789"]
    assert {flag.code: flag.where.to_pylist() for flag in cleaned.flags}["unknown_country"] == [True, False, False, False]


def test_a_default_country_that_is_none() -> None:
    """Two letters that are no country make national numbers issues, and break nothing."""
    cleaned = clean_phone(pa.array(["015123456789"]), None, "XX")
    assert cleaned.cells.to_pylist() == [None]
