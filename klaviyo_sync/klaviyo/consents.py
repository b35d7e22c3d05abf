"""Consent of a batch whose profiles are in Klaviyo: statements are decided on, sent, and every one of them is accounted for.

Unsubscribes go before subscribes; subscribes with and without dates in calls of their own, since `historical_import` is a matter
of the whole call (https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any

import pyarrow as pa

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.consent_reasons import CONSENT_CODES
from klaviyo_sync.core.consent_counts import ConsentFate
from klaviyo_sync.core.consent_result import BIRTH, ConsentOutcome, Ledger, dated_column, stated_column
from klaviyo_sync.core.decisions import Action, Mode, Present, Statement, decide, mixes, needs_status
from klaviyo_sync.core.result import FATES, Fate, Outcome, Reason
from klaviyo_sync.core.sync import Channel, Consent
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.statuses import Identifier, Statuses, key_of, patiently
from klaviyo_sync.klaviyo.subscriptions import DATED_SUBSCRIBES, SUBSCRIBES, UNSUBSCRIBES, Ask, Calls

WITHOUT_PROFILE: dict[Fate, ConsentFate] = {"refused": "refused", "failed": "refused", "unknown": "unknown"}
SETTLED: dict[Action, tuple[ConsentFate, str]] = {
    "already": ("already", ""),
    "nothing": ("nothing", ""),
    "guard": ("guarded", "consent_guarded"),
    "skip": ("skipped", "consent_older"),
}


@dataclass(frozen=True)
class Person:
    """A row that states something: its identifiers, date of birth and statements."""

    row: int
    identifiers: Mapping[str, str]
    birth: str | None
    statements: Mapping[Channel, Statement]

    def mixed(self, mode: Mode) -> bool:
        """Whether dated and undated subscribes may both go out."""
        return mixes(tuple(self.statements.values()), mode)

    def unsure(self, mode: Mode) -> Iterator[tuple[Channel, str, Statement]]:
        """The channels whose present status must be read, with the identifier to find it by."""
        mixed = self.mixed(mode)
        for channel, statement in self.statements.items():
            if needs_status(statement, mode, mixed=mixed):
                yield channel, self.identifiers[CHANNEL_IDENTIFIER[channel]], statement

    def ask(self, channels: Mapping[Channel, datetime | None]) -> Ask:
        """The person in a call about some channels."""
        return Ask(self.row, self.identifiers, self.birth, channels)


@dataclass
class Plan:
    """What is to be sent, by kind of call."""

    unsubscribes: list[Ask] = field(default_factory=list)
    dated: list[Ask] = field(default_factory=list)
    undated: list[Ask] = field(default_factory=list)


def send_consent(klaviyo: Klaviyo, outcome: Outcome, consent: Consent, stop: Event | None = None) -> ConsentOutcome:
    """What became of every statement of a batch, given what became of its profiles.

    Statements of profiles that were not imported are not sent. A window with `unknown` ones is not done.

    Raises:
        Refused: The key, its scopes or the list are not good.
        Unavailable: Klaviyo did not answer in time: nothing is known of the rest of the batch.
    """
    ledger = Ledger(outcome.rows)
    imported = []
    for person in people(ledger):
        fate = FATES[outcome.fates[person.row]]
        if fate == "imported":
            imported.append(person)
            continue
        for channel in person.statements:
            ledger.settle(person.row, channel, WITHOUT_PROFILE[fate], reason("consent_without_profile"))
    statuses = read_statuses(klaviyo, imported, consent.undated, stop)
    ledger.requests += statuses.requests
    plan = Plan()
    for person in imported:
        plan_person(plan, person, consent.undated, statuses, ledger)
    calls = Calls(klaviyo, ledger, consent.list_id, consent.source, stop)
    calls.send(UNSUBSCRIBES, plan.unsubscribes)
    calls.send(DATED_SUBSCRIBES, plan.dated)
    calls.send(SUBSCRIBES, plan.undated)
    return ledger.outcome()


def people(ledger: Ledger) -> Iterator[Person]:
    """The rows that state something, each with its statements."""
    rows = ledger.rows
    columns: dict[str, list[Any]] = {name: rows[name].to_pylist() for name in ("email", "phone_number", BIRTH) if name in rows.column_names}
    stated = {channel: rows[stated_column(channel)].cast(pa.string()).to_pylist() for channel in ledger.channels}
    dates = {channel: rows[dated_column(channel)].to_pylist() for channel in ledger.channels}
    for row in range(len(rows)):
        statements: dict[Channel, Statement] = {
            channel: Statement(stated[channel][row], dates[channel][row]) for channel in ledger.channels if stated[channel][row]
        }
        if statements:
            cells = {name: cells[row] for name, cells in columns.items() if cells[row] is not None}
            yield Person(row, cells, cells.get(BIRTH), statements)


def read_statuses(klaviyo: Klaviyo, imported: list[Person], mode: Mode, stop: Event | None) -> Statuses:
    """What must be known of Klaviyo before anything is sent.

    By e-mail address first: the profile then found tells about its phone number too. Subscribes wait until Klaviyo shows the
    imported profile; an opt-out goes out without.
    """
    statuses = Statuses()
    wanted: dict[Identifier, set[str]] = {"email": set(), "phone_number": set()}
    needed: dict[Identifier, set[str]] = {"email": set(), "phone_number": set()}
    for person in imported:
        for channel, value, statement in person.unsure(mode):
            identifier, normalised = key_of(channel, value)
            wanted[identifier].add(normalised)
            if statement.meaning == "subscribe":
                needed[identifier].add(normalised)
    for identifier, values in wanted.items():
        statuses.read(klaviyo, identifier, sorted(values), stop)
    patiently(klaviyo, statuses, {identifier: sorted(values) for identifier, values in needed.items()}, stop)
    return statuses


def plan_person(plan: Plan, person: Person, mode: Mode, statuses: Statuses, ledger: Ledger) -> None:
    """Decides on each statement of a person: settled at once, or put into the plan."""
    presents: dict[Channel, Present] = {}
    unseen: set[Channel] = set()
    for channel, value, statement in person.unsure(mode):
        seen = statuses.of(channel, value)
        presents[channel] = seen or Present()
        if seen is None and statement.meaning == "subscribe":
            unseen.add(channel)
    unsubscribes: dict[Channel, datetime | None] = {}
    subscribes: dict[Channel, datetime | None] = {}
    for channel, statement in person.statements.items():
        action = decide(statement, presents.get(channel, Present()), mode)
        if channel in unseen:
            ledger.settle(person.row, channel, "unknown", reason("consent_unseen"))
        elif action == "unsubscribe":
            unsubscribes[channel] = None
        elif action == "subscribe":
            subscribes[channel] = statement.at
        else:
            fate, code = SETTLED[action]
            unreadable = action == "guard" and presents[channel].status == "unknown"
            ledger.settle(person.row, channel, fate, reason("consent_unreadable" if unreadable else code) if code else None)
    if unsubscribes:
        plan.unsubscribes.append(person.ask(unsubscribes))
    if subscribes:
        plan_subscribes(plan, person, subscribes, presents, ledger)


def plan_subscribes(
    plan: Plan, person: Person, subscribes: dict[Channel, datetime | None], presents: Mapping[Channel, Present], ledger: Ledger
) -> None:
    """Puts a person's subscribes into one call, since Klaviyo ignores a second one within 30 minutes.

    When some have dates and some have none, all go without: with made-up dates the undated ones would escape double opt-in. The
    dated ones were compared with what Klaviyo holds before. If that could not be read, they go alone, for Klaviyo to compare.
    """
    undated: list[Channel] = [channel for channel, at in subscribes.items() if at is None]
    dated: list[Channel] = [channel for channel, at in subscribes.items() if at is not None]
    if not undated:
        plan.dated.append(person.ask(subscribes))
        return
    if any(presents.get(channel, Present()).status == "unknown" for channel in dated):
        for channel in undated:
            ledger.settle(person.row, channel, "refused", reason("consent_mixed"))
        plan.dated.append(person.ask({channel: subscribes[channel] for channel in dated}))
        return
    ledger.undated.update((person.row, channel) for channel in dated)
    plan.undated.append(person.ask(dict.fromkeys(subscribes)))


def reason(code: str) -> Reason:
    """A reason of the catalogue, in our own words."""
    assert code in CONSENT_CODES
    return Reason(code, None, "")
