"""What Klaviyo shows of consent after it was sent: confirmed, not yet, or the opposite of an opt-out, with patience that ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from consenting_klaviyo import ADA, BOB, EARLIER, IN, IN_MAY, OUT, PHONE, UNSUBSCRIBE, Consenting, outcome, profile
from scripted_klaviyo import Asked, Says, Scripted, quick, serving

from klaviyo_sync.core.consent_counts import CONSENT_FATES, ConsentCounts
from klaviyo_sync.core.consent_result import ConsentOutcome, ReadBack, sent_statements, stated_channels
from klaviyo_sync.klaviyo.read_back import LONGER, WAITS, read_back

SINCE = datetime(2026, 6, 1, 12, tzinfo=UTC)
MAIL, TEXTS = "email_marketing", "sms_marketing"


@dataclass
class Slow(Consenting):
    """Carries a call out once it was asked about profiles so many times; `deaf` takes calls and never carries them out."""

    after: int = 0
    deaf: bool = False
    looks: int = 0
    waiting: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        if asked.method != "GET":
            self.waiting.append(asked)
            return Says(202)
        self.looks += 1
        if self.looks > self.after and not self.deaf:
            for call in self.waiting:
                super().__call__(call)
            self.waiting.clear()
        return super().__call__(asked)


def seen(
    script: Consenting, rows: list[dict[str, Any]], *, double_opt_in: bool = False, tables: int = 1
) -> tuple[list[ReadBack], Scripted, float]:
    """What is read back of statements that were all sent, the server, and the seconds that were waited."""
    given = outcome(rows).rows
    fates = pa.array([0] * len(rows)).to_numpy().reshape(-1, 1).repeat(len(stated_channels(given)), 1).astype("uint8")
    sent = sent_statements(ConsentOutcome(given, stated_channels(given), fates))
    assert CONSENT_FATES[0] == "sent"
    with serving(script) as server, quick(server.url) as (klaviyo, passing):
        found = list(read_back(klaviyo, [sent] * tables, SINCE, double_opt_in=double_opt_in))
    return found, server, passing.slept


def counted(found: list[ReadBack]) -> dict[str, tuple[int, int]]:
    """Confirmed and opposed by channel."""
    totals: dict[str, ConsentCounts] = {}
    for one in found:
        for channel, counts in one.counts(0).items():
            totals[channel] = totals.get(channel, ConsentCounts()) + counts
    return {channel: (counts.confirmed, counts.opt_outs_opposed) for channel, counts in totals.items()}


def test_what_is_shown_at_once_is_read_once() -> None:
    """Statements that Klaviyo shows cost one read for a hundred people, and no wait."""
    people = [f"p{number}@shop.example" for number in range(250)]
    script = Consenting([profile(one, email_marketing="UNSUBSCRIBED") for one in people])
    found, server, slept = seen(script, [{"email": one, MAIL: OUT} for one in people])
    assert (counted(found), len(server.asked), slept) == ({MAIL: (250, 0)}, 3, 0)
    assert found[0].requests == 3


def test_a_slow_klaviyo_is_waited_for() -> None:
    """What Klaviyo shows late is confirmed late; only who is missing is read again."""
    script = Slow([profile(ADA, email_marketing=("SUBSCRIBED", EARLIER)), profile(BOB, email_marketing="UNSUBSCRIBED")], after=3)
    script.waiting.append(Asked("POST", UNSUBSCRIBE, {}, {}, call(ADA), 0.0))
    found, server, slept = seen(script, [{"email": one, MAIL: OUT} for one in (ADA, BOB)])
    assert (counted(found), slept) == ({MAIL: (2, 0)}, pytest.approx(sum(WAITS[:3]), abs=1))
    assert [BOB in asked.query["filter"] for asked in server.asked] == [True, False, False, False]


def call(email: str) -> bytes:
    """An unsubscribe call about one person."""
    sent = {"attributes": {"email": email, "subscriptions": {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}}}
    return orjson.dumps({"data": {"attributes": {"profiles": {"data": [sent]}}}})


def test_the_opposite_of_an_opt_out() -> None:
    """Who is shown as subscribed after an opt-out is unsubscribed once more; when that does not help, it is told, after minutes."""
    script = Slow([profile(ADA, email_marketing=("SUBSCRIBED", EARLIER))], deaf=True)
    found, server, slept = seen(script, [{"email": ADA, MAIL: OUT}])
    assert (counted(found), len(server.bodies(UNSUBSCRIBE))) == ({MAIL: (0, 1)}, 1)
    assert slept == pytest.approx(sum(WAITS) + sum(LONGER), abs=1)
    assert {reason.code for reason in found[0].opposition().reasons.values()} == {"opt_out_not_shown"}


def test_an_opt_out_that_was_lost_is_sent_again() -> None:
    """An opt-out that Klaviyo took and did not carry out is confirmed by the second call."""
    script = Consenting([profile(ADA, email_marketing=("SUBSCRIBED", EARLIER))])
    found, server, _ = seen(script, [{"email": ADA, MAIL: OUT}])
    assert (counted(found), len(server.bodies(UNSUBSCRIBE))) == ({MAIL: (1, 0)}, 1)


def test_a_subscribe_that_came_since_is_not_the_opposite() -> None:
    """Who subscribed in Klaviyo after the run began made a newer statement: not confirmed, and not sent again."""
    script = Slow([profile(ADA, email_marketing=("SUBSCRIBED", "2026-06-01T12:00:30Z"))], deaf=True)
    found, server, _ = seen(script, [{"email": ADA, MAIL: OUT}])
    assert (counted(found), server.bodies(UNSUBSCRIBE)) == ({MAIL: (0, 0)}, [])


def test_people_who_are_not_shown() -> None:
    """Of who is not shown, or as never subscribed, nothing is confirmed; after the wait they are unsubscribed once more, in one call."""
    found, server, slept = seen(Slow([profile(BOB)], deaf=True), [{"email": one, MAIL: OUT} for one in (ADA, BOB)])
    assert (counted(found), len(server.bodies(UNSUBSCRIBE))) == ({MAIL: (0, 0)}, 1)
    assert slept == pytest.approx(sum(WAITS), abs=1)


@pytest.mark.parametrize(("said", "double_opt_in", "waits"), [(IN, True, False), (IN, False, True), (IN_MAY, True, True)])
def test_confirmations_are_not_waited_for(said: tuple[str, Any], double_opt_in: bool, waits: bool) -> None:  # noqa: FBT001
    """Nobody waits for a person to confirm a double opt-in; subscribes that need none are waited for."""
    found, _, slept = seen(Slow([profile(ADA)], deaf=True), [{"email": ADA, MAIL: said}], double_opt_in=double_opt_in)
    assert (counted(found), slept > 0) == ({MAIL: (0, 0)}, waits)


def test_a_date_that_was_not_sent_is_not_waited_for() -> None:
    """A dated subscribe that went out without its date, beside an undated one, needs the person's confirmation as well."""
    given = outcome([{"email": ADA, "phone_number": PHONE, MAIL: IN, TEXTS: IN_MAY}]).rows
    fates = np.full((1, 2), CONSENT_FATES.index("sent"), np.uint8)
    sent = sent_statements(ConsentOutcome(given, stated_channels(given), fates, undated=frozenset({(0, TEXTS)})))
    with serving(Slow([profile(ADA, PHONE)], deaf=True)) as server, quick(server.url) as (klaviyo, passing):
        list(read_back(klaviyo, [sent], SINCE, double_opt_in=True))
    assert passing.slept == 0


def test_the_patience_of_a_run_is_one() -> None:
    """A run with many people waits as long as one with few: what waits later has had its time."""
    _, _, slept = seen(Slow([profile(ADA)], deaf=True), [{"email": ADA, MAIL: OUT}], tables=4)
    assert slept == pytest.approx(sum(WAITS), abs=1)


def test_one_read_tells_of_address_and_number() -> None:
    """Who is shown by e-mail address with the number is not read by number again."""
    script = Consenting([profile(ADA, PHONE, email_marketing="UNSUBSCRIBED", sms_marketing="UNSUBSCRIBED")])
    found, server, _ = seen(script, [{"email": ADA, "phone_number": PHONE, MAIL: OUT, TEXTS: OUT}])
    assert (counted(found), len(server.asked)) == ({MAIL: (1, 0), TEXTS: (1, 0)}, 1)
