"""Every spelling, channel, date and present state in every mode, over HTTP: fates and end states as cases/consent_table says.

The table is written by hand, from docs/consent.md. Each of its lines has a window of its own, so that a window's counts tell the fate
of every person in it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import requests
import yaml
from consent_place import START, Place, day, days, mail, phone, placed

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.decisions import Mode
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.sandbox.consents import How, Person

CASES = Path(__file__).parent.parent / "cases" / "consent_table"
NOW = datetime(2026, 12, 1, 12, tzinfo=START.tzinfo)
THAT_DAY = NOW - timedelta(days=60)
DATES = {
    "undated": None,
    "older": THAT_DAY - timedelta(days=5),
    "equal": THAT_DAY,
    "newer": THAT_DAY + timedelta(days=5),
    "future": NOW + timedelta(days=1),
}
MODES: tuple[Mode, ...] = get_args(Mode)
SUBSCRIBE = "profile-subscription-bulk-create-job"


class Line(NamedTuple):
    """One line of the table: the facts that it applies to, and what becomes of the statement and of the person."""

    present: str
    media: str
    says: str
    dated: str
    mode: str
    fate: str
    code: str
    status: str
    since: str
    suppressed: str


class Case(NamedTuple):
    """One person who states something for one channel, and the position of the line that says what becomes of it."""

    number: int
    channel: Channel
    present: str
    says: str
    word: str | None
    dated: str
    line: int

    @property
    def key(self) -> str:
        """How Klaviyo finds the person for the channel."""
        return mail(self.number) if self.channel == "email_marketing" else phone(self.number)


def loaded(name: str) -> Any:
    """A file of the table."""
    return yaml.safe_load((CASES / name).read_text(encoding="utf-8"))


with (CASES / "expected.csv").open(encoding="utf-8", newline="") as _file:
    LINES = tuple(Line(**row) for row in csv.DictReader(_file))
WORDS: Mapping[str, list[str | None]] = loaded("words.yaml")
PRESENTS: Mapping[str, dict[str, Any]] = loaded("presents.yaml")


@cache
def applying(present: str, medium: str, says: str, dated: str, mode: Mode) -> list[int]:
    """The positions of the lines that apply."""
    facts = (present, medium, says, dated, mode)
    return [n for n, line in enumerate(LINES) if all(cell == "*" or fact in cell.split() for fact, cell in zip(facts, line, strict=False))]


def cases(mode: Mode, spellings: int | None = None) -> Iterator[Case]:
    """Every person of a mode, with that many spellings of each statement, or all."""
    words = [(says, word) for says, spelled in WORDS.items() for word in spelled[:spellings]]
    places: list[tuple[Channel, str]] = [
        (channel, present) for channel in CHANNELS for present, how in PRESENTS.items() if channel == "email_marketing" or "text" in how
    ]
    for number, ((channel, present), (says, word), dated) in enumerate(product(places, words, DATES)):
        [line] = applying(present, channel.partition("_")[0], says, dated, mode)
        yield Case(number, channel, present, says, word, dated, line)


def sent(place: Place, case: Case, at: datetime, moved: datetime | None = None) -> None:
    """A call of the API has subscribed the person: undated at this moment, or later and dated with it."""
    date = at.timestamp() if moved else None
    place.box.consents.subscribe(place.box.person(case.key), case.channel, date, (moved or at).timestamp(), How("API"))


ACTS: Mapping[str, Callable[[Place, Case, datetime], object]] = {
    "subscribed": lambda place, case, at: place.box.opt_in(case.key, case.channel, at),
    "unsubscribed": lambda place, case, at: place.box.opt_out(case.key, case.channel, at),
    "sent": sent,
    "sent_dated": lambda place, case, at: sent(place, case, at, at + timedelta(days=20)),
    "left": lambda place, case, at: place.box.consents.leave(place.box.person(case.key), "Y6nRLr", at.timestamp()),
    **{
        reason: lambda place, case, at, reason=reason: place.box.suppress(mail(case.number), reason, at)
        for reason in ("USER_SUPPRESSED", "SPAM_REPORT", "HARD_BOUNCE", "INVALID_EMAIL")
    },
}


def act(place: Place, people: list[Case]) -> None:
    """Has people, and Klaviyo, do what was done before the run. Who is asked to confirm is asked on that day, by a call."""
    waiting: list[Case] = []
    for case in people:
        how = PRESENTS[case.present]
        if how.get("profile", True):
            place.box.profiles.upsert(None, {"email": mail(case.number), "phone_number": phone(case.number)}, place.now.timestamp())
        for one in how.get("acts", ()):
            if one["act"] == "asked":
                waiting.append(case)
            else:
                ACTS[one["act"]](place, case, THAT_DAY + timedelta(days=one["day"]))
    for start in range(0, len(waiting), 1_000):
        ask(place, waiting[start : start + 1_000])
    place.now = NOW


def ask(place: Place, waiting: list[Case]) -> None:
    """Asks people to confirm that they subscribe."""
    profiles = []
    for case in waiting:
        medium, _, purpose = case.channel.partition("_")
        key = "email" if medium == "email" else "phone_number"
        attributes = {key: case.key, "subscriptions": {medium: {purpose: {"consent": "SUBSCRIBED"}}}}
        profiles.append({"type": "profile", "attributes": attributes})
    related = {"list": {"data": {"type": "list", "id": "Y6nRLr"}}}
    data = {"type": SUBSCRIBE, "attributes": {"profiles": {"data": profiles}}, "relationships": related}
    headers = {"Authorization": "Klaviyo-API-Key pk_x", "revision": "2026-07-15"}
    answer = requests.post(f"{place.url}/api/{SUBSCRIBE}s", json={"data": data}, headers=headers, timeout=30)
    assert answer.status_code == 202


def held(place: Place, people: list[Case]) -> dict[int, Person]:
    """What Klaviyo holds of each person."""
    return {case.number: deepcopy(place.box.consent(case.key)) for case in people}


def suppressed(person: Person) -> set[str]:
    """The suppressions of a person, by reason; `list` for any list that was left."""
    return set(person.suppressions) | ({"list"} if person.list_suppressions else set())


def expect(case: Case, line: Line, before: Person, after: Person) -> None:
    """The person is what the line says, and no other channel has changed."""
    was, now = before.channels.get(case.channel), after.channels.get(case.channel)
    if line.status == "before":
        assert (now and (now.status, now.at)) == (was and (was.status, was.at)), (case, line)
    else:
        at = {"now": NOW, "stated": DATES[case.dated]}[line.since]
        assert at is not None
        assert now, (case, line)
        assert (now.status, now.at) == (line.status, at.timestamp()), (case, line)
    if case.channel == "email_marketing":
        assert suppressed(after) == (suppressed(before) if line.suppressed == "before" else set(line.suppressed.split())), (case, line)
    others = [{name: one for name, one in person.channels.items() if name != case.channel} for person in (before, after)]
    assert others[0] == others[1], (case, line)


@pytest.mark.parametrize("spellings", [1, pytest.param(None, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", MODES)
def test_every_combination(mode: Mode, spellings: int | None, tmp_path: Path) -> None:
    """Every statement has the fate, and every person the end state, that the table says."""
    people = list(cases(mode, spellings))
    with placed(tmp_path, THAT_DAY) as place:
        act(place, people)
        place.fill(
            {
                "email": mail(case.number),
                "phone": phone(case.number),
                case.channel: case.word,
                f"{case.channel}_at": DATES[case.dated],
                "changed": START + timedelta(days=case.line, hours=12),
            }
            for case in people
        )
        before = held(place, people)
        report = place.run(days(START, len(LINES)), undated=mode)
        after = held(place, people)
    for case in people:
        expect(case, LINES[case.line], before[case.number], after[case.number])
    stating: dict[int, Counter[Channel]] = {}
    for case in people:
        stating.setdefault(case.line, Counter())[case.channel] += 1
    for position, channels in stating.items():
        line, result = LINES[position], report.results[day(START + timedelta(days=position))]
        for channel, count in channels.items():
            counts = {"stated": count, line.fate: count} if line.fate else {}
            if line.fate == "sent" and line.says == "unsubscribe":
                counts["unsubscribed"] = count
            assert result.consent[channel] == ConsentCounts(**counts), (channel, line)
            told = {code: number for (column, code), number in result.issues.items() if column.startswith(channel) and code == line.code}
            assert told == ({line.code: count} if line.code else {}), (channel, line)
        assert {code for _, code in result.issues} <= {line.code, "consent_date_in_future"}, line


def test_the_table_is_whole() -> None:
    """Every combination of facts has one line, and every line is there for some."""
    used = Counter(case.line for mode in MODES for case in cases(mode))
    assert set(used) == set(range(len(LINES)))
    assert used.total() > 20_000


def test_a_date_alone_subscribes(tmp_path: Path) -> None:
    """Without a column of words, whoever has a date subscribed then, and nobody else says anything."""
    with placed(tmp_path, NOW) as place:
        changed = NOW - timedelta(hours=1)
        place.fill({"email": mail(number), "email_marketing_at": at, "changed": changed} for number, at in enumerate((THAT_DAY, None)))
        report = place.run([day(NOW)], ["email_marketing"], email_marketing={"timestamp": "email_marketing_at"})
        assert report.results[day(NOW)].consent["email_marketing"] == ConsentCounts(stated=1, sent=1)
        assert [place.status(number) for number in (0, 1)] == ["SUBSCRIBED", "NEVER_SUBSCRIBED"]
        assert place.box.consent(mail(0)).channels["email_marketing"].at == THAT_DAY.timestamp()
