"""Mapping: a frame of warehouse rows in, a frame of profile cells and a frame of issues out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.attributes import ATTRIBUTES, PROPERTY
from klaviyo_sync.core.cleaning import (
    NO_ORDERS,
    Cleaned,
    DayOrders,
    cleaner_for_attribute,
    cleaner_for_phone,
    cleaner_for_property,
    cleaner_for_written_dates,
    orders_in,
)
from klaviyo_sync.core.cleaning.cells import Flag, Form
from klaviyo_sync.core.cleaning.repairs import REPAIRS
from klaviyo_sync.core.clearing import clearing_fields, packed
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, ConsentTarget, Statements, state
from klaviyo_sync.core.consent_result import BIRTH
from klaviyo_sync.core.decisions import Mode
from klaviyo_sync.core.dialects import Dialect, Kind
from klaviyo_sync.core.errors import ConfigError, about
from klaviyo_sync.core.frames import arrow, frame_with, keep_where, true_at
from klaviyo_sync.core.issue_frames import issue_frame
from klaviyo_sync.core.issues import CODES, MAYBE_OPT_OUTS
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.placeholders import known_placeholders
from klaviyo_sync.core.query import Column, find_column, modified_kind
from klaviyo_sync.core.sync import Channel, ConsentField, PropertyField, SharedPhone, Sync


@dataclass(frozen=True)
class Target:
    """One mapped column: where it comes from, where it goes, and how its cells are cleaned.

    `path` is an attribute (`location.city`) or `properties.` and the name of a custom property. `companion` is a second
    column that the cleaner reads, the country of a phone number. `written_dates`: whether the cells are dates in texts, whose cleaner
    also takes the day orders of the column.
    """

    path: str
    column: str
    clean: Callable[..., Cleaned]
    companion: str | None = None
    written_dates: bool = False

    @property
    def identifier(self) -> bool:
        """Whether the attribute identifies a profile."""
        return self.path in ATTRIBUTES and ATTRIBUTES[self.path].identifier


@dataclass(frozen=True)
class Plan:
    """How rows become profiles in one run: a target per mapped column, the consent columns, `modified_at`, and what now is.

    `birth` is the date of birth that goes beside consent, not into the profile; `clearing` are the columns whose NULLs clear a field.
    `columns` are all columns that are read, each once, as the YAML first spells it. `matching` are the identifiers by which rows are about
    the same profile, `shared` says what becomes of phone numbers that several profiles have. `orders` are the day orders of columns with
    dates in texts, known once their rows were noticed.
    """

    targets: tuple[Target, ...]
    consents: tuple[ConsentTarget, ...]
    modified_at: str
    modified_kind: Kind
    zone: ZoneInfo
    now: datetime
    birth: Target | None = None
    clearing: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    matching: tuple[str, ...] = ()
    shared: SharedPhone = "ask"
    undated: Mode = "guard"
    orders: Mapping[str, DayOrders] = field(default_factory=dict)

    @property
    def stating_columns(self) -> tuple[str, ...]:
        """The columns that say who a row is about, when it was changed, and what it states about consent."""
        named = [name for target in self.identifiers for name in (target.column, target.companion)]
        consent = [name for target in self.consents for name in (target.column, target.dated)]
        return tuple(dict.fromkeys(name for name in (*named, self.modified_at, *consent) if name is not None))

    @property
    def noticed_columns(self) -> tuple[str, ...]:
        """The columns of which all rows are looked at before any is sent: the stating ones, and dates in texts."""
        return tuple(dict.fromkeys((*self.stating_columns, *self.columns_with_written_dates)))

    @property
    def columns_with_written_dates(self) -> tuple[str, ...]:
        """The columns whose dates are texts."""
        targets = (*self.targets, *(() if self.birth is None else (self.birth,)))
        return tuple(dict.fromkeys(target.column for target in targets if target.written_dates))

    @property
    def identifiers(self) -> tuple[Target, ...]:
        """The targets that identify a profile."""
        return tuple(target for target in self.targets if target.identifier)

    def noticing(self, frame: pd.DataFrame) -> Plan:
        """The plan with the day orders that some more rows show."""
        shown = {name: self.orders.get(name, NO_ORDERS) | orders_in(arrow(frame[name])) for name in self.columns_with_written_dates}
        return replace(self, orders=shown) if shown else self


def plan_mapping(sync: Sync, columns: Sequence[Column], dialect: Dialect, now: datetime) -> Plan:
    """The plan for a sync over the columns that its dataset really has. Raises ConfigError for columns that cannot be sent."""
    where = sync.dataset or "the query"
    spelled: dict[str, str] = {}  # each name in the YAML, and the first one there of the same column: `email` for EMAIL as well
    names: dict[Column, str] = {}
    placeholders = known_placeholders(sync.placeholders)

    def column_of(name: str) -> Column:
        column = find_column(name, columns, where)
        spelled[name] = names.setdefault(column, name)
        return column

    def kind_of(name: str, *key: str) -> Kind:
        with about(*key):
            column = column_of(name)
            kind = dialect.kind(column.type)
            if kind is None or kind == "binary":
                goes_to = ".".join(part for part in key if part != "column")
                raise ConfigError(
                    f"{goes_to}: column {name!r} of {where} is {column.type}, which JSON cannot hold; select it as text in a query."
                )
            return kind

    def attribute_target(path: str) -> Target:
        entry = sync.profile[path]
        kind = kind_of(entry.column, "profile", path, "column")
        if ATTRIBUTES[path].kind == "phone":
            country_kind = "text" if entry.country is None else kind_of(entry.country, "profile", path, "country")
            clean = cleaner_for_phone(entry, kind, country_kind, sync.zone, placeholders)
            return Target(path, spelled[entry.column], clean, None if entry.country is None else spelled[entry.country])
        return Target(path, spelled[entry.column], cleaner_for_attribute(ATTRIBUTES[path], kind, sync.zone, placeholders))

    def typed_target(path: str, entry: PropertyField, kind: Kind) -> Target:
        written = cleaner_for_written_dates(entry, kind, sync.zone)
        clean = written or cleaner_for_property(entry, kind, sync.zone)
        return Target(path, spelled[entry.column], clean, written_dates=written is not None)

    def property_target(name: str) -> Target:
        entry = sync.properties[name]
        return typed_target(PROPERTY + name, entry, kind_of(entry.column, "properties", name, "column"))

    def consent_target(channel: Channel, entry: ConsentField) -> ConsentTarget:
        kind = kind_of(entry.column, "consent", channel, "column") if entry.column else "text"
        dated_kind = kind_of(entry.date_column, "consent", channel, "timestamp") if entry.date_column else "instant"
        return ConsentTarget(
            channel,
            spelled[entry.column] if entry.column else None,
            kind,
            spelled[entry.date_column] if entry.date_column else None,
            dated_kind,
            *sync.consent_zone(entry),
            entry.words.by_word() if entry.words else {},
            entry.unknown == "hold",
        )

    def birth_target(name: str) -> Target:
        return typed_target(f"consent.{BIRTH}", PropertyField(column=name, type="date"), kind_of(name, "consent", BIRTH))

    consents = sync.consent.channels() if sync.consent else {}
    with about("modified_at", "column"):
        kind_of_change = modified_kind(column_of(sync.modified_at.column), dialect, where)
    birth = sync.consent.age_gated_date_of_birth if sync.consent else None
    targets = (*map(attribute_target, sync.profile), *map(property_target, sync.properties))
    consent_targets = tuple(consent_target(channel, entry) for channel, entry in consents.items())
    birth_date = birth_target(birth) if birth else None
    return Plan(
        targets,
        consent_targets,
        spelled[sync.modified_at.column],
        kind_of_change,
        sync.zone,
        now,
        birth_date,
        tuple(spelled[name] for name in clearing_fields(sync).values()),
        tuple(dict.fromkeys(spelled[name] for name in sync.columns())),
        sync.matching,
        sync.profile["phone_number"].shared if "phone_number" in sync.profile else "ask",
        sync.consent.undated if sync.consent else "guard",
    )


@dataclass(frozen=True)
class Mapped:
    """What a frame of rows became.

    `profiles`: one row per row, one column per target path, cells ready to be written as JSON in their `forms`.
    `issues`: one row per cell that could not go out as it is (ISSUE_TYPES), `row` being the position in the frame.
    `statements`: what each row states for each channel of consent; `births`: the dates of birth beside them, as `2000-01-31`.
    `rejected`: positions of rows that cannot go out at all (their issues are among `issues`).
    `clears`: the fields that each row clears, packed; None when the sync clears none.
    `left_out`: by path the identifiers that rows go out without, since another profile has them, or since they are repaired; opt-outs go to
    them. `repaired`: the repaired ones among them. Only paths of which there are any.
    """

    profiles: pd.DataFrame
    forms: Mapping[str, Form]
    issues: pd.DataFrame
    statements: Mapping[Channel, Statements]
    rejected: np.ndarray
    births: pa.Array | None = None
    clears: pa.Array | None = None
    left_out: Mapping[str, pa.Array] = field(default_factory=dict)
    repaired: Mapping[str, pa.Array] = field(default_factory=dict)


def clean_target(target: Target, frame: pd.DataFrame, plan: Plan) -> Cleaned:
    """The target's cells, cleaned."""
    cells = arrow(frame[target.column])
    if target.written_dates:
        return target.clean(cells, plan.orders.get(target.column, NO_ORDERS))
    if target.path == "phone_number":
        return target.clean(cells, None if target.companion is None else arrow(frame[target.companion]))
    return target.clean(cells)


