"""Windows that are run again, and years that are filled in later, never undo a newer statement that was made in Klaviyo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from consent_place import Place, day, mail, phone, placed

from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.sandbox import Sandbox

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EMAIL: Channel = "email_marketing"
CONSENT_CALLS = ("bulk_subscribe_profiles", "bulk_unsubscribe_profiles")

Act = Callable[[Sandbox, str, Channel], None]

OUT_ACTS: dict[str, Act] = {
    "opts out": lambda box, person, channel: box.opt_out(person, channel),
    "is suppressed by hand": lambda box, person, _: box.suppress(person, "USER_SUPPRESSED"),
    "reports spam": lambda box, person, _: box.suppress(person, "SPAM_REPORT"),
    "leaves a list": lambda box, person, _: box.consents.leave(box.person(person), "VRgFBd", box.now()),
}


def sent(place: Place) -> int:
    """How many consent calls Klaviyo has taken."""
    return sum(number for (operation, _), number in place.box.requests.items() if operation in CONSENT_CALLS)


def person(number: int, channel: Channel) -> str:
    """The e-mail address or phone number of a person."""
    return mail(number) if channel == "email_marketing" else phone(number)


def snapshot(place: Place) -> list[Any]:
    """What Klaviyo holds of everybody's consent."""
    place.box.settle()
    held = (place.box.consents.of(number) for number in place.box.consents.numbers())
    return [(dict(one.channels), dict(one.suppressions), dict(one.list_suppressions)) for one in held]


def stating(number: int, channel: Channel, word: str, at: datetime | None, changed: datetime = NOW - 2 * HOUR) -> dict[str, Any]:
    """The row of a person."""
    return {"email": mail(number), "phone": phone(number), channel: word, f"{channel}_at": at, "changed": changed}


def test_the_same_window_twice_sends_nothing_twice(tmp_path: Path) -> None:
    """When nothing was stated in between, a second run of a window a minute later changes nothing: what is so already is only read."""
    with placed(tmp_path, NOW) as place:
        statements = product(CHANNELS, ("Subscribe", "Unsubscribed"), (None, NOW - DAY))
        place.fill(stating(number, *statement) for number, statement in enumerate(statements))
        place.run([day(NOW)])
        held, calls = snapshot(place), sent(place)
        place.now += timedelta(minutes=1)
        report = place.run([day(NOW)])
        # What has no date and is an opt-out is not read, and goes out again.
        assert all((one.sent, one.unsubscribed, one.already) == (1, 1, 3) for one in report.results[day(NOW)].consent.values())
        assert sent(place) == calls + 1
        statuses = [[{name: one.status for name, one in channels.items()} for channels, *_ in state] for state in (held, snapshot(place))]
        assert statuses[0] == statuses[1]
        assert not place.box.consent_jobs.ignored


def test_who_opts_out_between_two_runs_stays_out(tmp_path: Path) -> None:
    """Neither a dated nor an undated subscribe that was sent before undoes it, in guard mode and in ignore mode."""
    acts: list[tuple[Channel, Act]] = [(channel, OUT_ACTS["opts out"]) for channel in CHANNELS]
    acts.extend((EMAIL, act) for act in OUT_ACTS.values())
    with placed(tmp_path, NOW) as place:
        people: list[tuple[int, Channel, Act, datetime | None]] = []
        for channel, act in acts:
            people += [(len(people), channel, act, None), (len(people) + 1, channel, act, NOW - DAY)]
        place.fill(stating(number, channel, "Subscribe", at) for number, channel, _, at in people)
        place.run([day(NOW)])
        assert all(place.box.consent(person(number, channel)).status(channel) == "SUBSCRIBED" for number, channel, *_ in people)
        place.now += HOUR
        for number, channel, act, _ in people:
            act(place.box, person(number, channel), channel)
        held, calls = snapshot(place), sent(place)
        for mode in ("guard", "ignore"):
            place.now += HOUR
            place.run([day(NOW)], undated=mode)
        assert snapshot(place) == held
        assert sent(place) == calls


def test_who_opts_in_between_two_runs_stays_in(tmp_path: Path) -> None:
    """A dated opt-out does not undo a subscribe that came after it. An undated one says so now, whenever it is read: it does.

    Of WhatsApp Klaviyo does not tell whether the person subscribed or a call did, so that there the opt-out goes out.
    """
    with placed(tmp_path, NOW) as place:
        people = list(enumerate(product(CHANNELS, (None, NOW - DAY))))
        place.fill(stating(number, channel, "Unsubscribed", at) for number, (channel, at) in people)
        place.run([day(NOW)])
        place.now += HOUR
        for number, (channel, _) in people:
            place.box.opt_in(person(number, channel), channel)
        place.now += HOUR
        place.run([day(NOW)])
        for number, (channel, at) in people:
            status = place.box.consent(person(number, channel)).status(channel)
            in_doubt = at is None or channel.startswith("whatsapp")
            assert status == ("UNSUBSCRIBED" if in_doubt else "SUBSCRIBED"), (channel, at)


