"""Flags: where a column has an issue."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Flag(NamedTuple):
    """An issue of a column: a code of the catalogue, and where it stands (Arrow booleans, one per row)."""

    code: str
    where: pa.Array
