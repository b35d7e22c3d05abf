"""Suppression jobs, and what people do in Klaviyo by their own hand: in process and over HTTP."""

from __future__ import annotations

import pytest
from api_client import Api, Clock, errors, whole
from consent_api import ADA, PHONE, SUPPRESS, UNSUPPRESS, call, mailed, marketing, place, subscribe

from klaviyo_sync.sandbox import Sandbox


def reasons(api: Api) -> list[str]:
    """The suppressions of the only person."""
    return [one["reason"] for one in marketing(api)["suppression"]]


def test_a_manual_suppression_comes_and_goes(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """It leaves consent alone; a bounce and an opt-out outlive its end."""
    sandbox.opt_in(ADA, "email_marketing")
    made = call(api, SUPPRESS, [whole({"email": ADA})])
    assert (made.status_code, made.json()["data"]["attributes"]["status"]) == (202, "queued")
    clock.at += 1
    assert (reasons(api), marketing(api)["can_receive_email_marketing"]) == (["USER_SUPPRESSED"], False)
    assert marketing(api)["consent"] == "SUBSCRIBED"

    sandbox.suppress(ADA, "HARD_BOUNCE")
    sandbox.opt_out(ADA, "email_marketing")
    call(api, UNSUPPRESS, [whole({"email": ADA})])
    clock.at += 1
    assert reasons(api) == ["HARD_BOUNCE", "UNSUBSCRIBE"]


def test_a_suppression_job_tells_how_it_stands(api: Api, clock: Clock) -> None:
    """Addresses that were suppressed already are skipped; the other kind of job does not know its id."""
    call(api, SUPPRESS, [whole({"email": ADA})])
    clock.at += 1
    id_ = call(api, SUPPRESS, [whole({"email": ADA}), whole({"email": "bob@example.com"})]).json()["data"]["id"]
    clock.at += 1
    told = api.get(f"/api/{SUPPRESS}s/{id_}").json()["data"]["attributes"]

    assert [told[name] for name in ("status", "total_count", "completed_count", "skipped_count")] == ["complete", 2, 2, 1]
    assert api.get(f"/api/{UNSUPPRESS}s/{id_}").status_code == 404


@pytest.mark.parametrize("kind", [SUPPRESS, UNSUPPRESS])
def test_suppression_jobs_have_their_checks(api: Api, kind: str) -> None:
    """100 valid e-mail addresses and nothing else, or one list."""
    many = [whole({"email": f"p{number}@example.com"}) for number in range(101)]

    assert (call(api, kind, many).status_code, call(api, kind, many[:100]).status_code) == (400, 202)
    assert errors(call(api, kind, [whole({"email": ADA}), whole({"email": "none"})])) == [("invalid", place("attributes/email", 1))]
    assert errors(call(api, kind, [whole({"email": ADA, "phone_number": PHONE})])) == [("invalid", place("attributes/email"))]
    assert errors(call(api, kind, many[:1], list_id="VRgFBd")) == [("invalid", "/data")]


def test_the_members_of_a_list_are_suppressed(api: Api, clock: Clock) -> None:
    """A list in the place of profiles."""
    subscribe(api, mailed(), list_id="VRgFBd")
    clock.at += 1
    related = {"list": {"data": {"type": "list", "id": "VRgFBd"}}}
    api.post(f"/api/{SUPPRESS}s", {"data": {"type": SUPPRESS, "attributes": {}, "relationships": related}})
    clock.at += 1

    assert reasons(api) == ["USER_SUPPRESSED"]


def test_stop_ends_both_kinds_of_texts(sandbox: Sandbox) -> None:
    """And nothing else of the person."""
    for channel in ("email_marketing", "sms_transactional", "whatsapp_marketing"):
        sandbox.opt_in(PHONE if channel != "email_marketing" else ADA, channel)
    sandbox.opt_out(PHONE, "sms_marketing", 100.0)
    held = sandbox.consent(PHONE)

    assert (held.status("sms_marketing"), held.status("sms_transactional"), held.status("whatsapp_marketing")) == (
        "UNSUBSCRIBED",
        "UNSUBSCRIBED",
        "SUBSCRIBED",
    )
    assert (held.channels["sms_marketing"].at, sandbox.consent("nobody@example.com").channels) == (100.0, {})


def test_people_act_over_http(api: Api, clock: Clock) -> None:
    """Opt-ins, opt-outs, suppressions and confirmations, with the end state read at once."""
    stated = {"person": ADA, "channel": "email_marketing", "consent": "UNSUBSCRIBED", "at": "2025-05-01T12:00:00Z"}
    assert api.post("/sandbox/consent", stated).status_code == 204
    assert api.post("/sandbox/suppressions", {"email": ADA, "reason": "SPAM_REPORT"}).status_code == 204
    subscribe(api, mailed("bob@example.com"))
    clock.at += 1
    before = api.get("/sandbox/consent").json()
    assert api.post("/sandbox/confirmations").json() == {"confirmed": 1}
    after = api.get("/sandbox/consent").json()

    assert [(person["email"], before["pending"], before["ignored"]) for person in before["people"]] == [(ADA, 1, 0)]
    held = before["people"][0]["subscriptions"]["email"]["marketing"]
    assert (held["consent_timestamp"], len(held["suppression"])) == ("2025-05-01T12:00:00+00:00", 2)
    assert ([person["email"] for person in after["people"]], after["pending"]) == ([ADA, "bob@example.com"], 0)


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("consent", {"person": ADA}),
        ("consent", {"person": ADA, "channel": "email", "consent": "SUBSCRIBED"}),
        ("consent", {"person": ADA, "channel": "email_marketing", "consent": "true"}),
        ("consent", {"person": ADA, "channel": "email_marketing", "consent": "SUBSCRIBED", "at": "soon"}),
        ("suppressions", {"email": ADA, "reason": "BORED"}),
        ("confirmations", {"email": ADA}),
    ],
)
def test_what_people_cannot_do_is_a_400(api: Api, sandbox: Sandbox, address: str, body: dict[str, str]) -> None:
    """With a sentence that says what is expected, and nothing changed."""
    answer = api.post(f"/sandbox/{address}", body)

    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert sandbox.consents.numbers() == []


def test_a_reset_forgets_consent(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """People, confirmations that are waited for, and the half hour."""
    subscribe(api, mailed())
    clock.at += 1
    sandbox.opt_in("bob@example.com", "email_marketing")
    sandbox.reset()
    assert (sandbox.consents.numbers(), sandbox.consent_jobs.pending) == ([], [])

    subscribe(api, mailed(), list_id="VRgFBd")
    clock.at += 1
    assert sandbox.consent(ADA).status("email_marketing") == "SUBSCRIBED"
