"""Which cleaner serves which attribute kind and which property type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa

from klaviyo_sync.core.attributes import Attribute
from klaviyo_sync.core.attributes import Kind as AttributeKind
from klaviyo_sync.core.cleaning import texts, typed
from klaviyo_sync.core.cleaning.cells import Cleaned, as_text, text_cells
from klaviyo_sync.core.cleaning.phones import clean_phone
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.sync import AttributeField, PropertyField, PropertyType


class Cleaner(Protocol):
    """Cleans the cells of one column."""

    def __call__(self, cells: pa.Array, /) -> Cleaned: ...


TEXT_CLEANERS: dict[AttributeKind, Cleaner] = {
    "email": texts.clean_email,
    "identifier": texts.clean_identifier,
    "text": texts.clean_text,
    "locale": texts.clean_locale,
    "url": texts.clean_url,
    "timezone": texts.clean_timezone,
    "ip": texts.clean_ip,
}

DEGREES: dict[AttributeKind, tuple[str, int]] = {"latitude": ("invalid_latitude", 90), "longitude": ("invalid_longitude", 180)}

TYPED_CLEANERS: dict[PropertyType, Callable[[pa.Array, Kind, ZoneInfo], Cleaned]] = {
    "text": lambda cells, kind, zone: texts.clean_as_text(texts.clean_text, cells, kind, zone),
    "number": typed.clean_number,
    "boolean": typed.clean_boolean,
    "date": typed.clean_date,
    "datetime": typed.clean_datetime,
    "json": typed.clean_json,
}

# The type of a property that declares none: what its column holds.
OWN_TYPES: dict[Kind, PropertyType] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "boolean": "boolean",
    "date": "date",
    "time": "text",
    "instant": "datetime",
    "wall": "datetime",
    "list": "list",
    "json": "json",
}


def cleaner_for_attribute(attribute: Attribute, kind: Kind, zone: ZoneInfo) -> Cleaner:
    """The cleaner of an attribute other than a phone number, for a column of this kind."""
    if attribute.kind in DEGREES:
        code, most = DEGREES[attribute.kind]
        return lambda cells: typed.clean_degrees(cells, kind, zone, code, most)
    return lambda cells: texts.clean_as_text(TEXT_CLEANERS[attribute.kind], cells, kind, zone)


def cleaner_for_phone(
    field: AttributeField, kind: Kind, country_kind: Kind, zone: ZoneInfo
) -> Callable[[pa.Array, pa.Array | None], Cleaned]:
    """The cleaner of phone numbers; its second argument is the countries' column, if one is mapped."""

    def clean(cells: pa.Array, countries: pa.Array | None) -> Cleaned:
        numbers, flags = text_cells(cells, kind, zone)
        cleaned = clean_phone(numbers, None if countries is None else as_text(countries, country_kind, zone), field.default_country)
        return cleaned._replace(flags=(*flags, *cleaned.flags))

    return clean


def cleaner_for_property(field: PropertyField, kind: Kind, zone: ZoneInfo) -> Cleaner:
    """The cleaner of a custom property: of its declared type, else of its column's own."""
    declared = field.type or OWN_TYPES[kind]
    if declared == "list":
        return lambda cells: typed.clean_list(cells, kind, zone, field.separator)
    clean = TYPED_CLEANERS[declared]
    return lambda cells: clean(cells, kind, zone)
