"""Mapping: a frame of warehouse rows in, a frame of profile cells and a frame of issues out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.attributes import ATTRIBUTES, PROPERTY
from klaviyo_sync.core.cleaning import Cleaned, cleaner_for_attribute, cleaner_for_phone, cleaner_for_property
from klaviyo_sync.core.cleaning.cells import Form
from klaviyo_sync.core.clearing import clearing_fields, packed
from klaviyo_sync.core.consent import ConsentTarget, Statements, state
from klaviyo_sync.core.consent_result import BIRTH
from klaviyo_sync.core.dialects import Dialect, Kind
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.frames import arrow, frame_with, true_at
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.query import Column, find_column, modified_kind
from klaviyo_sync.core.sync import Channel, ConsentField, PropertyField, Sync

ISSUE_COLUMNS = ("row", "column", "code", "message")


@dataclass(frozen=True)
class Target:
    """One mapped column: where it comes from, where it goes, and how its cells are cleaned.

    `path` is an attribute (`location.city`) or `properties.` and the name of a custom property. `companion` is a second
    column that the cleaner reads, the country of a phone number.
    """

    path: str
    column: str
    clean: Callable[..., Cleaned]
    companion: str | None = None

    @property
    def identifier(self) -> bool:
        """Whether the attribute identifies a profile."""
        return self.path in ATTRIBUTES and ATTRIBUTES[self.path].identifier


@dataclass(frozen=True)
class Plan:
    """How rows become profiles in one run: a target per mapped column, the consent columns, `modified_at`, and what now is.

    `birth` is the date of birth that goes beside consent, not into the profile; `clearing` are the columns whose NULLs clear a field.
    """

    targets: tuple[Target, ...]
    consents: tuple[ConsentTarget, ...]
    modified_at: str
    modified_kind: Kind
    zone: ZoneInfo
    now: datetime
    birth: Target | None = None
    clearing: tuple[str, ...] = ()

    @property
    def identifying_columns(self) -> tuple[str, ...]:
        """The columns that say who a row is about, and when it was changed."""
        named = [name for target in self.identifiers for name in (target.column, target.companion) if name is not None]
        return tuple(dict.fromkeys([*named, self.modified_at]))

    @property
    def identifiers(self) -> tuple[Target, ...]:
        """The targets that identify a profile."""
        return tuple(target for target in self.targets if target.identifier)


def plan_mapping(sync: Sync, columns: Sequence[Column], dialect: Dialect, now: datetime) -> Plan:
    """The plan for a sync over the columns that its dataset really has. Raises ConfigError for columns that cannot be sent."""
    where = sync.dataset or "the query"

    def kind_of(name: str, goes_to: str) -> Kind:
        column = find_column(name, columns, where)
        kind = dialect.kind(column.type)
        if kind is None or kind == "binary":
            raise ConfigError(
                f"{goes_to}: column {name!r} of {where} is {column.type}, which JSON cannot hold; select it as text in a query."
            )
        return kind

    def attribute_target(path: str) -> Target:
        entry = sync.profile[path]
        kind = kind_of(entry.column, f"profile.{path}")
        if ATTRIBUTES[path].kind == "phone":
            country_kind = "text" if entry.country is None else kind_of(entry.country, f"profile.{path}.country")
            return Target(path, entry.column, cleaner_for_phone(entry, kind, country_kind, sync.zone), entry.country)
        return Target(path, entry.column, cleaner_for_attribute(ATTRIBUTES[path], kind, sync.zone))

    def property_target(name: str) -> Target:
        entry = sync.properties[name]
        return Target(PROPERTY + name, entry.column, cleaner_for_property(entry, kind_of(entry.column, f"properties.{name}"), sync.zone))

    def consent_target(channel: Channel, entry: ConsentField) -> ConsentTarget:
        return ConsentTarget(
            channel,
            entry.column,
            kind_of(entry.column, f"consent.{channel}") if entry.column else "text",
            entry.date_column,
            kind_of(entry.date_column, f"consent.{channel}.timestamp") if entry.date_column else "instant",
            *sync.consent_zone(entry),
            entry.words.by_word() if entry.words else {},
            entry.unknown == "hold",
        )

    def birth_target(name: str) -> Target:
        named = f"consent.{BIRTH}"
        return Target(named, name, cleaner_for_property(PropertyField(column=name, type="date"), kind_of(name, named), sync.zone))

    consents = sync.consent.channels() if sync.consent else {}
    birth = sync.consent.age_gated_date_of_birth if sync.consent else None
    return Plan(
        (*map(attribute_target, sync.profile), *map(property_target, sync.properties)),
        tuple(consent_target(channel, entry) for channel, entry in consents.items()),
        sync.modified_at.column,
        modified_kind(find_column(sync.modified_at.column, columns, where), dialect, where),
        sync.zone,
        now,
        birth_target(birth) if birth else None,
        tuple(clearing_fields(sync).values()),
    )


@dataclass(frozen=True)
class Mapped:
    """What a frame of rows became.

    `profiles`: one row per row, one column per target path, cells ready to be written as JSON in their `forms`.
    `issues`: ISSUE_COLUMNS, one row per cell that could not go out as it is, `row` being the position in the frame.
    `statements`: what each row states for each channel of consent; `births`: the dates of birth beside them, as `2000-01-31`.
    `rejected`: positions of rows that cannot go out at all (their issues are among `issues`).
    `clears`: the fields that each row clears, packed; None when the sync clears none.
    """

    profiles: pd.DataFrame
    forms: Mapping[str, Form]
    issues: pd.DataFrame
    statements: Mapping[Channel, Statements]
    rejected: np.ndarray
    births: pa.Array | None = None
    clears: pa.Array | None = None


def clean_target(target: Target, frame: pd.DataFrame) -> Cleaned:
    """The target's cells, cleaned."""
    cells = arrow(frame[target.column])
    if target.path == "phone_number":
        return target.clean(cells, None if target.companion is None else arrow(frame[target.companion]))
    return target.clean(cells)


