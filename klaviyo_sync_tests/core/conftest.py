"""What the tests of the core share: sources over a DuckDB file."""

from __future__ import annotations

from query_place import opens

__all__ = ["opens"]
