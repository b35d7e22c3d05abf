"""What Klaviyo shows of consent after it was sent: read back a hundred people at a time, with patience that has an end.

Klaviyo's consent calls answer with nothing and have no job to follow
(https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles): a profile that shows the new status is the only proof. One to three
minutes were seen. A run that waits for it here also keeps the next one from reading statuses that are about to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.consent_result import Ledger, ReadBack
from klaviyo_sync.core.decisions import Present, Statement
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.attribution import normal
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import Person, people
from klaviyo_sync.klaviyo.statuses import Statuses, as_given, key_of
from klaviyo_sync.klaviyo.subscriptions import UNSUBSCRIBES, Calls

WAITS = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between two looks for whatever is not shown yet."""

LONGER = (60.0, 60.0)
"""Further ones where Klaviyo shows the opposite of an opt-out. Before the first of them the opt-out is sent again."""

Place = tuple[int, Channel]


class Patience:
    """The waits that are left of a run's; they are shared by everything that the run reads back."""

    def __init__(self) -> None:
        self.waits = list(WAITS)
        self.longer = list(LONGER)


def read_back(klaviyo: Klaviyo, tables: Iterable[pa.Table], since: datetime, *, double_opt_in: bool) -> Iterator[ReadBack]:
    """What Klaviyo shows of the statements of some tables (as `sent_statements` gives them), one table after the other.

    Subscribes that Klaviyo shows from after `since`, the start of the run, do not speak against an opt-out: the person made them. With
    `double_opt_in` nobody waits for undated subscribes, which need the person's confirmation. Errors as for `Klaviyo.request`.
    """
    patience = Patience()
    for rows in tables:
        yield _of_table(klaviyo, rows, patience, since, double_opt_in=double_opt_in)


def _of_table(klaviyo: Klaviyo, rows: pa.Table, patience: Patience, since: datetime, *, double_opt_in: bool) -> ReadBack:
    ledger = Ledger(rows)
    left: dict[Place, tuple[Person, Statement]] = {
        (person.row, channel): (person, said) for person in people(ledger) for channel, said in person.statements.items()
    }
    shape = len(rows), len(ledger.channels)
    confirmed, opposed = np.zeros(shape, bool), np.zeros(shape, bool)
    requests = 0
    again = True
    while True:
        statuses = Statuses(ledger.channels)
        look_up(klaviyo, statuses, left)
        requests += statuses.requests
        against: dict[Place, Person] = {}
        waiting = False
        for (row, channel), (person, said) in list(left.items()):
            presents = statuses.all_of(channel, key_of(channel, person.identifiers))
            if shows(said, presents):
                confirmed[row, ledger.channels.index(channel)] = True
                del left[row, channel]
            elif contradicts(said, presents, since):
                against[row, channel] = person
            else:
                waiting |= said.meaning == "unsubscribe" or said.at is not None or not double_opt_in
        if (waiting or against) and patience.waits:
            klaviyo.pause(patience.waits.pop(0))
        elif against and patience.longer:
            if again:
                requests += send_again(klaviyo, rows, against, statuses)
                again = False
            klaviyo.pause(patience.longer.pop(0))
        else:
            break
    # An import of a later batch may have moved the address from the profile that was opted out: to another one, or to nobody.
    if last := not_shown(left, statuses) | (against if again else {}):
        requests += send_again(klaviyo, rows, last, statuses)
    for row, channel in against:
        opposed[row, ledger.channels.index(channel)] = True
    return ReadBack(rows, ledger.channels, confirmed, opposed, requests)


def look_up(klaviyo: Klaviyo, statuses: Statuses, left: Mapping[Place, tuple[Person, Statement]]) -> None:
    """Reads about some people, by e-mail address first: who is shown by it with the number is not looked up by number again."""
    people_left = [person for person, _ in left.values()]
    statuses.read(klaviyo, (("email", person.identifiers["email"]) for person in people_left if "email" in person.identifiers))
    keys = (as_given(channel, person.identifiers) for (_, channel), (person, _) in left.items())
    statuses.read(klaviyo, ((name, value) for name, value in keys if not statuses.asked((name, normal(name, value)))))


def not_shown(left: Mapping[Place, tuple[Person, Statement]], statuses: Statuses) -> dict[Place, Person]:
    """The opt-outs whose address is nobody's, or somebody's whom Klaviyo does not show as subscribed."""
    return {
        (row, channel): person
        for (row, channel), (person, said) in left.items()
        if said.meaning == "unsubscribe"
        and all(present.status != "SUBSCRIBED" for present in statuses.all_of(channel, key_of(channel, person.identifiers)))
    }


def shows(said: Statement, presents: list[Present]) -> bool:
    """Whether everybody with the address has the status that was sent, and somebody has the address."""
    wanted = "UNSUBSCRIBED" if said.meaning == "unsubscribe" else "SUBSCRIBED"
    return bool(presents) and all(present.status == wanted for present in presents)


def contradicts(said: Statement, presents: list[Present], since: datetime) -> bool:
    """Whether somebody who opted out is shown as subscribed, and not by a subscribe that was made since."""
    return said.meaning == "unsubscribe" and any(
        present.status == "SUBSCRIBED" and (present.at is None or present.at <= since) for present in presents
    )


def send_again(klaviyo: Klaviyo, rows: pa.Table, against: dict[Place, Person], statuses: Statuses) -> int:
    """Sends some opt-outs once more; the number of requests. `statuses` are what Klaviyo shows of these people."""
    ledger = Ledger(rows)
    channels: dict[int, list[Channel]] = {}
    for row, channel in against:
        channels.setdefault(row, []).append(channel)
    persons = {person.row: person for person in against.values()}
    asks = [ask for row, named in channels.items() for ask in persons[row].apart(dict.fromkeys(named), statuses)]
    Calls(klaviyo, ledger).send(UNSUBSCRIBES, asks)
    return ledger.requests
