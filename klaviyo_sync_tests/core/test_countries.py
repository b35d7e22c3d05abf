"""Countries by their codes and by the names that people write in their own languages."""

from __future__ import annotations

import pytest

from klaviyo_sync.core.cleaning.countries import country_code, names
from tools import country_names

WRITTEN = {
    "DE": [
        "DE",
        "de",
        "DEU",
        "276",
        "Germany",
        " germany ",
        "Deutschland",
        "Bundesrepublik Deutschland",
        "Allemagne",
        "Alemania",
        "Германия",
    ],
    "TR": ["Turkey", "T\u00fcrkiye", "TURKIYE", "T\u00dcRK\u0130YE", "T\u00fcrkei", "Turquie"],
    "AT": ["\u00d6sterreich", "Osterreich", "Austria", "Autriche"],
    "CH": ["Schweiz", "Suisse", "Svizzera", "Switzerland", "CHE"],
    "IT": ["Italia", "Italien", "\u0130talya"],
    "GB": ["UK", "U.K.", "Great Britain", "England", "Scotland", "United Kingdom", "Vereinigtes K\u00f6nigreich", "Northern Ireland"],
    "US": ["USA", "U.S.A.", "u.s.", "United States", "United States of America", "\u00c9tats-Unis", "Etats Unis", "America"],
    "CI": ["Ivory Coast", "C\u00f4te d\u2019Ivoire", "Cote d'Ivoire"],
    "JP": ["\u65e5\u672c"],
    "IN": ["\u092d\u093e\u0930\u0924"],
    "IR": ["Iran", "Ir\u00e3"],
    "NL": ["Holland", "The Netherlands", "Nederland", "Pays-Bas"],
    "XK": ["Kosovo", "XK"],
    "HK": ["Hong Kong"],
}


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, listed in WRITTEN.items() for name in listed])
def test_names_that_people_write(code: str, name: str) -> None:
    """A country is known by its codes and by its name in any language, whatever the case, accents and punctuation."""
    assert country_code(name) == code


@pytest.mark.parametrize(
    "name", ["", " ", "-", "?", "N/A", "n.v.t.", "unknown", "XX", "Narnia", "Atlantis", "Korea", "49", "0", "FR-75", "EU"]
)
def test_what_is_no_country(name: str) -> None:
    """What is not a country, or could be one of two, is not guessed."""
    assert country_code(name) is None


def test_the_names_are_those_of_cldr() -> None:
    """The file of names is what CLDR says, without names that mean two countries."""
    assert country_names.FILE.read_text(encoding="utf-8") == country_names.written(country_names.country_names())


def test_no_language_means_another_country() -> None:
    """A name of any language is never taken for another country than the one that it means there."""
    meanings: dict[str, set[str]] = {}
    for language in ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ru", "ja", "zh", "ar", "hi"):
        for name, codes in country_names.codes_by_name(language).items():
            meanings.setdefault(name, set()).update(codes)
    wrong = {name: names()[name] for name, codes in meanings.items() if name in names() and names()[name] not in codes}
    assert not wrong
