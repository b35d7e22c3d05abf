"""How many rows of a window may stay behind before its check fails, and how much may change before a run stops itself."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from klaviyo_sync.core.faults import Model

SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%", re.ASCII)
ROWS = re.compile(r"\d{1,9}", re.ASCII)


class Limit(Model):
    """How many rows may be affected: a share of those read (`1%`), or a number of rows (`5`)."""

    share: Decimal | None = None
    rows: int | None = None

    def __str__(self) -> str:
        return f"{self.share * 100:f}".rstrip("0").rstrip(".") + "%" if self.share is not None else f"{self.rows:,}"

    def exceeded_by(self, count: int, read: int) -> bool:
        """Whether `count` rows out of `read` are too many."""
        if self.share is not None:
            return count > self.share * read
        return count > (self.rows or 0)


def parse_limit(value: object) -> object:
    """`{share}` for `1%`, `{rows}` for a whole number."""
    text = str(value).strip()
    if isinstance(value, str) and (found := SHARE.fullmatch(text)) and (share := Decimal(found[1]) / 100) <= 1:
        return {"share": share}
    if isinstance(value, str | int) and not isinstance(value, bool) and ROWS.fullmatch(text):
        return {"rows": int(text)}
    if isinstance(value, Limit):
        return value
    raise ValueError("expected a share of the rows such as 1%, or a number of rows such as 0")


Allowance = Annotated[
    Limit,
    BeforeValidator(parse_limit),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": rf"^\s*({SHARE.pattern}|\d{{1,9}})\s*$"}, {"type": "integer", "minimum": 0}]}),
]


class Tolerance(Model):
    """Above these the asset check fails as an error; below, but not zero, it warns."""

    rejected: Allowance = Field(
        default=Limit(share=Decimal("0.01")),
        json_schema_extra={"default": "1%"},
        description="Rows that could not go out.",
        examples=["1%", 0],
    )
    failed: Allowance = Field(
        default=Limit(rows=0), json_schema_extra={"default": 0}, description="Rows that Klaviyo refused or failed.", examples=["0.1%", 0]
    )
    merged: Allowance = Field(
        default=Limit(share=Decimal("0.01")),
        json_schema_extra={"default": "1%"},
        description="Superseded rows with another strong identifier than the row that goes out; above this the check warns.",
        examples=["1%", 0],
    )


HALF = Limit(share=Decimal("0.5"))


class StopAbove(Model):
    """How much a window may change before it stops itself. Shares are of the rows read for it; None is no limit."""

    rows: int | None = Field(default=None, ge=1, description="Rows of one window.", examples=[5_000_000])
    rejected: Allowance | None = Field(
        default=HALF, json_schema_extra={"default": "50%"}, description="Rows that cannot go out.", examples=["50%", 10_000]
    )
    merged: Allowance | None = Field(
        default=HALF,
        json_schema_extra={"default": "50%"},
        description="Superseded rows with another strong identifier than the row that goes out.",
        examples=["50%", 500],
    )
    subscribes: Allowance | None = Field(default=None, description="Rows that subscribe somebody to a channel.", examples=["80%"])
    unsubscribes: Allowance | None = Field(
        default=HALF,
        json_schema_extra={"default": "50%"},
        description="Rows that newly unsubscribe somebody from a channel.",
        examples=["50%", 500],
    )
    clears: Allowance | None = Field(
        default=HALF,
        json_schema_extra={"default": "50%"},
        description="Profiles of which a NULL clears a value (on_null: clear), of those imported so far.",
        examples=["50%", 500],
    )


UNLIMITED = StopAbove(rejected=None, merged=None, unsubscribes=None, clears=None)
