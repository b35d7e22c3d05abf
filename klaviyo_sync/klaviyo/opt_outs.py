"""Opt-outs of windows that stopped themselves: which of them are new to Klaviyo, and their way out without their profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

import pyarrow as pa

from klaviyo_sync.core.consent_result import ConsentOutcome, Ledger
from klaviyo_sync.core.decisions import Present, Statement, decide
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import SETTLED, Person, people, reason
from klaviyo_sync.klaviyo.statuses import Statuses, key_of
from klaviyo_sync.klaviyo.subscriptions import UNSUBSCRIBES, Calls

MODE = "guard"  # it decides about subscribes only


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
            found[channel] += is_new(statement, statuses.of(channel, key_of(channel, person.identifiers)))
    return found, statuses.requests


def send_opt_outs(klaviyo: Klaviyo, rows: pa.Table, until: datetime) -> ConsentOutcome:
    """What became of the opt-outs of some rows whose profiles are not imported. Subscribes are left alone.

    They are sent each time that their window is tried, so Klaviyo is read first: who subscribed there after `until`, the window's end,
    is not unsubscribed again by a statement without a date.

    Raises:
        Refused: The key or its scopes are not good.
        Unavailable: Klaviyo did not answer in time.
    """
    ledger = Ledger(rows)
    leaving = [person.leaving() for person in people(ledger)]
    statuses = read(klaviyo, leaving, ledger.channels)
    ledger.requests += statuses.requests
    asks = []
    for person in leaving:
        going: dict[Channel, datetime | None] = {}
        for channel, statement in person.statements.items():
            present = statuses.of(channel, key_of(channel, person.identifiers)) or Present()
            dated = statement if statement.at or present.status != "SUBSCRIBED" else statement._replace(at=until)
            line = decide(dated, present, MODE)
            if line.action == "unsubscribe":
                going[channel] = None
            else:
                ledger.settle(person.row, channel, SETTLED[line.action], reason(line.code) if line.code else None)
        if going:
            asks.append(person.ask(going))
    Calls(klaviyo, ledger).send(UNSUBSCRIBES, asks)
    return ledger.outcome()


def read(klaviyo: Klaviyo, leaving: Collection[Person], channels: Collection[Channel]) -> Statuses:
    """What Klaviyo holds about the people."""
    statuses = Statuses(channels)
    statuses.read(klaviyo, (key_of(channel, person.identifiers) for person in leaving for channel in person.statements))
    return statuses


def is_new(statement: Statement, present: Present | None) -> bool:
    """Whether an opt-out would change what Klaviyo holds. Of who is not shown, or cannot be looked up, it would."""
    if present is None:
        return True
    if present.status == "UNSUBSCRIBED" or present.suppressions:
        return False
    return decide(statement, present, MODE).action == "unsubscribe"
