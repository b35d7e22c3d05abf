"""Clears, one request at a time: what is asked, what is sent, and what every answer makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from api_client import Clock
from scripted_klaviyo import Asked, Says, Scripted, errors, quick, serving

from klaviyo_sync.core.clear_counts import CLEAR_FATES, ClearCounts
from klaviyo_sync.core.clear_result import UNASKED, ClearOutcome
from klaviyo_sync.core.clearing import CLEARS, packed
from klaviyo_sync.core.errors import Refused, Unavailable
from klaviyo_sync.core.result import FATES, Fate, Outcome
from klaviyo_sync.klaviyo.clears import send_clears
from klaviyo_sync.sandbox import Sandbox, serve

IMPORT = "/api/profile-import"
FIELDS = ("title", "location.city", "location.zip", "properties.Points", "properties.a.b")
ALL = tuple(range(len(FIELDS)))
IDENTIFIERS = ("email", "phone_number", "external_id", "id")
HELD = {"title": "Dr", "location": {"city": "Bonn", "zip": None}, "properties": {"Points": 1}}
EMPTY = {"title": None, "location": {"city": None, "zip": None}, "properties": {}}


def outcome(rows: Sequence[Mapping[str, Any]], fates: Sequence[Fate] = ()) -> Outcome:
    """An outcome of rows with identifiers and, under `null`, the positions of their NULLs in FIELDS (all, if nothing is said)."""
    cells = [pa.array([None if position in row.get("null", ALL) else "x" for row in rows]) for position in ALL]
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in IDENTIFIERS}
    table = pa.table({"window": pa.array([0] * len(rows), pa.int32()), **columns, CLEARS: packed(cells)})
    return Outcome(table, np.array([FATES.index(fate) for fate in fates or ["imported"] * len(rows)], np.uint8))


@dataclass
class Holding:
    """A script: profiles with their attributes, which a POST empties. `judge` sees each request first and may answer instead."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    judge: Callable[[Asked], Says | None] = lambda _: None

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        if said := self.judge(asked):
            return said
        if asked.method == "GET":
            asks = re.fullmatch(r"any\((\w+),\[(.*)\]\)", asked.query["filter"], re.DOTALL)
            assert asks
            wanted = set(orjson.loads(f"[{asks[2]}]"))
            return Says(200, {"data": [shown(one) for one in self.profiles if one.get(asks[1]) in wanted], "links": {"next": None}})
        sent = orjson.loads(asked.body)["data"]
        return Says(200, {"data": {"type": "profile", "id": "1", "attributes": {**sent["attributes"], **EMPTY}}})


