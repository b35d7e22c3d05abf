"""Whether a window's query can pass over the rows of other windows: what Snowflake tells whoever may SELECT.

Micro-partitions outside of a filter are not read: https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from klaviyo_sync.core.query import Column, Relation

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

ASKED = "SELECT table_type, clustering_key FROM {}.INFORMATION_SCHEMA.TABLES WHERE table_schema = ? AND table_name = ?"
LOADED_IN_ORDER = (
    "not clustered by {0}: a window reads only its own part where rows were loaded in that order, else the whole columns; "
    "a table of many gigabytes should have CLUSTER BY ({0})"
)


def clustering(cursor: SnowflakeCursor, relation: Relation, modified_at: Column) -> str | None:
    """How a table is clustered, seen from its modified_at column; None for a view, a SELECT, or where no database is known."""
    source = relation.source
    database, schema = source.catalog or cursor.connection.database, source.db or cursor.connection.schema
    if relation.text is not None or not database or not schema:
        return None
    asked = ASKED.format(exp.to_identifier(database, quoted=True).sql("snowflake"))
    cursor.execute(asked, [schema, source.name])
    found = cursor.fetchone()
    if not isinstance(found, tuple) or found[0] not in ("BASE TABLE", "TABLE"):
        return None
    if re.search(rf"(?<!\w){re.escape(modified_at.name)}(?!\w)", found[1] or ""):
        return f"clustered by {found[1]}"
    return LOADED_IN_ORDER.format(modified_at.name)
