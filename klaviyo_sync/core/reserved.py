"""The property names that Klaviyo owns.

A custom property with the name of one of Klaviyo's own properties cannot be used in segments, and names that begin
with `$` are Klaviyo's (https://help.klaviyo.com/hc/en-us/articles/115005074627).
"""

from __future__ import annotations

from klaviyo_sync.core.attributes import ATTRIBUTES

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


def reserved_name(name: str) -> str | None:
    """What to do instead of a property with this name, or None when the name is free."""
    section = "the section" if DOLLAR_NAMES.get(name) == "consent" else "the attribute"
    instead = ATTRIBUTES[name].path if name in ATTRIBUTES else DISPLAY_NAMES.get(name) or DOLLAR_NAMES.get(name)
    if instead is not None:
        return f'"{name}" is Klaviyo\'s own: use {section} {instead} instead'
    if name.startswith("$"):
        return f"names that begin with $ are Klaviyo's own: use {name.lstrip('$') or 'another name'} instead"
    if name in KLAVIYO_ONLY:
        return f'"{name}" is Klaviyo\'s own and cannot be used in segments: choose another name'
    return None
