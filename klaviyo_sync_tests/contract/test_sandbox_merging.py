"""Identifiers of two profiles in the sandbox: what Klaviyo documents, and the readings that can be chosen instead."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import Api, Clock, errors, whole
from consent_api import asked, mailed, marketing, unsubscribe
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.sandbox import Readings, Sandbox
from klaviyo_sync.sandbox.consents import How
from klaviyo_sync.sandbox.profiles import RANK, TakenError

ADA, BEA = "ada@example.com", "bea@example.com"
PHONE, OTHER_PHONE = "+12025550123", "+12025550124"


Said = tuple[str, int] | None
ConsentCase = tuple[str, Said, Said, str]
"""The reading; what the survivor and the absorbed profile have said, and when; and what holds."""


def imported(api: Api, clock: Clock, *profiles: dict[str, Any]) -> int:
    """How many rows failed of an import job that is done."""
    answer = api.imports(*profiles)
    clock.at += 10
    return api.job(answer)["failed_count"]


def shown(api: Api) -> list[dict[str, Any]]:
    """The identifiers of every profile, in the order of creation."""
    listed = api.get("/api/profiles").json()["data"]
    return [{name: one["attributes"][name] for name in RANK if one["attributes"][name]} for one in listed]


def test_an_email_and_a_phone_number_of_two_profiles_merge_them(api: Api, clock: Clock) -> None:
    """The owner of the e-mail address survives, with its values; what only the other had comes along, and the other's id leads to it."""
    imported(api, clock, {"email": ADA, "title": "Dr", "properties": {"a": 1}})
    imported(api, clock, {"phone_number": PHONE, "title": "Prof", "first_name": "Ada", "properties": {"a": 2, "b": 2}})
    owner, absorbed = [one["id"] for one in api.get("/api/profiles").json()["data"]]

    assert imported(api, clock, {"email": ADA, "phone_number": PHONE}) == 0

    assert shown(api) == [{"email": ADA, "phone_number": PHONE}]
    profile = api.get(f"/api/profiles/{absorbed}").json()["data"]
    assert profile["id"] == owner
    assert (profile["attributes"]["title"], profile["attributes"]["first_name"]) == ("Dr", "Ada")
    assert profile["attributes"]["properties"] == {"a": 1, "b": 2}


def test_the_highest_identifier_survives(api: Api, clock: Clock) -> None:
    """Profile id, external id, e-mail address, phone number: the first that is known names the survivor of three."""
    imported(api, clock, {"phone_number": PHONE}, {"email": ADA}, {"external_id": "1"})
    ids = {next(iter(who)): one["id"] for who, one in zip(shown(api), api.get("/api/profiles").json()["data"], strict=True)}

    imported(api, clock, {"external_id": "1", "email": ADA, "phone_number": PHONE})

    (survivor,) = api.get("/api/profiles").json()["data"]
    assert survivor["id"] == ids["external_id"]


def test_location_and_time_zone_of_a_merge(api: Api, clock: Clock) -> None:
    """The fuller location is kept, with the time zone of the profile that is absorbed."""
    imported(api, clock, {"email": ADA, "location": {"city": "Bonn", "zip": "53111", "timezone": "Europe/Berlin"}})
    imported(api, clock, {"phone_number": PHONE, "location": {"city": "Rome", "timezone": "Europe/Rome"}})
    imported(api, clock, {"email": ADA, "phone_number": PHONE})

    location = {name: value for name, value in api.profile(ADA)["location"].items() if value is not None}
    assert location == {"city": "Bonn", "zip": "53111", "timezone": "Europe/Rome"}


def test_a_refused_conflict_changes_nothing(api: Api, clock: Clock) -> None:
    """An import error that names the identifier, a 409 on a single profile, and both profiles as they were."""
    api.post("/sandbox/readings", {"conflict": "refused"})
    imported(api, clock, {"email": ADA}, {"phone_number": PHONE})
    before = shown(api)

    assert imported(api, clock, {"email": ADA, "phone_number": PHONE}) == 1
    answer = api.post("/api/profile-import", {"data": whole({"email": ADA, "phone_number": PHONE})})

    assert (answer.status_code, errors(answer)) == (409, [("duplicate_profile", "/data/attributes")])
    assert shown(api) == before


def test_a_moved_identifier_leaves_its_owner(api: Api, clock: Clock) -> None:
    """The other profile stays, without the identifier."""
    api.post("/sandbox/readings", {"conflict": "moved"})
    imported(api, clock, {"email": BEA, "phone_number": PHONE})
    imported(api, clock, {"email": ADA})

    assert imported(api, clock, {"email": ADA, "phone_number": PHONE}) == 0
    assert shown(api) == [{"email": BEA}, {"email": ADA, "phone_number": PHONE}]