def shown(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile as a listing shows it."""
    return {"type": "profile", "id": profile.get("id", "01"), "attributes": {name: cell for name, cell in profile.items() if name != "id"}}


def run(script: Holding, rows: Sequence[Mapping[str, Any]], fates: Sequence[Fate] = ()) -> tuple[ClearOutcome, Scripted]:
    """Sends the clears of some rows; everything is accounted for."""
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = send_clears(klaviyo, outcome(rows, fates), FIELDS)
    assert found.requests == len(server.asked)
    assert all((row in found.reasons) == (name(fate) in ("refused", "unknown")) for row, fate in enumerate(found.fates))
    return found, server


def name(fate: int) -> str | None:
    """The fate by its name."""
    return None if fate == UNASKED else CLEAR_FATES[fate]


def names(found: ClearOutcome) -> list[str | None]:
    """The fate of each row."""
    return [name(fate) for fate in found.fates.tolist()]


def test_what_is_asked_and_sent() -> None:
    """Only the fields wanted are read; null for attributes and places, unset for properties, beside the identifiers of the import."""
    script = Holding([{"external_id": "1", "email": "ada@shop.example", **HELD}])
    found, server = run(script, [{"external_id": "1", "email": "Ada@shop.example"}])
    [asked] = [one for one in server.asked if one.method == "GET"]
    assert asked.query == {
        "filter": 'any(external_id,["1"])',
        "fields[profile]": "external_id,email,phone_number,title,location,properties",
        "page[size]": "100",
    }
    [sent] = server.bodies(IMPORT)
    assert orjson.loads(sent.body) == {
        "data": {
            "type": "profile",
            "attributes": {
                "email": "Ada@shop.example",
                "external_id": "1",
                "title": None,
                "location": {"city": None, "zip": None},
            },
            "meta": {"patch_properties": {"unset": ["Points", "a.b"]}},
        }
    }
    assert names(found) == ["cleared"]


def test_klaviyo_ids_stand_beside_the_attributes() -> None:
    """Who is known by Klaviyo's own id is found and named by it."""
    script = Holding([{"id": "01X", **HELD}])
    found, server = run(script, [{"id": "01X", "null": (0,)}])
    [sent] = server.bodies(IMPORT)
    assert orjson.loads(sent.body) == {"data": {"type": "profile", "id": "01X", "attributes": {"title": None}}}
    assert names(found) == ["cleared"]


@pytest.mark.parametrize(
    ("held", "null", "costs"),
    [
        (EMPTY, ALL, False),
        (HELD, (2, 4), False),  # what it holds is elsewhere
        (HELD, (1,), True),
        ({**EMPTY, "title": ""}, (0,), True),
        ({**EMPTY, "properties": {"Points": 0}}, (3,), True),
        ({**EMPTY, "properties": {"a.b": False}}, (4,), True),
        ({**EMPTY, "properties": {"Points": None}}, (3,), False),
        ({**EMPTY, "properties": {"a": {"b": 1}}}, (4,), False),  # a dot is part of the name
        ({**EMPTY, "location": None}, (1, 2), False),
        ({"title": None}, (1,), True),  # Klaviyo does not say
        ({"title": None}, (3,), True),
        ({}, (0,), True),
    ],
)
def test_only_who_may_hold_something_costs_a_request(held: dict[str, Any], null: tuple[int, ...], *, costs: bool) -> None:
    """An empty text, zero and false are values; what Klaviyo does not speak of may be one."""
    found, server = run(Holding([{"external_id": "1", **held}]), [{"external_id": "1", "null": null}])
    assert names(found) == ["cleared" if costs else "already_empty"]
    assert len(server.bodies(IMPORT)) == int(costs)


def test_rows_that_clear_nothing_are_not_asked_about() -> None:
    """Without a NULL there is nothing to do and no request."""
    found, server = run(Holding(), [{"external_id": "1", "null": ()}])
    assert (names(found), server.asked) == ([None], [])
    assert found.counts() == ClearCounts()


def test_profiles_that_were_not_imported() -> None:
    """Refused and failed rows are refused, unknown ones unknown; nothing is asked or sent for them."""
    found, server = run(Holding(), [{"external_id": str(n)} for n in range(3)], ["refused", "failed", "unknown"])
    assert names(found) == ["refused", "refused", "unknown"]
    assert {reason.code for reason in found.reasons.values()} == {"clear_without_profile"}
    assert server.asked == []


def test_refusals_stay_with_their_row() -> None:
    """A 400 and a 404 concern one row; its attribute and Klaviyo's words are kept, and the others go on."""

    def judge(asked: Asked) -> Says | None:
        if b'"p1"' in asked.body:
            return Says(400, errors(("/data/attributes/location/city", "No such place.")))
        return Says(404, {"errors": []}) if b'"p2"' in asked.body else None

    people = [{"external_id": f"p{n}", **HELD} for n in range(5)]
    found, _ = run(Holding(people, judge), [{"external_id": f"p{n}"} for n in range(5)])
    assert names(found) == ["cleared", "refused", "refused", "cleared", "cleared"]
    assert found.reasons[1] == ("clear_refused", "location.city", "No such place.")
    assert "404" in found.reasons[2].detail
    assert found.counts() == ClearCounts(to_clear=5, cleared=3, refused=2)


def test_a_field_that_is_still_there_is_not_cleared() -> None:
    """Klaviyo says 200 and shows the value all the same: the row is refused, and the field named."""
    still = Says(200, {"data": {"type": "profile", "id": "1", "attributes": {**EMPTY, "location": {"city": "Bonn"}}}})
    found, _ = run(Holding([{"external_id": "1", **HELD}], lambda asked: still if asked.method == "POST" else None), [{"external_id": "1"}])
    assert names(found) == ["refused"]
    assert found.reasons[0].attribute == "location.city"


@pytest.mark.parametrize(
    ("shows", "fate"),
    [
        ({}, "cleared"),  # the profile as it is shown afterwards says so
        ({"title": None, "location": {"city": None}, "properties": {}}, "cleared"),
        ({"title": None}, "refused"),
    ],
)
def test_a_field_that_the_answer_does_not_mention_is_not_cleared(shows: dict[str, Any], fate: str) -> None:
    """Of fields that Klaviyo's answer leaves out nothing is known: the profile is read again, and only what it then shows counts."""
    sent = False

    def judge(asked: Asked) -> Says | None:
        nonlocal sent
        if asked.method == "POST":
            sent = True
            return Says(200, {"data": {"type": "profile", "id": "1", "attributes": shows}})
        after = {"external_id": "1", **(EMPTY if fate == "cleared" else HELD)}
        return Says(200, {"data": [shown(after)], "links": {"next": None}}) if sent else None

    found, server = run(Holding([{"external_id": "1", **HELD}], judge), [{"external_id": "1"}])
    assert (names(found), [asked.method for asked in server.asked]) == ([fate], ["GET", "POST", "GET"])


def test_an_identifier_that_cannot_be_looked_up() -> None:
    """Klaviyo refuses the search: the others are read in smaller parts, and that one is cleared unread."""

    def judge(asked: Asked) -> Says | None:
        return Says(400, errors((None, "Bad filter."))) if asked.method == "GET" and "odd" in asked.query["filter"] else None

    rows = [{"external_id": key} for key in ("a", "b", "odd", "z")]
    found, server = run(Holding([{**row, **EMPTY} for row in rows], judge), rows)
    assert names(found) == ["already_empty", "already_empty", "cleared", "already_empty"]
    assert len(server.bodies(IMPORT)) == 1


def test_reading_goes_by_the_hundred() -> None:
    """250 profiles cost three requests, and writes only for those that hold something."""
    people = [{"external_id": str(n), **(HELD if n % 50 == 0 else EMPTY)} for n in range(250)]
    found, server = run(Holding(people), [{"external_id": str(n)} for n in range(250)])
    assert (len(server.asked), len(server.bodies(IMPORT))) == (8, 5)
    assert found.counts() == ClearCounts(to_clear=250, cleared=5, already_empty=245)


def test_people_shown_under_another_identifier_or_spelling() -> None:
    """Who is not found by the first identifier is found by the next, in small letters or as imported."""
    people = [{"external_id": None, "email": "Ada@Shop.example", **HELD}, {"phone_number": "+15005550006", **EMPTY}]
    rows = [{"external_id": "gone", "email": "Ada@Shop.example"}, {"email": "bob@shop.example", "phone_number": "+15005550006"}]
    found, _ = run(Holding(people), rows)
    assert names(found) == ["cleared", "already_empty"]


def test_profiles_that_share_an_identifier() -> None:
    """When one of them holds something, the request is made: Klaviyo decides whom it means, as it did on import."""
    people = [{"id": "01", "external_id": "1", **EMPTY}, {"id": "02", "external_id": "1", **HELD}]
    found, _ = run(Holding(people), [{"external_id": "1"}])
    assert names(found) == ["cleared"]


def test_late_profiles_are_waited_for_and_no_longer_than_a_minute() -> None:
    """A profile that Klaviyo lists late is cleared; one that it does not list is unknown, and never counted as cleared."""
    clock = Clock(1_790_000_000.0)
    sandbox = Sandbox(limits=False, profile_seconds=20.0, clock=clock)

    def pass_time(seconds: float) -> None:
        clock.at += seconds

    with serve(sandbox) as server, quick(server.url, clock=clock, sleep=pass_time) as (klaviyo, _):
        sandbox.profiles.upsert(None, {"external_id": "1", **HELD}, clock.at)
        began = clock.at
        first = send_clears(klaviyo, outcome([{"external_id": "1"}]), FIELDS)
        waited = clock.at - began
        sandbox.profile_seconds = 600.0
        late = send_clears(klaviyo, outcome([{"external_id": "2"}]), FIELDS)
        given_up = clock.at - began - waited
    assert names(first) == ["cleared"]
    assert (waited, given_up) == (pytest.approx(2 + 4 + 8 + 16), pytest.approx(60))
    assert (names(late), late.reasons[0].code) == (["unknown"], "clear_unseen")


@pytest.mark.parametrize(("status", "error"), [(403, Refused), (503, Unavailable)])
def test_trouble_ends_the_sending(status: int, error: type[Exception]) -> None:
    """A key without the right, or a Klaviyo that is down, breaks the run: nothing else is sent after it."""
    people = [{"external_id": str(n), **HELD} for n in range(100)]
    script = Holding(people, lambda asked: Says(status, {"errors": []}) if asked.method == "POST" else None)
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        with pytest.raises(error):
            send_clears(klaviyo, outcome([{"external_id": str(n)} for n in range(100)]), FIELDS)
        assert len(server.bodies(IMPORT)) <= 8 * 10


def test_passing_trouble_passes() -> None:
    """A 503 and a 429 are asked again, and count as requests."""
    answers = iter([Says(503), Says(429, headers={"Retry-After": "1"})])
    script = Holding([{"external_id": "1", **HELD}], lambda asked: next(answers, None) if asked.method == "POST" else None)
    found, server = run(script, [{"external_id": "1"}])
    assert names(found) == ["cleared"]
    assert len(server.bodies(IMPORT)) == 3
