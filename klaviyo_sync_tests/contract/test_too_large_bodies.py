"""A 413 is about the body, whatever its errors name: the rows go out in smaller requests."""

from __future__ import annotations

from importing import counted, run
from scripted_klaviyo import Importing, Says, bad_rows, batch


def test_a_413_never_takes_rows_out() -> None:
    """When a 413 names rows, they are not at fault: all rows of the batch are imported, in halves."""
    script = Importing(judge=lambda profiles: Says(413, bad_rows(0, 1)) if len(profiles) > 3 else None)
    outcomes, _ = run(script, batch(10))
    assert counted(outcomes) == {"imported": 10}
    assert max(map(len, script.jobs)) <= 3