def test_external_ids_may_be_kept_out_of_merging(api: Api, clock: Clock) -> None:
    """A conflict over an external id, or of two profiles whose external ids differ, has a reading of its own."""
    api.post("/sandbox/readings", {"external_id_conflict": "refused"})
    imported(api, clock, {"external_id": "1", "email": ADA}, {"external_id": "2", "phone_number": PHONE}, {"phone_number": OTHER_PHONE})

    assert imported(api, clock, {"email": ADA, "phone_number": PHONE}) == 1
    assert imported(api, clock, {"external_id": "2", "email": ADA}) == 1
    assert imported(api, clock, {"email": ADA, "phone_number": OTHER_PHONE}) == 0


@pytest.mark.parametrize(
    "case",
    [
        ("newest", ("SUBSCRIBED", 1), ("UNSUBSCRIBED", 2), "UNSUBSCRIBED"),
        ("newest", ("SUBSCRIBED", 2), ("UNSUBSCRIBED", 1), "SUBSCRIBED"),
        ("newest", ("UNSUBSCRIBED", 2), ("SUBSCRIBED", 1), "UNSUBSCRIBED"),
        ("newest", ("UNSUBSCRIBED", 1), ("SUBSCRIBED", 2), "SUBSCRIBED"),
        ("newest", ("UNSUBSCRIBED", 1), ("SUBSCRIBED", 1), "SUBSCRIBED"),
        ("newest", ("SUBSCRIBED", 1), ("UNSUBSCRIBED", 1), "UNSUBSCRIBED"),
        ("strictest", ("SUBSCRIBED", 2), ("UNSUBSCRIBED", 1), "UNSUBSCRIBED"),
        ("strictest", ("UNSUBSCRIBED", 1), ("SUBSCRIBED", 2), "UNSUBSCRIBED"),
        ("newest", None, ("UNSUBSCRIBED", 1), "UNSUBSCRIBED"),
        ("newest", ("SUBSCRIBED", 1), None, "SUBSCRIBED"),
    ],
)
def test_consent_of_a_merge(api: Api, sandbox: Sandbox, clock: Clock, case: ConsentCase) -> None:
    """The newer record holds, on a tie that of the absorbed profile; read strictly, the opt-out. A suppression carries over."""
    reading, ada, bea, kept = case
    api.post("/sandbox/readings", {"merged_consent": reading})
    imported(api, clock, {"email": ADA, "external_id": "1"}, {"email": BEA, "phone_number": PHONE})
    for person, said in ((ADA, ada), (BEA, bea)):
        if said:
            does = sandbox.opt_in if said[0] == "SUBSCRIBED" else sandbox.opt_out
            does(person, "email_marketing", float(said[1]))
    sandbox.suppress(BEA, "HARD_BOUNCE")

    imported(api, clock, {"external_id": "1", "phone_number": PHONE})

    held = marketing(api, ADA)
    assert held["consent"] == kept
    assert {one["reason"] for one in held["suppression"]} == {"HARD_BOUNCE"} | ({"UNSUBSCRIBE"} if kept == "UNSUBSCRIBED" else set())


