"""Packing: each file in cases/packing holds sizes of profiles, and how many of them each request takes under Klaviyo's own limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import yaml

from klaviyo_sync.core.packing import MAX_BYTES, MAX_PROFILES, import_envelope, pack

CASES = Path(__file__).parent.parent / "cases" / "packing"
PIECE = 16_384


def piece(sizes: list[int]) -> tuple[pa.Array, pa.Table]:
    """Profiles of these sizes (bytes, without the comma), and their rows."""
    texts = [f'"{"x" * (size - 2)}",' for size in sizes]
    return pa.array(texts, pa.large_string()), pa.table({"window": pa.array([0] * len(sizes), pa.int32())})


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_how_many_a_request_takes(path: Path) -> None:
    """Profiles are cut as the case says; every body is JSON, within the limits, and names the list."""
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    sizes = [run["size"] for run in case["profiles"] for _ in range(run["times"])]
    pieces = [piece(sizes[start : start + PIECE]) for start in range(0, len(sizes), PIECE)]
    batches = list(pack(pieces, import_envelope(case.get("list"))))
    assert [len(batch) for batch in batches] == case["batches"], case["rule"]
    for batch in batches:
        assert len(batch) <= MAX_PROFILES
        assert len(batch.body()) == batch.size <= MAX_BYTES
        body = orjson.loads(bytes(batch.body()))["data"]
        assert len(body["attributes"]["profiles"]["data"]) == len(batch)
        lists = body.get("relationships", {}).get("lists", {}).get("data", [])
        assert [one["id"] for one in lists] == ([case["list"]] if "list" in case else [])
