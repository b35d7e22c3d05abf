"""Consent of a batch, once it is known which profiles are in Klaviyo: statements are decided on, sent, and every one accounted for.

Unsubscribes go before subscribes; subscribes with and without dates in calls of their own, since `historical_import` is a matter
of the whole call (https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.consent_counts import ConsentFate
from klaviyo_sync.core.consent_reasons import CONSENT_CODES
from klaviyo_sync.core.consent_result import (
    BIRTH,
    DONE,
    ConsentOutcome,
    Done,
    Ledger,
    dated_column,
    done_before,
    opts_out,
    stated_column,
    zoneless_column,
)
from klaviyo_sync.core.decisions import Action, Mode, Present, Rule, Statement, decide, needs_status
from klaviyo_sync.core.prepared import WINDOW
from klaviyo_sync.core.result import FATES, Fate, Outcome, Reason
from klaviyo_sync.core.sync import CHANNELS, Channel, Consent
from klaviyo_sync.klaviyo.attribution import normal
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.list_members import join_list
from klaviyo_sync.klaviyo.statuses import IDENTIFIERS, Key, Statuses, as_given, key_of, keys_of, patiently
from klaviyo_sync.klaviyo.subscriptions import DATED_SUBSCRIBES, SUBSCRIBES, UNSUBSCRIBES, Ask, Calls

WITHOUT_PROFILE: dict[Fate, ConsentFate] = {"refused": "refused", "failed": "refused", "unknown": "unknown"}
SETTLED: dict[Action, ConsentFate] = {"already": "already", "nothing": "nothing", "guard": "guarded", "skip": "skipped"}
CODES_BEFORE = {"skipped": "consent_older"}  # the reason of what was settled before the import
OPT_OUTS_FIRST: tuple[Action, ...] = ("unsubscribe", "skip", "already")


@dataclass(frozen=True)
class Person:
    """A row that states something: its identifiers, date of birth and statements. `left_out` are identifiers that its profile lacks.

    The opt-outs for the channels in `again` were sent before the import, and are sent once more whatever Klaviyo shows. `imported` says
    that a profile with the other identifiers was imported, so that one call may name them together.
    """

    row: int
    identifiers: Mapping[str, str]
    birth: str | None
    statements: Mapping[Channel, Statement]
    again: Collection[Channel] = ()
    left_out: frozenset[str] = frozenset()
    imported: bool = True

    def apart(self, channels: Mapping[Channel, datetime | None], statuses: Statuses | None = None) -> Iterator[Ask]:
        """The person in one call about some channels, or in one for each identifier where they may be different people's.

        They may be where the profile lacks an identifier, or where `statuses` do not show both at one profile.
        """
        alone = self.left_out
        if statuses is not None and not self.one_profile(statuses, {CHANNEL_IDENTIFIER[channel] for channel in channels}):
            alone = frozenset(CHANNEL_IDENTIFIER.values())
        for identifier in (None, *sorted(alone)):
            own: dict[Channel, datetime | None] = {
                channel: at
                for channel, at in channels.items()
                if (CHANNEL_IDENTIFIER[channel] if CHANNEL_IDENTIFIER[channel] in alone else None) == identifier
            }
            if own:
                yield self.ask(own)

    def one_profile(self, statuses: Statuses, names: Collection[str]) -> bool:
        """Whether some of the person's identifiers can be one profile's in Klaviyo: nobody has them, one profile has all, or lacks some.

        A profile that lacks one must not be known to be another person's: named together, that one would get somebody else's address.
        """
        keys = dict(key for key in keys_of(self.identifiers) if key[0] in names)
        profiles = {id_: shown for key in keys.items() for id_, shown in statuses.people.get(key, {}).items()}
        if len(keys) < 2 or not profiles:  # noqa: PLR2004 - one identifier is one profile's
            return True
        [shown, *others] = profiles.values()
        known = {name: normal(name, self.identifiers[name]) for name in IDENTIFIERS if name in self.identifiers}
        lacks = any(name not in shown.identifiers for name in keys)
        same = all(known.get(name) == value for name, value in shown.identifiers.items() if name in keys or lacks)
        return not others and (same or self.identifiers.get("id") == shown.id)

    def leaving(self, channels: Collection[Channel] = CHANNELS) -> Person:
        """The person with the opt-outs for these channels alone."""
        opt_outs = {name: said for name, said in self.statements.items() if said.meaning == "unsubscribe" and name in channels}
        return replace(self, statements=opt_outs)

    def unsure(self, mode: Mode) -> Iterator[tuple[Channel, Key, Statement]]:
        """The channels whose present status must be read, with the key to find it by."""
        apart = not self.imported and len({CHANNEL_IDENTIFIER[channel] for channel in self.statements}) > 1
        for channel, statement in self.statements.items():
            if apart or (channel not in self.again and needs_status(statement, mode)):
                yield channel, key_of(channel, self.identifiers), statement

    def needed(self, mode: Mode) -> list[Key]:
        """The keys without whose status a subscribe may not go out."""
        return [key for _, key, statement in self.unsure(mode) if statement.meaning == "subscribe"]

    def ask(self, channels: Mapping[Channel, datetime | None]) -> Ask:
        """The person in a call about some channels."""
        return Ask(self.row, self.identifiers, self.birth, channels)


@dataclass
class Plan:
    """What is to be sent, by kind of call."""

    unsubscribes: list[Ask] = field(default_factory=list)
    dated: list[Ask] = field(default_factory=list)
    undated: list[Ask] = field(default_factory=list)


def send_consent(
    klaviyo: Klaviyo, outcome: Outcome, consent: Consent, stop: Event | None = None, opt_outs_only: Collection[int] = ()
) -> ConsentOutcome:
    """What became of every statement of a batch, given what became of its profiles.

    Of profiles that were not imported only opt-outs are sent. Opt-outs that went out before the import (`OptOutsFirst`) go again where it
    may have changed who holds the address. A window with `unknown` statements is not done. `opt_outs_only` are the positions of windows
    that stopped themselves: their subscribes are left alone, and have no fate.

    Raises:
        Refused: The key, its scopes or the list are not good.
        Unavailable: Klaviyo did not answer in time: nothing is known of the rest of the batch.
    """
    ledger = Ledger(outcome.rows)
    stating = []
    windows = outcome.rows[WINDOW].to_numpy()
    done: dict[Channel, np.ndarray] = {channel: done_before(outcome.rows, channel) for channel in ledger.channels}
    for everything in people(ledger):
        fate = FATES[outcome.fates[everything.row]]
        left = everything.leaving() if windows[everything.row] in opt_outs_only else everything
        before: dict[Channel, Done] = {channel: DONE[codes[left.row]] for channel, codes in done.items()}
        person = settled_before(left, before, fate, ledger)
        if fate == "imported":
            stating.append(without_lost_subscribes(person, outcome.left_out(person.row), ledger))
            continue
        leaving = person.leaving()
        for channel in person.statements.keys() - leaving.statements.keys():
            ledger.settle(person.row, channel, WITHOUT_PROFILE[fate], reason("consent_without_profile"))
        stating.append(replace(leaving, imported=False))
    statuses = read_statuses(klaviyo, stating, consent.undated, ledger.channels, stop)
    ledger.requests += statuses.requests
    plan = Plan()
    for person in stating:
        plan_person(plan, person, consent.undated, statuses, ledger)
    calls = Calls(klaviyo, ledger, consent.list_id, consent.source, stop)
    calls.send(UNSUBSCRIBES, plan.unsubscribes)
    calls.send(DATED_SUBSCRIBES, plan.dated)
    calls.send(SUBSCRIBES, plan.undated)
    if consent.list_id is not None:
        left_out, requests = join_list(klaviyo, consent.list_id, joining(stating, ledger, statuses), stop)
        ledger.not_joined.update(left_out)
        ledger.requests += requests
    return ledger.outcome()


def joining(stating: Collection[Person], ledger: Ledger, statuses: Statuses) -> dict[str, tuple[int, Channel]]:
    """Who is subscribed already and joins the list, by Klaviyo id. Whoever opts out of a channel joins none."""
    found: dict[str, tuple[int, Channel]] = {}
    leaving = set(np.flatnonzero(opts_out(ledger.rows)).tolist())
    for person in stating:
        if person.row in leaving:
            continue
        for channel in person.statements:
            if ledger.fate(person.row, channel) == "already":
                for id_, shown in statuses.people.get(key_of(channel, person.identifiers), {}).items():
                    if shown.presents[channel].status == "SUBSCRIBED":
                        found[id_] = person.row, channel
    return found


def settled_before(person: Person, done: Mapping[Channel, Done], fate: Fate, ledger: Ledger) -> Person:
    """The person without the statements that were settled before the import, and without those that no import gave a reason to repeat."""
    left: dict[Channel, Statement] = {}
    again: list[Channel] = []
    for channel, statement in person.statements.items():
        before = done[channel]
        if before == "" or (before == "again" and fate in ("imported", "unknown")):
            left[channel] = statement
            if before:
                again.append(channel)
        else:
            code = CODES_BEFORE.get(before)
            ledger.settle(person.row, channel, "sent" if before == "again" else before, reason(code) if code else None)
    return replace(person, statements=left, again=again)


def without_lost_subscribes(person: Person, left_out: frozenset[str], ledger: Ledger) -> Person:
    """The person without subscribes for identifiers that the profile was imported without; opt-outs for them go out by themselves."""
    if not left_out:
        return person
    statements: dict[Channel, Statement] = {}
    for channel, statement in person.statements.items():
        if CHANNEL_IDENTIFIER[channel] in left_out and statement.meaning == "subscribe":
            ledger.settle(person.row, channel, "refused", reason("consent_without_address"))
        else:
            statements[channel] = statement
    return replace(person, statements=statements, left_out=left_out)


def people(ledger: Ledger) -> Iterator[Person]:
    """The rows that state something, each with its statements."""
    rows = ledger.rows
    named = {name: rows[name].to_pylist() for name in ("id", *IDENTIFIERS) if name in rows.column_names}
    births: list[str | None] = rows[BIRTH].to_pylist() if BIRTH in rows.column_names else [None] * len(rows)
    stated = {channel: rows[stated_column(channel)].cast(pa.string()).to_pylist() for channel in ledger.channels}
    dates = {channel: rows[dated_column(channel)].to_pylist() for channel in ledger.channels}
    zoneless = {channel: rows[zoneless_column(channel)].to_pylist() for channel in ledger.channels}
    for row in range(len(rows)):
        statements: dict[Channel, Statement] = {
            channel: Statement(stated[channel][row], dates[channel][row], zoneless[channel][row])
            for channel in ledger.channels
            if stated[channel][row]
        }
        if statements:
            yield Person(row, {name: cells[row] for name, cells in named.items() if cells[row] is not None}, births[row], statements)


def decide_opt_out(statement: Statement, presents: Sequence[Present]) -> Rule:
    """What becomes of an opt-out, given what everybody with the address holds: it goes out as long as one of them can be written to."""
    lines = [decide(statement, one, "guard") for one in presents or [Present()]]
    return min(lines, key=lambda line: OPT_OUTS_FIRST.index(line.action))


def read_statuses(
    klaviyo: Klaviyo, stating: list[Person], mode: Mode, channels: Collection[Channel], stop: Event | None = None
) -> Statuses:
    """What must be known of Klaviyo before anything is sent.

    Subscribes wait until Klaviyo shows the imported profile; an opt-out goes out without. Of who is not shown then, it is asked whether
    the profile is there all the same, without the address or number.
    """
    statuses = Statuses(channels)
    statuses.read(klaviyo, (as_given(channel, one.identifiers) for one in stating for channel, _, _ in one.unsure(mode)), stop)
    missing = {person.row: [key for key in person.needed(mode) if not statuses.asked(key)] for person in stating}
    patiently(klaviyo, statuses, {key: person.identifiers[key[0]] for person in stating for key in missing[person.row]}, stop)
    unseen = [person for person in stating if not all(map(statuses.asked, missing[person.row]))]
    statuses.read(klaviyo, (key for person in unseen for key in keys_of(person.identifiers)), stop)
    return statuses


def plan_person(plan: Plan, person: Person, mode: Mode, statuses: Statuses, ledger: Ledger) -> None:
    """Decides on each statement of a person: settled at once, or put into the plan."""
    presents = {channel: statuses.of(channel, key) for channel, key, _ in person.unsure(mode)}
    unsubscribes: dict[Channel, datetime | None] = {}
    subscribes: dict[Channel, datetime | None] = {}
    for channel, statement in person.statements.items():
        if statement.meaning == "unsubscribe":
            unread = channel in person.again or statement.at is None
            line = decide_opt_out(statement, [] if unread else statuses.all_of(channel, key_of(channel, person.identifiers)))
            if line.action == "unsubscribe":
                unsubscribes[channel] = None
            else:
                ledger.settle(person.row, channel, SETTLED[line.action], reason(line.code) if line.code else None)
            continue
        present = presents.get(channel, Present())
        if present is None:
            shown = any(key in statuses.people for key in keys_of(person.identifiers))
            fate: ConsentFate = "refused" if shown else "unknown"
            ledger.settle(person.row, channel, fate, reason("consent_without_address" if shown else "consent_unseen"))
            continue
        line = decide(statement, present, mode)
        if line.action == "subscribe":
            subscribes[channel] = statement.at
        else:
            ledger.settle(person.row, channel, SETTLED[line.action], reason(line.code) if line.code else None)
    if unsubscribes:
        plan.unsubscribes.extend(person.apart(unsubscribes, None if person.imported else statuses))
    if subscribes:
        plan_subscribes(plan, person, subscribes, ledger)


def plan_subscribes(plan: Plan, person: Person, subscribes: dict[Channel, datetime | None], ledger: Ledger) -> None:
    """Puts a person's subscribes into one call, since Klaviyo ignores a second one within 30 minutes.

    When some have dates and some have none, all go without: with made-up dates the undated ones would escape double opt-in. The
    dated ones were compared with what Klaviyo holds before.
    """
    dated: list[Channel] = [channel for channel, at in subscribes.items() if at is not None]
    if len(dated) == len(subscribes):
        plan.dated.append(person.ask(subscribes))
        return
    ledger.undated.update((person.row, channel) for channel in dated)
    plan.undated.append(person.ask(dict.fromkeys(subscribes)))


def reason(code: str) -> Reason:
    """A reason of the catalogue, in our own words."""
    assert code in CONSENT_CODES
    return Reason(code, None, "")