def test_equal_consent_keeps_the_older_date(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Two subscriptions make one, since the earlier of the two dates."""
    imported(api, clock, {"email": ADA}, {"phone_number": PHONE})
    sandbox.opt_in(ADA, "email_marketing", 2.0)
    sandbox.consents.opt_in(sandbox.person(PHONE), "email_marketing", 1.0, How("API"))
    imported(api, clock, {"email": ADA, "phone_number": PHONE})

    assert sandbox.consent(ADA).channels["email_marketing"].at == 1.0


def test_lists_of_a_merge(api: Api, clock: Clock) -> None:
    """The survivor is on the lists of both, since the earlier of the two dates."""
    for number, attributes in enumerate(({"phone_number": PHONE}, {"email": ADA}, {"email": ADA, "phone_number": PHONE})):
        api.imports(attributes, lists=["Y6nRLr"] if number < 2 else ["VRgFBd"])
        clock.at += 10
    (member,) = api.get("/api/lists/Y6nRLr/profiles").json()["data"]

    assert member["attributes"]["joined_group_at"] == "2026-01-01T00:00:10+00:00"
    assert len(api.get("/api/lists/VRgFBd/profiles").json()["data"]) == 1


@pytest.mark.parametrize(("reading", "kept"), [("number", "NEVER_SUBSCRIBED"), ("profile", "SUBSCRIBED")])
def test_consent_to_texts_of_a_new_number(api: Api, sandbox: Sandbox, clock: Clock, reading: str, kept: str) -> None:
    """It stays with the old number, or with the profile; with the number it comes back."""
    api.post("/sandbox/readings", {"phone_consent": reading})
    imported(api, clock, {"email": ADA, "phone_number": PHONE})
    sandbox.opt_in(PHONE, "sms_marketing")

    imported(api, clock, {"email": ADA, "phone_number": OTHER_PHONE})
    assert sandbox.consent(ADA).status("sms_marketing") == kept
    imported(api, clock, {"email": BEA, "phone_number": PHONE})
    assert sandbox.consent(BEA).status("sms_marketing") == ("SUBSCRIBED" if reading == "number" else "NEVER_SUBSCRIBED")


@pytest.mark.parametrize(("reading", "left"), [("apart", 2), ("merged", 1)])
def test_consent_calls_with_identifiers_of_two(api: Api, clock: Clock, reading: str, left: int) -> None:
    """An unsubscribe reaches the owner of each address, or merges the two as an import does; the address is opted out either way."""
    api.post("/sandbox/readings", {"consent_conflict": reading})
    imported(api, clock, {"email": ADA}, {"phone_number": PHONE})

    unsubscribe(api, asked("email.marketing", "sms.marketing", consent="UNSUBSCRIBED", email=ADA, phone_number=PHONE))
    clock.at += 10

    assert len(shown(api)) == left
    assert marketing(api, ADA)["consent"] == "UNSUBSCRIBED"


def test_a_call_about_one_profile_merges_nothing(api: Api, clock: Clock) -> None:
    """With merging consent calls, one that names one profile moves no `updated`."""
    api.post("/sandbox/readings", {"consent_conflict": "merged"})
    imported(api, clock, {"email": ADA})
    before = api.profile(ADA)["updated"]
    unsubscribe(api, mailed(ADA, consent="UNSUBSCRIBED"))
    clock.at += 10

    assert api.profile(ADA)["updated"] == before


def test_readings_over_http(api: Api, sandbox: Sandbox) -> None:
    """What is not named stays; a switch or value that does not exist is a 400 that lists those that do; DELETE restores."""
    assert api.post("/sandbox/readings", {"conflict": "moved"}).json()["conflict"] == "moved"
    assert sandbox.readings == Readings(conflict="moved")
    for wrong in ({"conflicts": "moved"}, {"conflict": "apart"}, {"merged_consent": "refused"}, ["moved"]):
        answer = api.post("/sandbox/readings", wrong)
        assert answer.status_code == 400
    assert "newest, strictest" in api.post("/sandbox/readings", {"merged_consent": "refused"}).json()["detail"]
    assert api.get("/sandbox/readings").json()["conflict"] == "moved"

    assert api.session.delete(f"{api.url}/sandbox/readings").status_code == 204
    assert sandbox.readings == Readings()


WHO = st.fixed_dictionaries(
    {},
    optional={
        "external_id": st.sampled_from("123"),
        "email": st.sampled_from((ADA, BEA)),
        "phone_number": st.sampled_from((PHONE, OTHER_PHONE)),
    },
).filter(bool)


@settings(max_examples=examples(200), deadline=None)
@given(rows=st.lists(WHO, max_size=12), conflict=st.sampled_from(("merged", "moved", "refused")))
def test_every_identifier_has_one_owner(rows: list[dict[str, str]], conflict: Any) -> None:
    """After any imports each identifier finds the one profile that holds it, and a row's are in one profile or refused."""
    clock = Clock()
    sandbox = Sandbox(limits=False, clock=clock, readings=Readings(conflict=conflict, external_id_conflict=conflict))
    for row in rows:
        owners = {sandbox.profiles.find(name, value) for name, value in row.items()} - {None}
        try:
            number, _ = sandbox.profiles.upsert(None, row, clock.at)
        except TakenError:
            assert conflict == "refused"
            assert len(owners) > 1
            continue
        assert conflict != "refused" or len(owners) <= 1
        assert row.items() <= sandbox.profiles.attributes(number).items()
    held = [(name, value, number) for number in sandbox.profiles.numbers() for name, value in sandbox.profiles.attributes(number).items()]
    assert len(held) == len({(name, value) for name, value, _ in held})
    assert all(sandbox.profiles.find(name, value) == number for name, value, number in held)
    assert len(sandbox.profiles) == len(sandbox.profiles.numbers())
