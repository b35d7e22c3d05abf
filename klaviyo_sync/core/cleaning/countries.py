"""Countries: the ISO code of a country's code or name, as people write it in their own language.

Codes (2 letters, 3 letters, numbers) and English names are ISO 3166's. Names in other languages are those of Unicode's CLDR
(https://cldr.unicode.org), in `country_names.json`: reading them from CLDR's own files takes seconds and 100 MB in every run.
klaviyo_sync_tests/tools/country_names.py writes the file; a test compares the two.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from importlib.resources import files

import pycountry

# Short forms and parts of countries that neither ISO 3166 nor CLDR lists as names.
ALIASES = {
    "uk": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "greatbritain": "GB",
    "britain": "GB",
    "northernireland": "GB",
    "usa": "US",
    "unitedstatesofamerica": "US",
    "america": "US",
    "holland": "NL",
    "thenetherlands": "NL",
    "czechrepublic": "CZ",
    "uae": "AE",
    "ksa": "SA",
    "prc": "CN",
    "southkorea": "KR",
    "northkorea": "KP",
    "ivorycoast": "CI",
    "macedonia": "MK",
    "swaziland": "SZ",
    "burma": "MM",
    "capeverde": "CV",
    "easttimor": "TL",
    "palestine": "PS",
    "republicofkorea": "KR",
    "greatbritainuk": "GB",
    "bundesrepublikdeutschland": "DE",
}

# Not in ISO 3166 yet; its calling code is +383.
KOSOVO = {"XK": "XK", "XKX": "XK"}

LATIN_MARKS = re.compile("[\u0300-\u036f]")
CODE = re.compile(r"[A-Za-z]{2,3}")


def simplified(name: str) -> str:
    """The name without case, accents, spaces and punctuation: `Côte d'Ivoire` as `cotedivoire`.

    Marks of other scripts than Latin, Greek and Cyrillic are vowels and stay.
    """
    letters = LATIN_MARKS.sub("", unicodedata.normalize("NFKD", name).casefold())
    # The vowel signs of Indic scripts are no letters to Python, and part of the name.
    return "".join(letter for letter in letters if letter.isalnum() or unicodedata.category(letter) in ("Mn", "Mc"))


@cache
def names() -> dict[str, str]:
    """The ISO code of every name in any of CLDR's languages that means one country only, by its simplified form."""
    text = (files("klaviyo_sync.core.cleaning") / "country_names.json").read_text(encoding="utf-8")
    return {name: code for code, listed in json.loads(text).items() for name in listed}


@cache
def country_code(name: str) -> str | None:
    """The ISO 3166 code (2 letters) for a country's code or name in any language, or None when it is not known."""
    word = name.strip()
    simple = simplified(word)
    if not simple:
        return None
    if simple in ALIASES:
        return ALIASES[simple]
    code = word.replace(".", "").upper()
    if CODE.fullmatch(code):
        if code in KOSOVO:
            return KOSOVO[code]
        country = pycountry.countries.get(alpha_2=code) or pycountry.countries.get(alpha_3=code)
        return country.alpha_2 if country is not None else None
    try:
        return pycountry.countries.lookup(word).alpha_2
    except LookupError:
        return names().get(simple)
