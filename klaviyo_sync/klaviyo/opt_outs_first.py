"""Opt-outs that go out before their rows are imported, so that no import which fails keeps one back.

What is sent when, for each opt-out of a batch that is about to be imported:

- Klaviyo shows the address or number: the opt-out goes out now. It goes out again after the import, unless the profile that was shown has
  all identifiers of the row and no others that the sync maps: only then is it certain that neither the row, nor another one of the
  profile that has a new address, changes who holds the address.
- Klaviyo shows nobody with any identifier of the row: the opt-out goes out now, in one call that names e-mail address and phone number, so
  that no second profile comes of it. It goes out again after the import, since it is not documented what Klaviyo does about an opt-out of
  somebody it does not know.
- Klaviyo knows the person by another identifier only: the opt-out waits for the import, which gives the person the new address. To send it
  before would make a second profile with that address. It goes out all the same when the import does not happen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.consent_result import CONSENT, DONE, Done, Ledger, done_before, done_column, opts_out, stated_channels
from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import Outcome
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import Person, decide_opt_out, people
from klaviyo_sync.klaviyo.statuses import IDENTIFIERS, Identifier, Statuses, as_given, key_of, keys_of
from klaviyo_sync.klaviyo.subscriptions import UNSUBSCRIBES, Ask, Calls

NUMBER = f"{CONSENT}batch"
IN_CALLS = ("email", "phone_number")

Verdicts = dict[tuple[int, Channel], Done]


@dataclass
class _Open:
    """A batch under way: its opt-outs that wait for the import, and how many of its rows have no outcome yet."""

    waiting: pa.Table
    left: int


class OptOutsFirst:
    """The opt-outs of the batches of a run. It keeps those that wait for their import, for as long as their batch is under way."""

    def __init__(self, klaviyo: Klaviyo) -> None:
        self._klaviyo = klaviyo
        self._open: dict[int, _Open] = {}
        self._batches = 0

    def send(self, batch: Batch) -> tuple[Batch, int]:
        """The batch, to be imported, with what was done about its opt-outs (`done_column`); and the requests that it took.

        Raises:
            Refused: The key or its scopes are not good.
            Unavailable: Klaviyo did not answer in time.
        """
        leaving = opts_out(batch.rows)
        if not leaving.any():
            return batch, 0
        ledger = Ledger(batch.rows.filter(pa.array(leaving)))
        done, requests = sent_first(self._klaviyo, ledger)
        rows, positions = batch.rows, np.flatnonzero(leaving)
        for channel in stated_channels(rows):
            codes = np.zeros(len(rows), np.int8)
            codes[positions] = [DONE.index(done.get((row, channel), "")) for row in range(len(positions))]
            rows = rows.append_column(done_column(channel), pa.array(codes))
        self._batches += 1
        rows = rows.append_column(NUMBER, pa.repeat(pa.scalar(self._batches, pa.int32()), len(rows)))
        self._open[self._batches] = _Open(rows.filter(pa.array(waits(rows))), len(rows))
        return replace(batch, rows=rows), requests

    def answered(self, outcome: Outcome) -> None:
        """Takes note that the opt-outs of these rows are seen to from now on by what became of their import."""
        if NUMBER in outcome.rows.column_names and len(outcome.rows):
            number = outcome.rows[NUMBER][0].as_py()
            self._open[number].left -= len(outcome.rows)
            if not self._open[number].left:
                del self._open[number]

    def waiting(self) -> Iterator[pa.Table]:
        """The rows of batches under way whose opt-outs wait for an import that will not happen any more."""
        yield from (batch.waiting for batch in self._open.values() if len(batch.waiting))


def waits(rows: pa.Table) -> np.ndarray:
    """Which rows opt out of a channel without anything done about it yet."""
    found = np.zeros(len(rows), bool)
    for channel in stated_channels(rows):
        found |= opts_out(rows, [channel]) & (done_before(rows, channel) == 0)
    return found


def sent_first(klaviyo: Klaviyo, ledger: Ledger) -> tuple[Verdicts, int]:
    """What was done, by row of the ledger and channel, about the opt-outs that need not wait for the import; and the requests."""
    leaving = [person.leaving() for person in people(ledger)]
    statuses = Statuses(ledger.channels)
    statuses.read(klaviyo, (as_given(channel, one.identifiers) for one in leaving for channel in one.statements))
    absent = [one for one in leaving if not all(statuses.asked(key_of(channel, one.identifiers)) for channel in one.statements)]
    statuses.read(klaviyo, ((name, one.identifiers[name]) for one in absent for name in IDENTIFIERS if name in one.identifiers))
    mapped: list[Identifier] = [name for name in IDENTIFIERS if name in ledger.rows.column_names]
    done: Verdicts = {}
    asks = []
    for person in leaving:
        if is_new(person, statuses):
            done |= dict.fromkeys(((person.row, channel) for channel in person.statements), "again")
            asks.append(whole_call(person))
        elif going := decided(person, statuses, done, mapped):
            asks.extend(person.apart(going, statuses))
    Calls(klaviyo, ledger).send(UNSUBSCRIBES, asks)
    # What Klaviyo refused is sent again after the import, and refused or not by what it says then.
    taken = ledger.outcome()
    places = {channel: position for position, channel in enumerate(taken.channels)}
    for ask in asks:
        for channel in ask.channels:
            if taken.fates[ask.row, places[channel]] != 0:
                done.pop((ask.row, channel), None)
    return done, statuses.requests + ledger.requests


def is_new(person: Person, statuses: Statuses) -> bool:
    """Whether Klaviyo shows nobody with any identifier of a person. A Klaviyo id is somebody's."""
    return "id" not in person.identifiers and not any(map(statuses.asked, keys_of(person.identifiers)))


def whole_call(person: Person) -> Ask:
    """A person in one call for all channels, with all identifiers that a call takes."""
    named = {name: person.identifiers[name] for name in IN_CALLS if name in person.identifiers}
    return replace(person.ask(dict.fromkeys(person.statements)), beside=named)


def decided(person: Person, statuses: Statuses, done: Verdicts, mapped: Collection[Identifier]) -> dict[Channel, datetime | None]:
    """The channels that a person is to be unsubscribed from now. Writes down what is done about each statement that need not wait.

    `mapped` are the identifiers that rows of the sync can have.
    """
    going: dict[Channel, datetime | None] = {}
    for channel, statement in person.statements.items():
        key = key_of(channel, person.identifiers)
        if not statuses.asked(key):
            continue
        stays = holds_on(person.identifiers, statuses, channel, mapped)
        # An opt-out without a date is said now: sent again, it keeps older subscribes away.
        action = decide_opt_out(statement, statuses.all_of(channel, key)).action if statement.at else "unsubscribe"
        if action == "unsubscribe":
            going[channel] = None
            done[person.row, channel] = "sent" if stays else "again"
        elif stays:
            done[person.row, channel] = "already" if action == "already" else "skipped"
    return going


def holds_on(identifiers: Mapping[str, str], statuses: Statuses, channel: Channel, mapped: Collection[Identifier]) -> bool:
    """Whether the imports of a run cannot change who holds an address: one profile has it, and no identifiers but those of the row."""
    profiles = list(statuses.people.get(key_of(channel, identifiers), {}).values())
    own: dict[Identifier, str] = dict(keys_of(identifiers))
    if len(profiles) != 1 or ("id" in identifiers and identifiers["id"] != profiles[0].id):
        return False
    return all(profiles[0].identifiers.get(name) == own.get(name) for name in (*own, *mapped))
