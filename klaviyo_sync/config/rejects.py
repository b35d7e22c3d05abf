"""Where the rejects files go, and for how long they are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from klaviyo_sync.core.faults import Model
from klaviyo_sync.core.notation import Duration

SHORTEST = timedelta(days=1)


def at_least_a_day(value: timedelta) -> timedelta:
    """The duration itself; files that a run just wrote must not go with the same run."""
    if value < SHORTEST:
        raise ValueError("expected at least 1d")
    return value


class RejectsSettings(Model):
    """The rejects files: a folder, or an address, and how long a file is kept."""

    folder: str = Field(
        default="rejects", min_length=1, description="Folder or address (s3://, gs://, az://) of the rejects files.", examples=["rejects"]
    )
    keep: Annotated[Duration, AfterValidator(at_least_a_day)] | None = Field(
        default=None,
        description="How long a file is kept; each run removes older files of its sync. For good when it is not given.",
        examples=["90d"],
    )
