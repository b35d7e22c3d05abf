"""Where the rows of a sync come from and how they are mapped, in short: what a stored result is compared by, and what it shows."""

from __future__ import annotations

import hashlib
import json

from klaviyo_sync.core.sync import Sync

MAPPED = frozenset({"profile", "properties", "consent", "list_id", "on_null"})
HASH_LENGTH = 16


def dataset_id(sync: Sync) -> str:
    """What the sync reads, as its results are compared: connection and dataset as written, or the connection and the word `query`.

    The text of a query is no part of it, as the mapping is none: a query that was rewritten still reads what its sync is about.
    """
    return f"{sync.connection}/{sync.dataset}" if sync.dataset else f"{sync.connection}/(query)"


def mapping_hash(sync: Sync) -> str:
    """16 hexadecimal digits that change when the mapping does: attributes, properties, consent, list or on_null."""
    mapped = sync.model_dump(mode="json", include=set(MAPPED))
    return hashlib.sha256(json.dumps(mapped, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]
