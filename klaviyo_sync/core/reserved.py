"""The property names that Klaviyo owns.

A custom property with the name of one of Klaviyo's own properties cannot be used in segments, and names that begin
with `$` are Klaviyo's (https://help.klaviyo.com/hc/en-us/articles/115005074627).
"""

from __future__ import annotations

from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.visible import BLANKS, visible

DISPLAY_NAMES: dict[str, str] = {
    "Email": "email",
    "Klaviyo ID": "id",
    "First Name": "first_name",
    "Last Name": "last_name",
    "Organization": "organization",
    "Title": "title",
    "Phone Number": "phone_number",
    "Address": "location.address1",
    "Address 1": "location.address1",
    "Address 2": "location.address2",
    "City": "location.city",
    "State / Region": "location.region",
    "Country": "location.country",
    "Zip Code": "location.zip",
    "Latitude": "location.latitude",
    "Longitude": "location.longitude",
}

DOLLAR_NAMES: dict[str, str] = {
    **{f"${path.rpartition('.')[2]}": path for path in ATTRIBUTES},
    "$consent": "consent",
    "$locale_language": "locale",
    "$locale_country": "locale",
}

KLAVIYO_ONLY: frozenset[str] = frozenset(
    (
        "First Active",
        "Last Active",
        "Profile Created On",
        "Date Added",
        "Last Open",
        "Last Click",
        "Source",
        "Consent",
        "SMS Consent Timestamp",
    )
)


def plain_name(name: str) -> str:
    """The name without its case, and without spaces around it and around a slash: nobody can tell such names apart."""
    return "/".join(part.strip(BLANKS) for part in name.casefold().split("/"))


INSTEAD: dict[str, str] = {
    plain_name(name): path for name, path in {**{path: path for path in ATTRIBUTES}, **DISPLAY_NAMES, **DOLLAR_NAMES}.items()
}
OWN: frozenset[str] = frozenset(map(plain_name, KLAVIYO_ONLY))


def reserved_name(name: str) -> str | None:
    """What to do instead of a property with this name, in any case, or None when the name is free."""
    plain = plain_name(name)
    instead = INSTEAD.get(plain)
    if instead is not None:
        section = "the section" if instead == "consent" else "the attribute"
        return f'"{visible(name)}" is Klaviyo\'s own: use {section} {instead} instead'
    if plain.startswith("$"):
        return f"names that begin with $ are Klaviyo's own: use {visible(name.strip(BLANKS).lstrip('$')) or 'another name'} instead"
    if plain in OWN:
        return f'"{visible(name)}" is Klaviyo\'s own and cannot be used in segments: choose another name'
    return None
