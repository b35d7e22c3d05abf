"""Values that stand for nobody."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from klaviyo_sync.core.faults import Model


class PlaceholderSettings(Model):
    """The user's own placeholders, beside the built-in ones."""

    placeholders: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="Values that identify nobody, such as a shop's own number; in any case, without outer white space.",
        examples=[["none@example.com"]],
    )
