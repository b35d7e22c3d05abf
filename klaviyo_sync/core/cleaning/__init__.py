"""Cleaning: the cells of one column in, the cells that can go out and the reasons for those that cannot."""

from klaviyo_sync.core.cleaning.catalogue import Cleaner, cleaner_for_attribute, cleaner_for_phone, cleaner_for_property
from klaviyo_sync.core.cleaning.cells import Cleaned, Flag

__all__ = ["Cleaned", "Cleaner", "Flag", "cleaner_for_attribute", "cleaner_for_phone", "cleaner_for_property"]
