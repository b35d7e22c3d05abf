"""Identifiers that rows go out without, since another profile has them: what becomes of the cell, and of the consent for it.

Identifiers that are sent together belong to one person: Klaviyo merges their profiles, and a merge cannot be undone
(https://help.klaviyo.com/hc/en-us/articles/12902308138011).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.attributes import PHONE_PROPERTY, PROPERTY, STRONG_IDENTIFIERS
from klaviyo_sync.core.cleaning.cells import Flag
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.frames import Mask, arrow, frame_with, keep_where, true_at
from klaviyo_sync.core.issue_frames import issue_frame, joined_issues
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Mapped, Plan
from klaviyo_sync.core.sync import Channel

PHONE = "phone_number"


def leave_out(mapped: Mapped, plan: Plan, path: str, where: Mask, code: str | None) -> Mapped:
    """The rows, some of them without an identifier that they have; each of these has an issue of this code.

    The identifier is kept beside them, in `left_out`, for opt-outs alone: a subscribe for it states nothing any more.
    """
    cells = arrow(mapped.profiles[path])
    where = where & true_at(cells.is_valid())
    if not where.any():
        return mapped
    profiles = {name: arrow(mapped.profiles[name]) for name in mapped.profiles.columns}
    statements, flags = opt_outs_only(mapped, plan, path, where)
    lost = [(np.flatnonzero(true_at(flag.where)), column, flag.code) for column, flag in flags]
    if code is not None:
        column = next(target.column for target in plan.identifiers if target.path == path)
        lost.insert(0, (np.flatnonzero(where), column, code))
    earlier = mapped.left_out.get(path, pa.nulls(len(cells), cells.type))
    return replace(
        mapped,
        profiles=frame_with(profiles | {path: keep_where(pa.array(~where), cells)}),
        left_out={**mapped.left_out, path: pc.if_else(pa.array(where), cells, earlier)},
        statements=statements,
        issues=joined_issues(mapped.issues, issue_frame(lost)),
    )


def opt_outs_only(mapped: Mapped, plan: Plan, path: str, where: Mask) -> tuple[dict[Channel, Statements], list[tuple[str, Flag]]]:
    """The statements without the subscribes of some rows for an identifier, and the flags of those that are lost."""
    statements = dict(mapped.statements)
    lost: list[tuple[str, Flag]] = []
    for target in plan.consents:
        if CHANNEL_IDENTIFIER[target.channel] != path or target.channel not in statements:
            continue
        stated = statements[target.channel]
        subscribes = pc.and_(pc.fill_null(pc.equal(stated.meaning, "subscribe"), fill_value=False), pa.array(where))
        if not pc.any(subscribes).as_py():
            continue
        flag = (target.named, Flag("consent_without_identifier", subscribes))
        lost.append(flag)
        keeps = pc.invert(subscribes)
        statements[target.channel] = Statements(
            keep_where(keeps, stated.meaning), keep_where(keeps, stated.at), pc.and_(keeps, stated.zoneless), (*stated.flags, flag)
        )
    return statements, lost


def numbers_as_property(mapped: Mapped, plan: Plan) -> Mapped:
    """The rows, with the phone numbers beside a stronger identifier as a custom property, where the sync shares numbers so."""
    if plan.shared != "property" or PHONE not in mapped.profiles.columns:
        return mapped
    beside = np.zeros(len(mapped.profiles), dtype=bool)
    for target in plan.identifiers:
        if target.path in STRONG_IDENTIFIERS:
            beside |= true_at(arrow(mapped.profiles[target.path]).is_valid())
    profiles = {name: arrow(mapped.profiles[name]) for name in mapped.profiles.columns}
    path = PROPERTY + PHONE_PROPERTY
    profiles[path] = keep_where(pa.array(beside), profiles[PHONE])
    with_property = replace(mapped, profiles=frame_with(profiles), forms={**mapped.forms, path: "text"})
    return leave_out(with_property, plan, PHONE, beside, None)
