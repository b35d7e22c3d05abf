"""The catalogue of profile attributes that a warehouse column can fill.

Names, types and limits follow Klaviyo's profile schema, API revision 2026-07-15
(https://developers.klaviyo.com/en/reference/bulk_import_profiles).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What stands before the name of a custom property in a path: `properties.Tier`.
PROPERTY = "properties."

Kind = Literal["email", "phone", "identifier", "text", "locale", "url", "latitude", "longitude", "timezone", "ip", "zip"]


@dataclass(frozen=True)
class Attribute:
    """One attribute: where it goes in the profile, how its cells are cleaned, and a sentence for the docs."""

    path: str
    kind: Kind
    about: str
    identifier: bool = False


ATTRIBUTES: dict[str, Attribute] = {
    attribute.path: attribute
    for attribute in (
        Attribute("id", "identifier", "Klaviyo's own profile id.", identifier=True),
        Attribute("email", "email", "E-mail address, at most 100 characters.", identifier=True),
        Attribute("phone_number", "phone", "Phone number, sent in E.164 form.", identifier=True),
        Attribute("external_id", "identifier", "Your own id of the person, at most 64 characters.", identifier=True),
        Attribute("first_name", "text", "Given name."),
        Attribute("last_name", "text", "Family name."),
        Attribute("organization", "text", "Company."),
        Attribute("title", "text", "Job title."),
        Attribute("locale", "locale", "BCP 47 language tag, such as en-US."),
        Attribute("image", "url", "Address of a picture of the person."),
        Attribute("location.address1", "text", "First line of the postal address."),
        Attribute("location.address2", "text", "Second line of the postal address."),
        Attribute("location.city", "text", "City."),
        Attribute("location.country", "text", "Country."),
        Attribute("location.region", "text", "State, province or region."),
        Attribute("location.zip", "zip", "Postal code; always sent as text, so that leading zeros stay."),
        Attribute("location.latitude", "latitude", "Degrees between -90 and 90."),
        Attribute("location.longitude", "longitude", "Degrees between -180 and 180."),
        Attribute("location.timezone", "timezone", "IANA time zone, such as Europe/Berlin."),
        Attribute("location.ip", "ip", "IPv4 or IPv6 address."),
    )
}

IDENTIFIERS: tuple[str, ...] = tuple(path for path, attribute in ATTRIBUTES.items() if attribute.identifier)

# Strongest first, as Klaviyo ranks them when it merges profiles; the phone number comes last (https://help.klaviyo.com/hc/en-us/articles/12902308138011).
STRONG_IDENTIFIERS: tuple[str, ...] = ("id", "external_id", "email")

# The custom property that takes phone numbers with `shared: property`. "Phone Number" itself is Klaviyo's own.
PHONE_PROPERTY = "Contact Phone Number"
