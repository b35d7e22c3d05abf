"""Writes klaviyo_sync/core/cleaning/country_names.json from CLDR, as the package Babel has it.

Run it when Babel has newer data: `.venv/bin/python klaviyo_sync_tests/tools/country_names.py`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

from babel import Locale, localedata

from klaviyo_sync.core.cleaning.countries import simplified

FILE = Path(__file__).parents[2] / "klaviyo_sync" / "core" / "cleaning" / "country_names.json"
COUNTRY = re.compile("[A-Z]{2}")
NO_COUNTRIES = frozenset(("EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"))  # unions, made-up ones, unknown
REGIONAL = re.compile(r"_([A-Z]{2}|[0-9]{3})$")
CODE = re.compile("[A-Za-z]{1,3}")  # a name that looks like a code is none


def country_names() -> dict[str, list[str]]:
    """The names of each country by its ISO code, simplified and in order. What means two countries is left out, or English decides."""
    english = codes_by_name("en")
    meanings: dict[str, set[str]] = defaultdict(set)
    for language in localedata.locale_identifiers():
        if not REGIONAL.search(language):
            for name, codes in codes_by_name(language).items():
                meanings[name] |= codes
    by_code: dict[str, list[str]] = defaultdict(list)
    for name, codes in meanings.items():
        clear = english.get(name, codes)
        if len(clear) == 1:
            by_code[next(iter(clear))].append(name)
    return {code: sorted(by_code[code]) for code in sorted(by_code)}


def codes_by_name(language: str) -> dict[str, set[str]]:
    """The countries that each name means in one language, short and other forms included."""
    found: dict[str, set[str]] = defaultdict(set)
    for code, name in Locale.parse(language).territories.items():
        if COUNTRY.fullmatch(code) and code not in NO_COUNTRIES and not CODE.fullmatch(name):
            found[simplified(name)].add(code)
    return found


def written(names: dict[str, list[str]]) -> str:
    """The file's text: a line a country."""
    lines = (f"{json.dumps(code)}: {json.dumps(listed, ensure_ascii=False)}" for code, listed in names.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(written(country_names()), encoding="utf-8")
