"""Who has a phone number: all pages are read, and what an answer leaves unsaid speaks against sending the number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from scripted_klaviyo import Asked, Says, quick, serving

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.shared_phones import Holder, may_take
from klaviyo_sync.klaviyo.holders import MOST_PAGES, everybody, reads_for, who_has, who_have
from klaviyo_sync.klaviyo.limits import PROFILES

NUMBER = "+4915110000000"
OTHERS = [f"+49151100000{number:02}" for number in range(1, 10)]
ANNA = {"external_id": "anna", "email": "anna@shop.example"}


def profile(number: str | None, id_: str = "P1", **attributes: str | None) -> dict[str, Any]:
    """A profile as Klaviyo shows it."""
    return {"type": "profile", "id": id_, "attributes": {"phone_number": number, "email": None, "external_id": None, **attributes}}


def page(profiles: list[dict[str, Any]], following: str | None = None) -> Says:
    """A page of profiles, and the address of the next."""
    return Says(body={"data": profiles, "links": {"next": following}})


def numbers_in(asked: Asked) -> list[str]:
    """The numbers that a request asks about."""
    return re.findall(r'"([^"]*)"', asked.query["filter"])


def test_what_is_asked() -> None:
    """A request names the numbers and wants no more of a profile than its identifiers."""
    with serving(lambda _: page([])) as server, quick(server.url) as (klaviyo, _):
        assert who_has(klaviyo, [NUMBER, *OTHERS]) == ({}, frozenset(), 1)
    [asked] = server.asked
    assert numbers_in(asked) == [NUMBER, *OTHERS]
    assert asked.query["filter"].startswith("any(phone_number,[")
    assert set(asked.query["fields[profile]"].split(",")) == {"email", "external_id", "phone_number"}


def test_all_pages_are_read() -> None:
    """However many profiles have a number, the one on the last page counts."""

    def script(asked: Asked) -> Says:
        cursor = int(asked.query.get("page[cursor]", "0"))
        following = f"{server.url}/api/profiles?page%5Bcursor%5D={cursor + 1}" if cursor < 3 else None
        return page([profile(NUMBER, f"P{cursor}x{n}") for n in range(100)] if following else [profile(NUMBER, **ANNA)], following)

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = who_has(klaviyo, [NUMBER, *OTHERS])
    assert found.requests == 4
    assert len(found.holders[NUMBER]) == 301
    assert not may_take({"external_id": "bert"}, found.holders[NUMBER])
    assert may_take({"external_id": "anna"}, found.holders[NUMBER])


@pytest.mark.parametrize(
    "next_page", ["https://elsewhere.example/api/profiles", "/api/profiles?page%5Bcursor%5D=1"], ids=["away", "in a circle"]
)
def test_pages_that_lead_nowhere(next_page: str) -> None:
    """A next page that is none breaks the run: who else has the number is not known."""
    with serving(lambda _: page([profile(NUMBER)], next_page)) as server, quick(server.url) as (klaviyo, _), pytest.raises(Unavailable):
        who_has(klaviyo, [NUMBER])


@pytest.mark.parametrize("unsaid", ["email", "external_id"])
def test_an_identifier_that_is_not_shown(unsaid: str) -> None:
    """A profile is nobody only where Klaviyo shows that both are empty."""
    shown = profile(NUMBER)
    del shown["attributes"][unsaid]
    with serving(lambda _: page([shown])) as server, quick(server.url) as (klaviyo, _):
        [holder] = who_has(klaviyo, [NUMBER]).holders[NUMBER]
    assert not holder.is_nobody()
    assert Holder("P1", "", "").is_nobody()


@pytest.mark.parametrize("spelled", ["+49 151 10000000", None, ""])
def test_a_number_that_is_shown_in_another_way(spelled: str | None) -> None:
    """A profile that shows another number than those asked about has one of them: which one is asked about one by one."""

    def script(asked: Asked) -> Says:
        return page([profile(spelled, **ANNA)] if NUMBER in numbers_in(asked) else [])

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = who_has(klaviyo, [*OTHERS, NUMBER])
    assert found.holders == {NUMBER: (Holder("P1", "anna", "anna@shop.example"),)}
    assert found.refused == frozenset()


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_one_number_that_is_refused(status: int) -> None:
    """It is found by halves; the others are known."""

    def script(asked: Asked) -> Says:
        refused = OTHERS[4] in numbers_in(asked)
        return Says(status, {"errors": []}) if refused else page([profile(NUMBER, **ANNA)] if NUMBER in numbers_in(asked) else [])

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = who_has(klaviyo, [NUMBER, *OTHERS])
    assert (found.refused, set(found.holders)) == ({OTHERS[4]}, {NUMBER})
    assert found.requests == len(server.asked) <= 9


def test_many_numbers() -> None:
    """Any number of numbers is asked about, each once, a hundred at a time."""
    numbers = [f"+4915110{number:06}" for number in range(250)]
    with serving(lambda asked: page([profile(number) for number in numbers_in(asked)])) as server, quick(server.url) as (klaviyo, _):
        found = who_have(klaviyo, numbers)
    assert list(found.holders) == numbers
    assert sorted(len(numbers_in(asked)) for asked in server.asked) == [50, 100, 100]


@pytest.mark.parametrize(
    ("shown", "usable"),
    [({"phone_number": NUMBER}, True), ({"phone_number": None}, True), ({"phone_number": "+49 151"}, False), ({}, False)],
    ids=["a number", "none", "spelled otherwise", "unsaid"],
)
def test_a_listing_that_shows_everything(shown: Mapping[str, str | None], *, usable: bool) -> None:
    """A small account is known by its list only where every profile says whether it has a number, and which."""
    listed = {"type": "profile", "id": "P1", "attributes": {"email": None, "external_id": "anna", **shown}}
    with serving(lambda _: page([listed])) as server, quick(server.url) as (klaviyo, _):
        holders, requests = everybody(klaviyo)
    assert (holders is not None, requests) == (usable, 1)


def test_a_listing_that_does_not_end() -> None:
    """A large account is given up after some pages."""
    with (
        serving(lambda _: page([profile(NUMBER)], f"{server.url}/api/profiles?page%5Bcursor%5D={len(server.asked)}")) as server,
        quick(server.url) as (klaviyo, _),
    ):
        assert everybody(klaviyo) == (None, MOST_PAGES)
    assert len(server.asked) == MOST_PAGES


@pytest.mark.parametrize(("numbers", "seconds"), [(70_000, 60), (10_000, 9), (2_000_000, 29 * 60)])
def test_how_long_the_docs_say_it_takes(numbers: int, seconds: int) -> None:
    """README.md and docs/mapping.md give times for some numbers at the steady limit."""
    assert reads_for(numbers) / PROFILES.tier.steady * 60 == pytest.approx(seconds, rel=0.05)
