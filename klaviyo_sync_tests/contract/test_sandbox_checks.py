"""What the sandbox refuses in a profile, before any import job is made."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import AT, JOBS, Api, errors, job, whole

from klaviyo_sync.sandbox import Sandbox

GOOD = whole({"email": "good@example.com"})

REFUSED: list[tuple[dict[str, Any], str]] = [
    *(({"email": bad}, "attributes/email") for bad in ("plain", "a@b", "a b@example.com", "a@example.com\n", "a@@example.com", "")),
    *(
        ({"email": bad}, "attributes/email")
        for bad in (".a@example.com", "a..b@example.com", "a@-b.example", "a@example.c", "a(b@example.com")
    ),
    ({"email": "x" * 89 + "@example.com"}, "attributes/email"),
    ({"email": 7}, "attributes/email"),
    *(
        ({"phone_number": bad}, "attributes/phone_number")
        for bad in ("5005550006", "+1 500 555 0006", "+0123456789", "+1", "+999123456789")
    ),
    ({"external_id": "7", "phone_number": "5005550006"}, "attributes/phone_number"),
    ({"first_name": "Nobody"}, "attributes"),
    ({}, "attributes"),
    ({"email": None, "external_id": ""}, "attributes"),
    ({"external_id": 7}, "attributes/external_id"),
    ({"external_id": "7", "first_name": True}, "attributes/first_name"),
    ({"external_id": "7", "title": ["Dr"]}, "attributes/title"),
    ({"external_id": "7", "anonymous_id": "x"}, "attributes/anonymous_id"),
    ({"external_id": "7", "subscriptions": {}}, "attributes/subscriptions"),
    ({"external_id": "7", "location": {"zip": 10115}}, "attributes/location/zip"),
    ({"external_id": "7", "location": {"city": {}}}, "attributes/location/city"),
    ({"external_id": "7", "location": {"planet": "Earth"}}, "attributes/location/planet"),
    ({"external_id": "7", "location": {"latitude": True}}, "attributes/location/latitude"),
    ({"external_id": "7", "location": None}, "attributes/location"),
    ({"external_id": "7", "location": "Berlin"}, "attributes/location"),
    ({"external_id": "7", "properties": []}, "attributes/properties"),
    ({"external_id": "7", "properties": {"n": 2**63}}, "attributes/properties/n"),
    ({"external_id": "7", "properties": {"deep": [{"n": -(2**63) - 1}]}}, "attributes/properties/deep/0/n"),
]

TAKEN: list[dict[str, Any]] = [
    {"email": "A.b+c@mail.example.com"},
    {"email": "x" * 88 + "@example.com"},
    {"phone_number": "+15005550006"},
    {"external_id": "7"},
    {"email": "a@example.com", "phone_number": None, "first_name": None, "properties": None},
    {"email": "a@example.com", "location": {"latitude": 52.5, "longitude": "13.4", "zip": "01067", "city": None}},
    {"email": "a@example.com", "properties": {"n": 2**63 - 1, "m": -(2**63), "x": 0.5, "b": False, "l": [], "o": {"deep": [None]}}},
    {"email": "a@example.com", "properties": {"order": "12345678901234567890"}},
    {"email": "a@example.com", "phone_number": "12"},
]


@pytest.mark.parametrize(("attributes", "pointer"), REFUSED)
def test_a_bad_profile_is_named_by_its_pointer(api: Api, attributes: dict[str, Any], pointer: str) -> None:
    """400 for the whole request; the pointer names the profile and the field."""
    answer = api.imports(GOOD, whole(attributes), GOOD)

    assert (answer.status_code, errors(answer)) == (400, [("invalid", f"{AT}/1/{pointer}")])


@pytest.mark.parametrize("attributes", TAKEN)
def test_a_good_profile_is_taken(api: Api, attributes: dict[str, Any]) -> None:
    """What Klaviyo's schema allows passes, nulls included."""
    assert api.imports(whole(attributes)).status_code == 202


@pytest.mark.parametrize(
    ("profile", "pointer"),
    [
        ({"attributes": {"email": "a@example.com"}}, "type"),
        ({"type": "person", "attributes": {"email": "a@example.com"}}, "type"),
        ({"type": "profile"}, "attributes"),
        ({**GOOD, "id": 7}, "id"),
        ({**GOOD, "consent": True}, "consent"),
        ({**GOOD, "meta": {"other": 1}}, "meta"),
    ],
)
def test_the_frame_of_a_profile_is_checked(api: Api, profile: dict[str, Any], pointer: str) -> None:
    """`type` and `attributes` are required, `id` is text, and nothing else but `meta` may stand there."""
    answer = api.imports(profile)

    assert (answer.status_code, errors(answer)) == (400, [("invalid", f"{AT}/0/{pointer}")])


def test_one_bad_row_refuses_all_and_makes_no_job(either: Api) -> None:
    """A bad e-mail address between good ones: 400, and no job is to be seen."""
    before = either.get(JOBS, sort="-created_at").json()["data"][:1]
    answer = either.imports({"email": "not an address"}, lists=[])

    assert (answer.status_code, errors(answer)) == (400, [("invalid", f"{AT}/0/attributes/email")])
    assert either.get(JOBS, sort="-created_at").json()["data"][:1] == before


def test_all_errors_or_only_the_first_ones(api: Api, sandbox: Sandbox) -> None:
    """A 400 names every bad row, or as many as `errors_reported` says: what Klaviyo does is not known."""
    bad = [{"email": f"bad{number}"} for number in range(5)]
    assert len(errors(api.imports(*bad))) == 5

    sandbox.errors_reported = 2
    assert errors(api.imports(*bad)) == [("invalid", f"{AT}/{number}/attributes/email") for number in range(2)]


def test_a_job_takes_from_one_to_ten_thousand_profiles(api: Api) -> None:
    """10,000 are taken, 10,001 and none are refused."""
    ten_thousand = [whole({"external_id": str(number)}) for number in range(10_000)]

    assert api.post(JOBS, job(ten_thousand)).status_code == 202
    for profiles in ([*ten_thousand, GOOD], [], {}, None):
        answer = api.post(JOBS, job(profiles))
        assert (answer.status_code, errors(answer)) == (400, [("invalid", AT)])


@pytest.mark.parametrize("body", [{}, [], None, {"data": []}, {"data": {"type": "profile-bulk-import-job"}}])
def test_the_frame_of_a_job_is_required(api: Api, body: Any) -> None:
    """400 when there are no profiles to be found."""
    assert api.post(JOBS, body).status_code == 400


def test_a_list_must_exist(either: Api) -> None:
    """400 that points at the list's id."""
    answer = either.imports({"email": "not an address"}, lists=["NOPE01"])

    assert answer.status_code == 400
    assert ("invalid", "/data/relationships/lists/data/0/id") in errors(answer) or ("invalid", f"{AT}/0/attributes/email") in errors(answer)


def test_list_stands_in_the_plural(api: Api) -> None:
    """The consent jobs' `list` is not a relationship of an import job."""
    body = job([GOOD])
    body["data"]["relationships"] = {"list": {"data": {"type": "list", "id": "Y6nRLr"}}}

    assert errors(api.post(JOBS, body)) == [("invalid", "/data/relationships/list")]


def test_a_phone_number_alone_needs_texting(api: Api, sandbox: Sandbox) -> None:
    """Without SMS in the account a phone number identifies nobody."""
    sandbox.sms = False

    assert errors(api.imports({"phone_number": "+15005550006"})) == [("invalid", f"{AT}/0/attributes/phone_number")]
    assert api.imports({"phone_number": "+15005550006", "email": "a@example.com"}).status_code == 202
