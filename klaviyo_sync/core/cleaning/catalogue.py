"""Which cleaner serves which attribute kind and which property type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa

from klaviyo_sync.core.attributes import Attribute
from klaviyo_sync.core.attributes import Kind as AttributeKind
from klaviyo_sync.core.cleaning import texts, typed
from klaviyo_sync.core.cleaning.cells import Cleaned, Flag, as_text, text_cells
from klaviyo_sync.core.cleaning.date_forms import NO_ORDERS, DayOrders
from klaviyo_sync.core.cleaning.phones import clean_phone
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import keep_where
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.placeholders import are_placeholders
from klaviyo_sync.core.sync import AttributeField, PropertyField, PropertyType


class DateCleaner(Protocol):
    """Cleans the dates of one column, given what the column shows about the order of month and day."""

    def __call__(self, cells: pa.Array, orders: DayOrders, /) -> Cleaned: ...


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

DATE_CLEANERS: dict[PropertyType, Callable[[pa.Array, Kind, ZoneInfo, DayOrders], Cleaned]] = {
    "date": typed.clean_date,
    "datetime": typed.clean_datetime,
}

TYPED_CLEANERS: dict[PropertyType, Callable[[pa.Array, Kind, ZoneInfo], Cleaned]] = {
    "text": lambda cells, kind, zone: texts.clean_as_text(texts.clean_text, cells, kind, zone),
    "number": typed.clean_number,
    "boolean": typed.clean_boolean,
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


def cleaner_for_attribute(attribute: Attribute, kind: Kind, zone: ZoneInfo, placeholders: pa.Array) -> Cleaner:
    """The cleaner of an attribute other than a phone number, for a column of this kind. Placeholders are no identifiers."""
    if attribute.kind in DEGREES:
        code, most = DEGREES[attribute.kind]
        return lambda cells: typed.clean_degrees(cells, kind, zone, code, most)
    if attribute.kind == "zip":
        return lambda cells: texts.clean_zip(cells, kind, zone)
    clean = TEXT_CLEANERS[attribute.kind]
    if attribute.identifier:
        clean = without_placeholders(clean, placeholders)
    if attribute.identifier and kind == "float":
        return lambda cells: clean_exactly(lambda floats: texts.clean_as_text(clean, floats, kind, zone), cells)
    return lambda cells: texts.clean_as_text(clean, cells, kind, zone)


def without_placeholders(clean: Cleaner, known: pa.Array) -> Cleaner:
    """The cleaner of texts, with the known placeholders left out."""

    def cleaned(cells: pa.Array) -> Cleaned:
        nobody = are_placeholders(texts.bare_identifiers(cells)[0], known)
        if not pc.any(nobody).as_py():
            return clean(cells)
        others = clean(keep_where(pc.invert(nobody), cells))
        return others._replace(flags=(*others.flags, Flag("placeholder_identifier", nobody)))

    return cleaned


def clean_exactly(clean: Cleaner, floats: pa.Array) -> Cleaned:
    """The floats that identify somebody, cleaned; those that may be another's id as well are left out."""
    cells, flags = texts.exact(floats)
    cleaned = clean(cells)
    return cleaned._replace(flags=(*flags, *cleaned.flags))


def cleaner_for_phone(
    field: AttributeField, kind: Kind, country_kind: Kind, zone: ZoneInfo, placeholders: pa.Array
) -> Callable[[pa.Array, pa.Array | None], Cleaned]:
    """The cleaner of phone numbers; its second argument is the countries' column, if one is mapped."""

    def clean(cells: pa.Array, countries: pa.Array | None) -> Cleaned:
        cells, inexact = texts.exact(cells) if kind == "float" else (cells, ())
        numbers, flags = text_cells(cells, kind, zone)
        places = None if countries is None else as_text(countries, country_kind, zone)
        cleaned = without_placeholders(lambda texts: clean_phone(texts, places, field.default_country), placeholders)(numbers)
        return cleaned._replace(flags=(*inexact, *flags, *cleaned.flags))

    return clean


def cleaner_for_property(field: PropertyField, kind: Kind, zone: ZoneInfo) -> Cleaner:
    """The cleaner of a custom property: of its declared type, else of its column's own."""
    declared = field.type or OWN_TYPES[kind]
    if declared == "list":
        return lambda cells: typed.clean_list(cells, kind, zone, field.separator)
    if declared in DATE_CLEANERS:
        dates = DATE_CLEANERS[declared]
        return lambda cells: dates(cells, kind, zone, NO_ORDERS)
    clean = TYPED_CLEANERS[declared]
    return lambda cells: clean(cells, kind, zone)


def cleaner_for_written_dates(field: PropertyField, kind: Kind, zone: ZoneInfo) -> DateCleaner | None:
    """The cleaner of a custom property whose dates are texts, so that its column must be known first; None for any other property."""
    if kind not in ("text", "json") or field.type not in DATE_CLEANERS:
        return None
    clean = DATE_CLEANERS[field.type]
    return lambda cells, orders: clean(cells, kind, zone, orders)
