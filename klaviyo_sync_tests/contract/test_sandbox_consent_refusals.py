"""What consent calls of the sandbox refuse, where they say it is, and that nothing of a refused call is carried out."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import AT, Api, Clock, errors
from consent_api import ADA, CHANNEL_PATH, MAY, PHONE, asked, call, dated, mailed, place, subscribe, unsubscribe

from klaviyo_sync.sandbox import Sandbox, serve

DATE = f"{CHANNEL_PATH}/consented_at"
TEXT_PATH = "attributes/subscriptions/sms/marketing"


@pytest.mark.parametrize(
    ("profile", "leaf"),
    [
        ({"type": "profile", "attributes": {"email": ADA}}, "attributes/subscriptions"),
        ({"type": "person", "attributes": {"email": ADA, "subscriptions": {}}}, "type"),
        (asked(email=ADA), "attributes/subscriptions"),
        ({"type": "profile", "attributes": {"email": ADA, "subscriptions": {"email": {"marketing": None}}}}, "attributes/subscriptions"),
        (mailed(consent="UNSUBSCRIBED"), f"{CHANNEL_PATH}/consent"),
        (mailed(at=MAY), DATE),
        (mailed("not an address"), "attributes/email"),
        (asked("email.marketing", phone_number=PHONE), "attributes/email"),
        (asked("sms.marketing", email=ADA), "attributes/phone_number"),
        (asked("whatsapp.marketing", email=ADA, phone_number=None), "attributes/phone_number"),
        (asked("sms.marketing", email=ADA, phone_number="12345"), "attributes/phone_number"),
        (asked("email.marketing", email=ADA, first_name="Ada"), "attributes/first_name"),
        (asked("email.transactional", email=ADA), "attributes/subscriptions/email/transactional"),
        ({**mailed(), "id": "01GDDKASAP8TKDDA2GRZDSVP4H"}, "id"),
    ],
)
def test_a_person_who_is_not_in_order_refuses_the_call(api: Api, clock: Clock, profile: Any, leaf: str) -> None:
    """The pointer names the place and the attribute; the person before is not subscribed either."""
    answer = subscribe(api, mailed("bob@example.com"), profile, list_id="VRgFBd")
    clock.at += 10

    assert (answer.status_code, errors(answer)) == (400, [("invalid", place(leaf, 1))])
    assert api.get("/api/profiles").json()["data"] == []


@pytest.mark.parametrize("at", [None, "soon", "2026-01-01T00:00:00Z", "2026-01-01T00:30:00", "2025-12-31T23:30:00-01:00"])
def test_a_historical_import_takes_a_past_date_of_every_consent(api: Api, at: str | None) -> None:
    """None, no date, now, a time without a zone that is still to come in UTC, another zone's."""
    answer = dated(api, mailed("bob@example.com", at=MAY), mailed(at=at))

    assert errors(answer) == [("invalid", place(DATE, 1))]
    assert answer.json()["errors"][0]["detail"] == "historical email subscription does not have a valid consented_at timestamp"