def issue_frame(parts: Sequence[tuple[np.ndarray, str, str]]) -> pd.DataFrame:
    """ISSUE_COLUMNS for (rows, column, code) parts, messages from the catalogue."""
    frames = [
        pd.DataFrame({"row": rows, "column": column, "code": code, "message": CODES[code].message})
        for rows, column, code in parts
        if len(rows)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({name: [] for name in ISSUE_COLUMNS})


def map_identifiers(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Only the identifiers of the rows, cleaned."""
    return frame_with({target.path: clean_target(target, frame).cells for target in plan.identifiers})


def map_frame(frame: pd.DataFrame, plan: Plan) -> Mapped:
    """The rows as profile cells, with the issues of every cell that could not go out as it is."""
    cleaned = {target: clean_target(target, frame) for target in plan.targets}
    identifiers = {target.path: cleaned[target].cells for target in plan.identifiers}
    statements: dict[Channel, Statements] = {
        target.channel: state(target, frame, identifiers, plan.now, plan.zone) for target in plan.consents
    }
    flags = [(target.column, flag) for target, found in cleaned.items() for flag in found.flags]
    births = None
    if plan.birth is not None:
        found = clean_target(plan.birth, frame)
        births = found.cells
        flags += [(plan.birth.column, flag) for flag in found.flags]
    flags += [flag for stated in statements.values() for flag in stated.flags]
    parts = [(np.flatnonzero(true_at(flag.where)), column, flag.code) for column, flag in flags if pc.any(flag.where).as_py()]
    nobody = np.ones(len(frame), dtype=bool)
    for cells in identifiers.values():
        nobody &= true_at(cells.is_null())
    parts.append((np.flatnonzero(nobody), ", ".join(target.column for target in plan.identifiers), "missing_identifier"))
    rejected = np.unique(np.concatenate([rows for rows, _, code in parts if CODES[code].effect == "row"]))
    return Mapped(
        frame_with({target.path: found.cells for target, found in cleaned.items()}),
        {target.path: found.form for target, found in cleaned.items()},
        issue_frame(parts),
        statements,
        rejected,
        births,
        packed([arrow(frame[column]) for column in plan.clearing]) if plan.clearing else None,
    )
