"""How a row is named to its owner."""

from __future__ import annotations

from collections.abc import Mapping

# The identifier that names a row best, first.
NAMING = ("external_id", "id", "email", "phone_number")


def row_name(identifiers: Mapping[str, object]) -> str:
    """The row by its first identifier that is there, as `external_id=17`."""
    return next((f"{path}={identifiers[path]}" for path in NAMING if identifiers.get(path) not in (None, "")), "")