def test_dates_before_1990_are_raised(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """They are taken, as 1990-01-01; one without a zone is in UTC."""
    dated(api, mailed(at="1970-01-01T00:00:00Z"), mailed("bob@example.com", at="2025-12-31T23:59:59"))
    clock.at += 1

    assert sandbox.consent(ADA).channels["email_marketing"].at == 631_152_000
    assert sandbox.consent("bob@example.com").channels["email_marketing"].at == clock.at - 2


def test_every_wrong_row_is_named(api: Api, sandbox: Sandbox) -> None:
    """All of them, or as many as the sandbox is told."""
    rows = [mailed("a"), mailed(), mailed("b")]
    assert [pointer for _, pointer in errors(subscribe(api, *rows))] == [place("attributes/email"), place("attributes/email", 2)]
    sandbox.errors_reported = 1
    assert len(errors(subscribe(api, *rows))) == 1


def test_calls_have_their_sizes(api: Api) -> None:
    """1,000 people in a subscribe, 100 in an unsubscribe, at least one in both."""
    many = [mailed(f"p{number}@example.com") for number in range(1_001)]
    gone = [mailed(f"p{number}@example.com", consent="UNSUBSCRIBED") for number in range(101)]

    assert (subscribe(api, *many[:1_000]).status_code, errors(subscribe(api, *many))) == (202, [("invalid", AT)])
    assert (unsubscribe(api, *gone[:100]).status_code, errors(unsubscribe(api, *gone))) == (202, [("invalid", AT)])
    assert errors(subscribe(api)) == errors(unsubscribe(api)) == [("invalid", AT)]


def test_an_unsubscribe_has_no_dates_and_no_subscribes(api: Api) -> None:
    """Only UNSUBSCRIBED, without consented_at; neither a date of birth nor a flag."""
    assert errors(unsubscribe(api, mailed())) == [("invalid", place(f"{CHANNEL_PATH}/consent"))]
    assert errors(unsubscribe(api, mailed(consent="UNSUBSCRIBED", at=MAY))) == [("invalid", place(DATE))]
    born = asked("sms.marketing", consent="UNSUBSCRIBED", phone_number=PHONE, age_gated_date_of_birth="1990-02-01")
    assert errors(unsubscribe(api, born)) == [("invalid", place("attributes/age_gated_date_of_birth"))]
    flagged = call(api, "profile-subscription-bulk-delete-job", [mailed(consent="UNSUBSCRIBED")], historical_import=True)
    assert errors(flagged) == [("invalid", "/data/attributes/historical_import")]


def test_a_list_must_exist(api: Api, sandbox: Sandbox) -> None:
    """404 at the list, and nobody is subscribed."""
    answer = subscribe(api, mailed(), list_id="NOPE01")

    assert (answer.status_code, errors(answer)) == (404, [("not_found", "/data/relationships/list/data/id")])
    assert sandbox.consent_jobs.pending == []


def test_a_job_has_one_list(api: Api) -> None:
    """`lists`, as imports have them, is refused."""
    data = {"type": "profile-subscription-bulk-create-job", "attributes": {"profiles": {"data": [mailed()]}}}
    related = {"lists": {"data": [{"type": "list", "id": "VRgFBd"}]}}

    answer = api.post("/api/profile-subscription-bulk-create-jobs", {"data": {**data, "relationships": related}})
    assert errors(answer) == [("invalid", "/data/relationships")]


def test_an_account_that_cannot_text(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Somebody known by phone number only is refused; beside an e-mail address the texts are left out without a word."""
    sandbox.sms = False
    alone = subscribe(api, asked("sms.marketing", phone_number=PHONE))
    assert alone.json()["errors"][0]["detail"] == "SMS configuration is required to subscribe phone number only profiles."

    both = asked("email.marketing", "sms.marketing", email=ADA, phone_number=PHONE)
    assert subscribe(api, both, list_id="VRgFBd").status_code == 202
    clock.at += 1
    held = sandbox.consent(ADA)
    assert (held.status("email_marketing"), held.status("sms_marketing")) == ("SUBSCRIBED", "NEVER_SUBSCRIBED")


@pytest.mark.parametrize(("phone", "status"), [("+442079460000", 202), ("+12025550123", 400), ("+15005550006", 400)])
def test_a_region_without_a_sending_number(api: Api, sandbox: Sandbox, phone: str, status: int) -> None:
    """Refused at the phone number, e-mail consent of the same person included; WhatsApp has no regions."""
    sandbox.sms_regions = {"GB"}
    answer = subscribe(api, asked("email.marketing", "sms.transactional", email=ADA, phone_number=phone), list_id="VRgFBd")

    assert answer.status_code == status
    assert status == 202 or errors(answer) == [("invalid", place("attributes/phone_number"))]
    assert subscribe(api, asked("whatsapp.marketing", phone_number=phone)).status_code == 202


@pytest.mark.parametrize(("born", "status"), [("1990-02-01", 202), (None, 400), ("1.2.1990", 400), ("2990-02-01", 400)])
def test_age_gating_takes_a_date_of_birth(api: Api, sandbox: Sandbox, born: str | None, status: int) -> None:
    """For texts only."""
    sandbox.age_gating = True
    answer = subscribe(api, asked("sms.marketing", phone_number=PHONE, age_gated_date_of_birth=born))

    assert answer.status_code == status
    assert status == 202 or errors(answer) == [("invalid", place("attributes/age_gated_date_of_birth"))]
    assert subscribe(api, mailed()).status_code == 202


def test_consent_takes_scopes_of_its_own(clock: Clock) -> None:
    """A key that imports profiles cannot subscribe anybody."""
    sandbox = Sandbox(keys={"pk_import": ("lists:write", "profiles:write")}, clock=clock)
    with serve(sandbox) as server:
        api = Api(server.url, "pk_import")
        answers = [subscribe(api, mailed()), unsubscribe(api, mailed(consent="UNSUBSCRIBED"))]
        api.close()

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "subscriptions:write" in answers[0].json()["errors"][0]["detail"]


def test_each_call_has_limits_of_its_own(clock: Clock) -> None:
    """75 in a second; the other call is not touched by it."""
    with serve(Sandbox(clock=clock)) as server:
        api = Api(server.url)
        statuses = [subscribe(api, mailed()).status_code for _ in range(76)]
        other = unsubscribe(api, mailed(consent="UNSUBSCRIBED"))
        api.close()

    assert statuses == [202] * 75 + [429]
    assert (other.status_code, other.headers["RateLimit-Limit"]) == (202, "75, 75;w=1, 750;w=60")


def test_faults_reach_consent(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """A 503 that was carried out after all: the client knows nothing, and the person is subscribed."""
    sandbox.faults.add("503", endpoint="bulk_subscribe_profiles", carried_out=True)
    assert subscribe(api, mailed(), list_id="VRgFBd").status_code == 503
    clock.at += 1

    assert sandbox.consent(ADA).status("email_marketing") == "SUBSCRIBED"
