"""Cleaning: the cells of one column in, the cells that can go out and the reasons for those that cannot."""

from klaviyo_sync.core.cleaning.catalogue import (
    Cleaner,
    cleaner_for_attribute,
    cleaner_for_phone,
    cleaner_for_property,
    cleaner_for_written_dates,
)
from klaviyo_sync.core.cleaning.cells import Cleaned
from klaviyo_sync.core.cleaning.date_forms import NO_ORDERS, DayOrders, orders_in
from klaviyo_sync.core.cleaning.flags import Flag

__all__ = [
    "NO_ORDERS",
    "Cleaned",
    "Cleaner",
    "DayOrders",
    "Flag",
    "cleaner_for_attribute",
    "cleaner_for_phone",
    "cleaner_for_property",
    "cleaner_for_written_dates",
    "orders_in",
]
