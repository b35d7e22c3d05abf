"""Whatever people state and do, in whichever order it comes in: the newest statement wins, and nobody is brought back by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest
from api_client import Clock
from consenting_klaviyo import outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_klaviyo import quick

from how_many import examples
from klaviyo_sync.core.sync import Channel, Consent
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.sandbox import Sandbox, serve

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
CHANNELS: tuple[Channel, ...] = ("email_marketing", "sms_marketing")
CONSENT = Consent(email_marketing="e", sms_marketing="s")  # type: ignore[arg-type]


class Event(NamedTuple):
    """What happens on one day. `what`: in and out are stated by a row, dated or not; acts are the person's, or for `hold` the account's."""

    what: str
    dated: int | None = None


Days = list[dict[Channel, Event]]


class Held(NamedTuple):
    """What must hold of a channel: `in`, `out` or neither; since which day (None: not known to be the person's); suppressed since."""

    state: str = ""
    since: int | None = None
    hold: int | None = None

    @property
    def open(self) -> bool:
        """Whether the person may be written to."""
        return self.state == "in" and self.hold is None


def after(held: Held, event: Event, day: int, *, dateless: bool = False) -> Held:
    """The oracle: what must hold after an event. `dateless`: another channel of the call has no date, so this one loses its own."""
    what, dated = event
    if what == "acts in":
        return Held("in", day)
    if what in ("acts out", "acts hold"):
        return held._replace(hold=day) if what == "acts hold" else Held("out", day, held.hold)
    against = [at for at in (held.since if held.state == "out" else None, held.hold) if at is not None]
    if what == "in" and goes_in(held, dated, against):
        return Held("in", None if dateless else dated)
    newer = dated is None or held.since is None or dated > held.since or (dated == held.since and held.state == "in")
    return Held("out", day, held.hold) if what == "out" and newer else held


def goes_in(held: Held, dated: int | None, against: list[int]) -> bool:
    """Whether a stated subscribe counts: not without a date against an opt-out, not with an older one, not on a tie."""
    return held.state != "in" and (not against or (dated is not None and dated > max(against)))


WHATS = ("in", "in", "out", "acts in", "acts out", "acts hold")
LONGEST = 6
EVENTS: st.SearchStrategy[Days] = st.lists(
    st.dictionaries(
        st.sampled_from(CHANNELS),
        st.builds(
            Event,
            st.sampled_from(WHATS),
            st.one_of(st.none(), st.integers(0, LONGEST - 1)),
        ),
        min_size=1,
    ),
    min_size=1,
    max_size=LONGEST,
)


def mended(days: Days) -> Days:
    """Days on which nothing is dated after them, and texts are not suppressed."""
    return [
        {
            channel: Event(
                "acts out" if channel != "email_marketing" and what == "acts hold" else what, None if dated is None else min(dated, day - 1)
            )
            for channel, (what, dated) in events.items()
        }
        for day, events in enumerate(days, 1)
    ]


def expected(days: Days) -> dict[Channel, Held]:
    """What must hold in the end."""
    held: dict[Channel, Held] = dict.fromkeys(CHANNELS, Held())
    for day, events in enumerate(days, 1):
        for channel, event in events.items():
            held[channel] = after(held[channel], event, day) if event.what.startswith("acts") else held[channel]
        dateless = any(event == ("in", None) and after(held[channel], event, day) != held[channel] for channel, event in events.items())
        for channel, event in events.items():
            held[channel] = held[channel] if event.what.startswith("acts") else after(held[channel], event, day, dateless=dateless)
    return held


def safe(days: Days, channel: Channel) -> bool:
    """Whether the person may be open at all: somebody said in at a known date after every opt-out, or nobody ever said out."""
    said = [(events[channel], day) for day, events in enumerate(days, 1) if channel in events]
    out = [
        event.dated if event.what == "out" and event.dated is not None else day
        for event, day in said
        if event.what not in ("in", "acts in")
    ]
    dated = [day if event.what == "acts in" else event.dated for event, day in said if event.what in ("in", "acts in")]
    known = [at for at in dated if at is not None]
    return not out or (bool(known) and max(known) > max(out))


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Sandbox, Clock, Klaviyo]]:
    """A local Klaviyo and a client of it, for all examples."""
    clock = Clock(FIRST.timestamp())
    box = Sandbox(limits=False, consent_seconds=0.0, opt_in_process="single_opt_in", clock=clock)
    with serve(box) as server, quick(server.url) as (klaviyo, _):
        yield box, clock, klaviyo


def mail(person: int) -> str:
    """The e-mail address of a person."""
    return f"p{person}@shop.example"


def phone(person: int) -> str:
    """The phone number of a person."""
    return f"+491511{person:07}"


def live(box: Sandbox, klaviyo: Klaviyo, people: list[Days], day: int) -> None:
    """One day of everybody: what they do, then what the warehouse states for them, in one batch."""
    rows: list[dict[str, Any]] = []
    for person, days in enumerate(people):
        row: dict[str, Any] = {"email": mail(person), "phone_number": phone(person)}
        for channel, (what, dated) in (days[day - 1] if day <= len(days) else {}).items():
            key = mail(person) if channel == "email_marketing" else phone(person)
            if what == "acts hold":
                box.suppress(key, "USER_SUPPRESSED")
            elif what == "acts in":
                box.opt_in(key, channel)
            elif what == "acts out":
                box.opt_out(key, channel)
            else:
                row[channel] = ("subscribe" if what == "in" else "unsubscribe", None if dated is None else FIRST + timedelta(days=dated))
        rows.append(row)
    send_consent(klaviyo, outcome(rows), CONSENT)


def check(place: tuple[Sandbox, Clock, Klaviyo], people: list[Days]) -> None:
    """Lives the days of everybody; the end state is the oracle's, and nobody is open whose opt-out is not older than a dated subscribe."""
    box, clock, klaviyo = place
    clock.at = FIRST.timestamp()
    box.reset()
    for person in range(len(people)):
        box.profiles.upsert(None, {"email": mail(person), "phone_number": phone(person)}, clock.at)
    for day in range(1, LONGEST + 1):
        clock.at = (FIRST + timedelta(days=day)).timestamp()
        live(box, klaviyo, people, day)
    words = {"in": "SUBSCRIBED", "out": "UNSUBSCRIBED", "": "NEVER_SUBSCRIBED"}
    for person, days in enumerate(people):
        now = box.consent(mail(person))
        for channel, held in expected(days).items():
            assert now.status(channel) == words[held.state], (channel, days)
            is_open = now.status(channel) == "SUBSCRIBED" and (channel != "email_marketing" or not now.suppressions)
            assert is_open == held.open, (channel, days)
            assert not is_open or safe(days, channel), (channel, days)


@settings(max_examples=examples(40, quick=20), deadline=None)
@given(st.lists(EVENTS.map(mended), min_size=1, max_size=5))
def test_the_newest_statement_wins(place: tuple[Sandbox, Clock, Klaviyo], people: list[Days]) -> None:
    """Whatever a few people state and do."""
    check(place, people)


def test_the_newest_statement_wins_for_many(place: tuple[Sandbox, Clock, Klaviyo]) -> None:
    """Whatever three thousand people state and do: enough to meet the rare orders of events, too."""
    random = Random(1)

    def event() -> Event:
        return Event(random.choice(WHATS), random.choice((None, *range(LONGEST))))

    def day() -> dict[Channel, Event]:
        return {channel: event() for channel in CHANNELS if random.random() < 0.6}

    check(place, [mended([day() for _ in range(LONGEST)]) for _ in range(3_000)])
