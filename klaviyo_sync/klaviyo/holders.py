"""Holders: which profiles have a phone number in Klaviyo, asked about a hundred numbers a request.

https://developers.klaviyo.com/en/reference/get_profiles. At 700 requests a minute, 70,000 numbers a minute can be asked about.
A profile that was imported a moment ago may be shown late: one to three minutes were seen.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from threading import Event
from typing import NamedTuple

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.shared_phones import PHONE, Holder
from klaviyo_sync.klaviyo.answers import Json, Rejection, attributes, text
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import PROFILES
from klaviyo_sync.klaviyo.side_by_side import side_by_side
from klaviyo_sync.klaviyo.statuses import PER_CALL, quoted

FIELDS = {"fields[profile]": "email,external_id,phone_number", "page[size]": str(PER_CALL)}
MOST_PAGES = 10
MOST_REFUSED = 20

UNSAID = object()
E164 = re.compile(r"\+\d+|")

ByNumber = Mapping[str, tuple[Holder, ...]]


class Found(NamedTuple):
    """What Klaviyo said about some numbers: the holders of each that has any, the numbers that it does not look up, requests."""

    holders: ByNumber
    refused: frozenset[str]
    requests: int


def reads_for(numbers: int) -> int:
    """How many requests it takes to ask about so many numbers."""
    return math.ceil(numbers / PER_CALL)


def parts(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    """The numbers, as many at a time as one request asks about."""
    return (numbers[start : start + PER_CALL] for start in range(0, len(numbers), PER_CALL))


def who_has(klaviyo: Klaviyo, numbers: Sequence[str], stop: Event | None = None) -> Found:
    """Who has some numbers, at most PER_CALL of them: all pages of the answer are read.

    Numbers that Klaviyo refuses to look up are found by asking about halves. Errors as for `Klaviyo.request`.

    Raises:
        Unavailable: Klaviyo looks up none of many numbers, so that the numbers are not at fault.
    """
    found = asked(klaviyo, numbers, stop)
    if len(found.refused) == len(numbers) >= MOST_REFUSED:
        raise Unavailable(
            f"Klaviyo looked up none of {len(numbers)} phone numbers that it was asked about. The next run asks again; to send numbers "
            "without asking, set shared: newest under profile.phone_number."
        )
    return found


def asked(klaviyo: Klaviyo, numbers: Sequence[str], stop: Event | None) -> Found:
    """What Klaviyo says about some numbers, of which any may be refused.

    Where it shows a profile without its number, or with another spelling of it, halves are asked about until there is one number each.
    """
    wanted = {**FIELDS, "filter": f"any({PHONE},[{','.join(map(quoted, numbers))}])"}
    answer = klaviyo.request(Request(PROFILES, params=wanted), stop)
    if isinstance(answer, Rejection):
        requests = answer.attempts
        if len(numbers) == 1:
            return Found({}, frozenset(numbers), requests)
    else:
        pages = [answer, *klaviyo.further_pages(PROFILES, answer, stop)]
        requests = sum(page.attempts for page in pages)
        profiles = [profile for page in pages for profile in page.resources]
        if len(numbers) == 1:
            return Found({numbers[0]: tuple(map(holder, profiles))} if profiles else {}, frozenset(), requests)
        holders = by_number(profiles)
        if holders.keys() <= set(numbers):
            return Found(holders, frozenset(), requests)
    middle = len(numbers) // 2
    halves = together(asked(klaviyo, half, stop) for half in (numbers[:middle], numbers[middle:]))
    return halves._replace(requests=halves.requests + requests)


def who_have(klaviyo: Klaviyo, numbers: Sequence[str]) -> Found:
    """Who has some numbers, however many, a few requests at a time. Errors as for `who_has`."""
    return together(found for _, found in side_by_side(partial(who_has, klaviyo), deque(parts(numbers))))


def together(answers: Iterable[Found]) -> Found:
    """What several answers say, of which no two are about the same number."""
    holders: dict[str, tuple[Holder, ...]] = {}
    refused: set[str] = set()
    requests = 0
    for answer in answers:
        holders |= answer.holders
        refused |= answer.refused
        requests += answer.requests
    return Found(holders, frozenset(refused), requests)


def everybody(klaviyo: Klaviyo, stop: Event | None = None) -> tuple[ByNumber | None, int]:
    """Who has any number in a small account, and the requests.

    None in place of the holders when the account has more than MOST_PAGES pages, or shows numbers that are not plain ones.
    """
    holders: dict[str, tuple[Holder, ...]] = {}
    requests = 0
    for page in islice(klaviyo.pages(Request(PROFILES, params=FIELDS), stop), MOST_PAGES):
        requests += page.attempts
        numbers = [shown(attributes(profile), PHONE) for profile in page.resources]
        if not all(number is not None and E164.fullmatch(number) for number in numbers):
            return None, requests
        for number, some in by_number(page.resources).items():
            holders[number] = holders.get(number, ()) + some
        if page.next is None:
            return holders, requests
    return None, requests


def by_number(profiles: Iterable[Json]) -> dict[str, tuple[Holder, ...]]:
    """The profiles by the numbers that they show; those that show none are under an empty text."""
    found: dict[str, tuple[Holder, ...]] = {}
    for profile in profiles:
        number = text(attributes(profile).get(PHONE))
        found[number] = (*found.get(number, ()), holder(profile))
    return found


def holder(profile: Json) -> Holder:
    """A profile by its identifiers other than the number."""
    own = attributes(profile)
    return Holder(text(profile.get("id")), shown(own, "external_id"), shown(own, "email"))


def shown(own: Json, path: str) -> str | None:
    """What the attributes of a profile show of an identifier: an empty text for null, None when they do not say."""
    value = own.get(path, UNSAID)
    return "" if value is None else text(value) or None
