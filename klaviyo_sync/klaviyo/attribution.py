"""Which rows an import job's errors speak of, and what became of all rows of the job.

Errors name a profile by its place in the request, by a copy of what was sent, or not at all
(https://developers.klaviyo.com/en/reference/get_errors_for_bulk_import_profiles_job). The shape of the copy is not
documented: identifiers are looked for beside `attributes` and inside. Not observed on a live account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.attributes import IDENTIFIERS
from klaviyo_sync.core.refused_cells import RefusedCell
from klaviyo_sync.core.result import FATES, Fate, Outcome, Reason
from klaviyo_sync.klaviyo.answers import ApiError, Json, mapping, redact

PLACE = re.compile(r"/profiles/data/(\d{1,9})(?=/|$)")
LONGEST_REASON = 1_000
COUNTS = ("total_count", "completed_count", "failed_count")
UNFIT = re.compile(r"invalid|malformed|not (a )?valid|format|duplicate|already|taken|conflict|belongs|another profile", re.IGNORECASE)
TAKEN = (("phone_number", re.compile(r"\bphone", re.IGNORECASE)), ("email", re.compile(r"\be-?mail", re.IGNORECASE)))
MOST_CELLS = 100
LEAF = re.compile(r"(?:^|/)attributes/(?!profiles(?:/|$))(.+)$|/(id)$")


def place(pointer: str, rows: int) -> int | None:
    """The place in the request that a pointer names, when the request has it."""
    found = PLACE.search(pointer)
    return int(found[1]) if found and int(found[1]) < rows else None


def attribute(pointer: str) -> str | None:
    """The attribute that a pointer ends in: `location.city` for `.../attributes/location/city`. Never personal data."""
    found = LEAF.search(PLACE.split(pointer)[-1])
    path = (found[1] or found[2]).replace("/", ".") if found else None
    return path if path and redact(path) == path else None


def reason(code: str, error: ApiError) -> Reason:
    """The reason that an error gives, in Klaviyo's words, cut short."""
    return Reason(code, attribute(error.pointer), (error.detail or error.title)[:LONGEST_REASON])


def refused_cell(error: ApiError) -> RefusedCell | None:
    """The cell that an error names, by its pointer, or by its words when they say that an address or number is taken; None without one."""
    words = f"{error.code} {error.detail or error.title}"
    found = LEAF.search(PLACE.split(error.pointer)[-1])
    pointer = (found[1] or found[2]) if found else None
    if pointer is None and error.code.startswith("duplicate"):
        taken = [name for name, pattern in TAKEN if pattern.search(words)]
        pointer = taken[0] if len(taken) == 1 else None
    if pointer is None:
        return None
    said = f"{error.code}: {error.detail or error.title}"[:LONGEST_REASON]
    return RefusedCell(pointer, UNFIT.search(words) is not None, said)


def whole(rows: pa.Table, fate: Fate, why: Reason) -> Outcome:
    """One fate for all rows, for one reason."""
    return Outcome(rows, np.full(len(rows), FATES.index(fate), np.uint8), dict.fromkeys(range(len(rows)), why))


class Attribution:
    """Gathers the errors of one import job, page by page. Of each row it holds the first reason and the cells that are named.

    `cells` has an entry for every row that failed: for each of its errors the cell, or None when the error names none.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._failed: dict[int, Reason] = {}
        self.cells: dict[int, list[RefusedCell | None]] = {}
        self._strangers = 0

    @cached_property
    def _places(self) -> Mapping[str, Mapping[str, set[int]]]:
        """For each identifier, where each of its values stands."""
        places: dict[str, dict[str, set[int]]] = {}
        for identifier in IDENTIFIERS:
            column = self._rows[identifier].to_pylist() if identifier in self._rows.column_names else []
            found = places.setdefault(identifier, {})
            for position, value in enumerate(column):
                if value is not None:
                    found.setdefault(normal(identifier, value), set()).add(position)
        return places

    def add(self, errors: Iterable[ApiError]) -> None:
        """Takes in one page of errors. Several errors of one row count once: the first is its reason."""
        for error in errors:
            row = self._row(error)
            if row is None:
                self._strangers += 1
            else:
                self._failed.setdefault(row, reason("import_failed", error))
                cells = self.cells.setdefault(row, [])
                if len(cells) < MOST_CELLS:
                    cells.append(refused_cell(error))

    def _row(self, error: ApiError) -> int | None:
        by_place = place(error.pointer, len(self._rows))
        by_copy = self._matches(error.payload) if error.payload else set()
        if by_place is not None and (not by_copy or by_place in by_copy):
            return by_place
        return next(iter(by_copy)) if len(by_copy) == 1 else None

    def _matches(self, payload: Json) -> set[int]:
        """The rows that share every identifier of the copy that any row has."""
        inside = mapping(payload.get("attributes"))
        matches: set[int] = set()
        for identifier in IDENTIFIERS:
            value = payload.get(identifier) or inside.get(identifier)
            found = self._places[identifier].get(normal(identifier, str(value))) if value else None
            if found:
                matches = matches & found if matches else found
                if not matches:
                    return matches
        return matches

    def outcome(self, counts: Json) -> Outcome:
        """What became of all rows, given the counts of a job that is complete (`total_count`, `completed_count`, `failed_count`).

        Rows that an error names have failed. The others are imported only if the counts prove it: all three are whole numbers, the
        total is the number of rows sent, completed and failed ones add up to it, and the errors name as many rows as have failed, or
        more. Otherwise any other row may have failed: the others are unknown.
        """
        why = self._doubt(counts)
        fates = np.full(len(self._rows), FATES.index("unknown" if why else "imported"), np.uint8)
        reasons = dict.fromkeys(range(len(self._rows)), Reason("outcome_unknown", None, why)) if why else {}
        reasons.update(self._failed)
        fates[list(self._failed)] = FATES.index("failed")
        return Outcome(self._rows, fates, reasons)

    def _doubt(self, counts: Json) -> str | None:
        """Why rows that no error names may have failed; None when they have not."""
        named = len(self._failed)
        if named == len(self._rows):
            return None
        if self._strangers:
            return f"{self._strangers} errors of the import job name no row that was sent."
        return doubt(counts, len(self._rows), named)


def doubt(counts: Json, sent: int, named: int) -> str | None:
    """Why the counts of a complete job do not prove that all rows but the named ones were imported; None when they do."""
    total, completed, failed = (whole_number(counts.get(name)) for name in COUNTS)
    if total is None or completed is None or failed is None:
        weak = ", ".join(name for name in COUNTS if whole_number(counts.get(name)) is None)
        return f"The import job is complete, but gives no whole number as {weak}."
    if total != sent:
        return f"The import job counts {total} profiles; {sent} were sent."
    if completed + failed != total:
        return f"The import job counts {completed} of {total} profiles as completed and {failed} as failed."
    if failed > named:
        return f"The import job counts {failed} failures; its errors name {named} rows."
    return None


def normal(identifier: str, value: str) -> str:
    """The value as Klaviyo compares it: e-mail addresses without regard to case."""
    return value.strip().lower() if identifier == "email" else value.strip()


def whole_number(value: object) -> int | None:
    """The value when it is a JSON integer that can be a count; None for texts, floats, booleans and negative numbers."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
