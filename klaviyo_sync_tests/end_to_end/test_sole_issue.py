"""A row with the only issue of its window costs that row or cell, never the run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from run_place import RunPlace

from klaviyo_sync.core.result import IssueKind
from klaviyo_sync.sandbox import Sandbox, serve

DAY = "2026-01-02"
BESIDE = ("('ok@example.com', 'y')", "('', '')")


@pytest.mark.parametrize("beside", BESIDE, ids=["a good row beside it", "nobody beside it"])
@pytest.mark.parametrize(
    ("row", "kind", "rejected"),
    [
        ("('big@example.com', repeat('x', 101000))", IssueKind("", "profile_too_large"), 1),
        ("('not an address', 'y')", IssueKind("email", "invalid_email"), 1),
    ],
)
def test_the_only_issue_of_a_window(tmp_path: Path, row: str, kind: IssueKind, rejected: int, beside: str) -> None:
    """A row whose issue is the only one of its frame is rejected, counted and written down; the row beside it is imported."""
    box = Sandbox(limits=False, job_seconds=0.0)
    sync = {
        "name": "members",
        "connection": "local",
        "dataset": "members",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"email": "email"},
        "properties": {"Note": "note"},
    }
    table = f"""
        CREATE TABLE members AS SELECT *, TIMESTAMPTZ '{DAY} 10:00+00' AS changed FROM (VALUES {row}, {beside}) AS _(email, note)
        WHERE email <> ''
    """
    with serve(box) as server:
        place = RunPlace(tmp_path, box, server.url, sync=sync, table=table, now=datetime(2026, 1, 10, tzinfo=UTC))
        result = place.report(DAY).results[DAY]
    good = int("ok@" in beside)
    assert (result.read, result.imported, result.rejected) == (rejected + good, good, rejected)
    assert result.issues[kind] == 1
    assert result.balanced
