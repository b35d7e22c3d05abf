"""Opt-outs that go out without their profiles: of windows that stopped themselves, and of rows that stay behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

import pyarrow as pa

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.consent_result import ConsentOutcome, Ledger, done_before
from klaviyo_sync.core.decisions import Present, Statement
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import SETTLED, Person, decide_opt_out, people, reason
from klaviyo_sync.klaviyo.statuses import Statuses, as_given, key_of
from klaviyo_sync.klaviyo.subscriptions import UNSUBSCRIBES, Ask, Calls


def new_opt_outs(klaviyo: Klaviyo, rows: pa.Table, channels: Collection[Channel]) -> tuple[Counter[Channel], int]:
    """How many of some rows' opt-outs, by channel, are of people whom Klaviyo does not show as unsubscribed or suppressed; the requests.

    Reads a hundred people a request. Errors as for `Klaviyo.request`.
    """
    ledger = Ledger(rows)
    leaving = [person.leaving(channels) for person in people(ledger)]
    statuses = read(klaviyo, leaving, ledger.channels)
    found: Counter[Channel] = Counter()
    for person in leaving:
        for channel, statement in person.statements.items():
            found[channel] += is_new(statement, statuses.all_of(channel, key_of(channel, person.identifiers)))
    return found, statuses.requests


def send_opt_outs(klaviyo: Klaviyo, rows: pa.Table, until: datetime | None = None) -> ConsentOutcome:
    """What became of the opt-outs of some rows whose profiles are not imported. Subscribes, and what was sent before, are left alone.

    An opt-out without a date goes out unread, unless `until` is given, the end of a window that is tried again and again: who
    subscribed in Klaviyo after it is then left alone.

    Raises:
        Refused: The key or its scopes are not good.
        Unavailable: Klaviyo did not answer in time.
    """
    ledger = Ledger(rows)
    waiting = {channel: done_before(rows, channel) == 0 for channel in ledger.channels}
    everybody = list(people(ledger))
    leaving = [person.leaving([channel for channel in ledger.channels if waiting[channel][person.row]]) for person in everybody]
    statuses = read(klaviyo, leaving, ledger.channels, undated=until is not None)
    ledger.requests += statuses.requests
    asks = plan_opt_outs(leaving, statuses, ledger, until)
    Calls(klaviyo, ledger).send(UNSUBSCRIBES, asks)
    return ledger.outcome()


def foresee_opt_outs(klaviyo: Klaviyo, rows: pa.Table) -> ConsentOutcome:
    """What would become of the opt-outs of some rows whose profiles are not imported: `sent` are those that would be. Writes nothing."""
    ledger = Ledger(rows)
    leaving = [person.leaving() for person in people(ledger)]
    for ask in plan_opt_outs(leaving, read(klaviyo, leaving, ledger.channels, undated=False), ledger):
        for channel in ask.channels:
            ledger.settle(ask.row, channel, "sent")
    return ledger.outcome()


def plan_opt_outs(leaving: Collection[Person], statuses: Statuses, ledger: Ledger, until: datetime | None = None) -> list[Ask]:
    """The people to unsubscribe, each with all their channels. The other opt-outs are settled."""
    asks = []
    for person in leaving:
        going: dict[Channel, datetime | None] = {}
        for channel, statement in person.statements.items():
            unread = statement.at is None and until is None
            presents = [] if unread else statuses.all_of(channel, key_of(channel, person.identifiers))
            subscribed = any(present.status == "SUBSCRIBED" for present in presents)
            line = decide_opt_out(statement._replace(at=statement.at or until) if subscribed else statement, presents)
            if line.action == "unsubscribe":
                going[channel] = None
            else:
                ledger.settle(person.row, channel, SETTLED[line.action], reason(line.code) if line.code else None)
        if going:
            asks.extend(person.apart(going, statuses))
    return asks


def read(klaviyo: Klaviyo, leaving: Collection[Person], channels: Collection[Channel], *, undated: bool = True) -> Statuses:
    """What Klaviyo holds about the people; without `undated` only about those whose opt-outs have dates, or are about two identifiers."""
    statuses = Statuses(channels)
    keys = (
        as_given(channel, person.identifiers)
        for person in leaving
        for channel, statement in person.statements.items()
        if undated or statement.at is not None or len({CHANNEL_IDENTIFIER[other] for other in person.statements}) > 1
    )
    statuses.read(klaviyo, keys)
    return statuses


def is_new(statement: Statement, presents: Collection[Present]) -> bool:
    """Whether an opt-out would change what Klaviyo holds. Of who is not shown, or cannot be looked up, it would."""
    open_to = [present for present in presents if present.status != "UNSUBSCRIBED" and not present.suppressions]
    return not presents or (bool(open_to) and decide_opt_out(statement, open_to).action == "unsubscribe")