def map_identifiers(frame: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Only the identifiers of the rows, cleaned."""
    return frame_with({target.path: clean_target(target, frame, plan).cells for target in plan.identifiers})


def map_repaired(frame: pd.DataFrame, identifiers: Mapping[str, pa.Array], plan: Plan) -> dict[str, pa.Array]:
    """By path the repaired addresses of rows whose own are not usable, given their cleaned identifiers; only paths that have any.

    They are for the opt-outs of these rows, and nobody is identified by them.
    """
    stated = {CHANNEL_IDENTIFIER[target.channel] for target in plan.consents}
    found = {
        target.path: repaired_cells(target, frame, identifiers[target.path], plan) for target in plan.identifiers if target.path in stated
    }
    return {path: cells for path, cells in found.items() if cells is not None}


def repaired_cells(target: Target, frame: pd.DataFrame, cleaned: pa.Array, plan: Plan) -> pa.Array | None:
    """The repaired addresses of one column, NULL where a cell is usable as it is, blank or beyond repair; None if there are none."""
    cells = arrow(frame[target.column])
    if not pa.types.is_string(cells.type) and not pa.types.is_large_string(cells.type):
        return None
    broken = pc.and_(cells.is_valid(), cleaned.is_null())
    if not pc.any(broken).as_py():
        return None
    again = pc.replace_with_mask(cells, broken, REPAIRS[target.path](cells.filter(broken)).cast(cells.type))
    changed = pc.fill_null(pc.not_equal(again, cells), fill_value=False)
    if not pc.any(changed).as_py():
        return None
    companion = {} if target.companion is None else {target.companion: arrow(frame[target.companion]).filter(changed)}
    better = clean_target(target, frame_with({**companion, target.column: again.filter(changed)}), plan).cells
    return pc.replace_with_mask(pa.nulls(len(cells), pa.string()), changed, better) if better.null_count < len(better) else None


def map_statements(
    frame: pd.DataFrame, identifiers: Mapping[str, pa.Array], plan: Plan, repaired: Mapping[str, pa.Array] = MappingProxyType({})
) -> dict[Channel, Statements]:
    """What the rows state for each channel, given their cleaned identifiers, and the repaired addresses of others."""
    return {target.channel: state(target, frame, identifiers, plan.now, plan.zone, repaired=repaired) for target in plan.consents}


def flags_of_repaired(repaired: Mapping[str, pa.Array], statements: Mapping[Channel, Statements], plan: Plan) -> list[tuple[str, Flag]]:
    """Where an opt-out counts for a repaired address, by the address's column."""
    flags = []
    for target in plan.identifiers:
        for channel, stated in statements.items():
            if target.path in repaired and CHANNEL_IDENTIFIER[channel] == target.path:
                where = pc.and_(repaired[target.path].is_valid(), pc.fill_null(pc.equal(stated.meaning, "unsubscribe"), fill_value=False))
                flags.append((target.column, where))
    columns = dict.fromkeys(column for column, _ in flags)
    return [(column, Flag("opt_out_repaired", reduce(pc.or_, [where for name, where in flags if name == column]))) for column in columns]


def map_maybe_opt_outs(frame: pd.DataFrame, plan: Plan, placeholders: Mapping[str, pa.Array]) -> Mapped:
    """Rows of which nothing is sent, for their unknown words, and their opt-outs without a usable address or for a repaired one, alone."""
    identifiers = map_identifiers(frame, plan)
    cells = {path: arrow(identifiers[path]) for path in identifiers.columns}
    repaired = map_repaired(frame, cells, plan)
    for path, where in placeholders.items():
        cells[path] = keep_where(pc.invert(where), cells[path])
    statements = map_statements(frame, cells, plan, repaired)
    flags = [flag for stated in statements.values() for flag in stated.flags if flag[1].code in MAYBE_OPT_OUTS]
    flags += flags_of_repaired(repaired, statements, plan)
    issues = issue_frame((np.flatnonzero(true_at(flag.where)), column, flag.code) for column, flag in flags)
    return Mapped(identifiers, {}, issues, statements, np.zeros(0, np.int64))


def map_frame(frame: pd.DataFrame, plan: Plan, placeholders: Mapping[str, pa.Array] = MappingProxyType({})) -> Mapped:
    """The rows as profile cells, with the issues of every cell that could not go out as it is.

    `placeholders` has by path the rows whose identifier turned out to be a placeholder.
    """
    cleaned = {target: clean_target(target, frame, plan) for target in plan.targets}
    repaired = map_repaired(frame, {target.path: cleaned[target].cells for target in plan.identifiers}, plan)
    for target in plan.identifiers:
        if (where := placeholders.get(target.path)) is not None:
            found = cleaned[target]
            flag = Flag("placeholder_identifier", where)
            cleaned[target] = found._replace(cells=keep_where(pc.invert(where), found.cells), flags=(*found.flags, flag))
    identifiers = {target.path: cleaned[target].cells for target in plan.identifiers}
    statements = map_statements(frame, identifiers, plan, repaired)
    flags = [(target.column, flag) for target, found in cleaned.items() for flag in found.flags]
    births = None
    if plan.birth is not None:
        found = clean_target(plan.birth, frame, plan)
        births = found.cells
        flags += [(plan.birth.column, flag) for flag in found.flags]
    flags += [flag for stated in statements.values() for flag in stated.flags]
    flags += flags_of_repaired(repaired, statements, plan)
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
        repaired,
        repaired,
    )