def test_an_opt_out_while_the_run_is_under_way(tmp_path: Path) -> None:
    """Klaviyo stamps an undated subscribe later than an opt-out from between reading and sending. The next window's opt-out wins."""
    with placed(tmp_path, NOW) as place:
        both = dict(stating(0, "email_marketing", "Subscribe", NOW - DAY), sms_marketing="Subscribe")
        place.fill([both, stating(1, "sms_marketing", "Subscribe", None)])
        place.run([day(NOW)])
        opted_out = NOW - timedelta(minutes=1)
        place.now += HOUR
        rows = [stating(0, "email_marketing", "Unsubscribed", opted_out, NOW), stating(1, "sms_marketing", "Unsubscribed", opted_out, NOW)]
        place.fill(rows)
        place.run([day(NOW)])
        assert (place.status(0), place.status(1, "sms_marketing")) == ("UNSUBSCRIBED", "UNSUBSCRIBED")


class Life(NamedTuple):
    """What one person stated in the year, as (month, word, whether dated), and did in Klaviyo, as (month, in or out)."""

    stated: tuple[tuple[int, str, bool], ...]
    did: tuple[int, str] | None

    def end(self) -> str:
        """What must hold once every row is in: the newest dated statement, the opt-out on a tie; no undated subscribe lifts one."""
        outs = [month for month, word, _ in self.stated if word == "Unsubscribed"]
        ins = [month for month, word, dated in self.stated if word == "Subscribe" and dated]
        undated_out = any(word == "Unsubscribed" and not dated and month == max(outs) for month, word, dated in self.stated)
        done, held = self.did or (0, "")
        if outs and max(outs) >= max(ins, default=0):
            return "SUBSCRIBED" if held == "in" and not undated_out and done > max(outs) else "UNSUBSCRIBED"
        if ins:
            return "UNSUBSCRIBED" if held == "out" and done >= max(ins) else "SUBSCRIBED"
        if any(word == "Subscribe" for _, word, _ in self.stated):
            return "UNSUBSCRIBED" if held == "out" else "SUBSCRIBED"
        return {"in": "SUBSCRIBED", "out": "UNSUBSCRIBED", "": "NEVER_SUBSCRIBED"}[held]


def lives() -> Iterator[Life]:
    """Every combination of an older row, the newest row and an act between, before, after or at the time of these."""
    words = ("Subscribe", "Unsubscribed", "")
    for word, dated, earlier, earlier_dated in product(words, (True, False), (*words, None), (True, False)):
        first = () if earlier is None else ((3, earlier, earlier_dated),)
        for did in (None, *product((1, 4, 7, 9), ("in", "out"))):
            yield Life((*first, (7, word, dated)), did)


def moment(month: int) -> datetime:
    """Noon of the fifth of a month."""
    return datetime(2026, month, 5, 12, tzinfo=UTC)


MONTHS = [day(datetime(2026, month, 1, tzinfo=UTC)) for month in range(1, 12)]


@pytest.mark.parametrize("runs", [[MONTHS], [[month] for month in MONTHS[::-2]] + [MONTHS]], ids=["at once", "newest first, then all"])
def test_a_year_that_is_filled_in_later(tmp_path: Path, runs: list[list[str]]) -> None:
    """Every person ends as their newest statement says, wherever it was made, in whichever order the windows run."""
    people = list(enumerate(lives()))
    with placed(tmp_path, NOW) as place:
        place.fill(
            stating(number, "email_marketing", word, moment(month) if dated else None, moment(month))
            for number, life in people
            for month, word, dated in life.stated
        )
        for number, life in people:
            if life.did:
                month, what = life.did
                {"in": place.box.opt_in, "out": place.box.opt_out}[what](mail(number), "email_marketing", moment(month))
        for keys in runs:
            report = place.run(keys, frequency="monthly")
            assert all(result.proven for result in report.results.values())
            place.now += HOUR
        ends = Counter((life, place.status(number), life.end()) for number, life in people)
    assert not [(life, status, end) for life, status, end in ends if status != end]
    assert len(ends) > 300
