"""Consent in the sandbox: what calls change, when it is seen, and what is never lifted."""

from __future__ import annotations

import pytest
from api_client import Api, Clock, errors
from consent_api import (
    ADA,
    CHANNEL_PATH,
    MAY,
    PHONE,
    asked,
    dated,
    mailed,
    marketing,
    place,
    subscribe,
    subscriptions,
    unsubscribe,
)

from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox import Sandbox

SINGLE = "VRgFBd"
DOUBLE = "Y6nRLr"


def test_a_subscribe_is_answered_with_nothing_and_seen_later(api: Api, clock: Clock) -> None:
    """202 without a body; the profile, its consent and its place on the list come with the delay."""
    answer = subscribe(api, mailed(), list_id=SINGLE, custom_source="Warehouse sync")

    assert (answer.status_code, answer.content) == (202, b"")
    assert api.get("/api/profiles").json()["data"] == []
    clock.at += 1
    held = marketing(api)
    assert (held["consent"], held["consent_timestamp"]) == ("SUBSCRIBED", "2026-01-01T00:00:00+00:00")
    assert (held["custom_method_detail"], held["double_optin"]) == ("Warehouse sync", False)
    assert len(api.get(f"/api/lists/{SINGLE}/profiles").json()["data"]) == 1


def test_all_channels_of_a_person_in_one_call(api: Api, clock: Clock) -> None:
    """Each channel is a record of its own, and a channel that is not named stays as it was."""
    dated(api, asked("email.marketing", "sms.marketing", "whatsapp.transactional", at=MAY, email=ADA, phone_number=PHONE))
    clock.at += 1
    held = subscriptions(api)

    assert held["email"]["marketing"]["consent_timestamp"] == "2025-05-01T12:00:00+00:00"
    assert (held["sms"]["marketing"]["can_receive_sms_marketing"], held["sms"]["transactional"]["consent"]) == (True, "NEVER_SUBSCRIBED")
    assert (held["whatsapp"]["transactional"]["phone_number"], held["whatsapp"]["marketing"]["can_receive"]) == (PHONE, False)


def test_subscriptions_are_shown_only_to_who_asks(api: Api, sandbox: Sandbox) -> None:
    """One profile or many, only with additional-fields[profile]=subscriptions."""
    sandbox.opt_in(ADA, "email_marketing")
    (profile,) = api.get("/api/profiles").json()["data"]

    path = f"/api/profiles/{profile['id']}"
    assert "subscriptions" not in profile["attributes"]
    one = api.get(path, {"additional-fields[profile]": "subscriptions"}).json()["data"]["attributes"]
    assert one["subscriptions"]["email"]["marketing"]["consent"] == "SUBSCRIBED"


@pytest.mark.parametrize(("identifier", "shape"), [("email", "p{}@example.com"), ("phone_number", "+1202555{:04}")])
def test_the_status_of_a_hundred_people_is_read_in_one_call(api: Api, clock: Clock, identifier: str, shape: str) -> None:
    """any() takes 100 values, and no more."""
    values = [shape.format(number) for number in range(101)]
    api.imports(*({identifier: value} for value in values))
    clock.at += 10

    def read(count: int) -> int:
        listed = ",".join(f'"{value}"' for value in values[:count])
        answer = api.get("/api/profiles", filter=f"any({identifier},[{listed}])", page_size=100)
        return len(answer.json()["data"]) if answer.ok else -answer.status_code

    assert (read(100), read(101)) == (100, -400)


@pytest.mark.parametrize(
    ("reason", "left"),
    [("USER_SUPPRESSED", []), ("SPAM_REPORT", []), ("HARD_BOUNCE", ["HARD_BOUNCE"]), ("INVALID_EMAIL", ["INVALID_EMAIL"])],
)
def test_an_undated_subscribe_lifts_what_people_did(api: Api, sandbox: Sandbox, clock: Clock, reason: str, left: list[str]) -> None:
    """Opt-outs, reports and manual suppressions go; what the address itself is guilty of stays."""
    sandbox.opt_out(ADA, "email_marketing")
    sandbox.suppress(ADA, reason)
    subscribe(api, mailed(), list_id=SINGLE)
    clock.at += 1
    held = marketing(api)

    assert held["consent"] == "SUBSCRIBED"
    assert [one["reason"] for one in held["suppression"]] == left
    assert held["can_receive_email_marketing"] == (not left)


def test_a_subscribe_older_than_the_opt_out_is_refused(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """All or nothing: the row is named, and the good row beside it is not carried out either."""
    sandbox.opt_out(ADA, "email_marketing", clock.at)
    answer = dated(api, mailed("bob@example.com", at=MAY), mailed(at=MAY))
    clock.at += 1

    assert (answer.status_code, errors(answer)) == (400, [("invalid", place(f"{CHANNEL_PATH}/consented_at", 1))])
    assert "before current unsubscription date" in answer.json()["errors"][0]["detail"]
    assert len(api.get("/api/profiles").json()["data"]) == 1


def test_a_subscribe_newer_than_the_opt_out_counts(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """It subscribes, lifts the suppression, and has its own date."""
    sandbox.opt_out(ADA, "email_marketing", clock.at - 365 * 86400)
    assert dated(api, mailed(at=MAY)).status_code == 202
    clock.at += 1

    assert sandbox.consent(ADA).status("email_marketing") == "SUBSCRIBED"
    assert marketing(api)["suppression"] == []


def test_who_is_subscribed_keeps_the_date(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """A later date is refused, an earlier one changes nothing."""
    sandbox.opt_in(ADA, "email_marketing", clock.at - 100)
    later = dated(api, mailed(at="2025-12-31T23:59:59Z"))
    assert "after current subscription date" in later.json()["errors"][0]["detail"]
    assert dated(api, mailed(at=MAY)).status_code == 202
    clock.at += 1

    assert marketing(api)["consent_timestamp"] == "2025-12-31T23:58:20+00:00"


def test_double_opt_in_waits_for_the_person(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Nobody is added or subscribed before the confirmation; the list of the call then has a member."""
    subscribe(api, mailed(), list_id=DOUBLE)
    clock.at += 60
    assert api.get("/api/profiles").json()["data"] == []

    assert (sandbox.confirm("other@example.com"), sandbox.confirm(ADA), sandbox.confirm(ADA)) == (0, 1, 0)
    assert (marketing(api)["consent"], marketing(api)["double_optin"]) == ("SUBSCRIBED", True)
    assert len(sandbox.lists[DOUBLE].members) == 1


@pytest.mark.parametrize(
    ("account", "list_id", "at", "status"),
    [
        ("double_opt_in", None, None, "NEVER_SUBSCRIBED"),
        ("single_opt_in", None, None, "SUBSCRIBED"),
        ("double_opt_in", SINGLE, None, "SUBSCRIBED"),
        ("single_opt_in", DOUBLE, None, "NEVER_SUBSCRIBED"),
        ("double_opt_in", DOUBLE, MAY, "SUBSCRIBED"),
        ("double_opt_in", None, MAY, "SUBSCRIBED"),
    ],
)
def test_who_decides_how_people_opt_in(  # noqa: PLR0917 - one for each thing that decides
    api: Api, sandbox: Sandbox, clock: Clock, account: str, list_id: str | None, at: str | None, status: str
) -> None:
    """The list, else the account; a historical import never asks."""
    sandbox.opt_in_process = "single_opt_in" if account == "single_opt_in" else "double_opt_in"
    assert subscribe(api, mailed(at=at), list_id=list_id, historical_import=at is not None).status_code == 202
    clock.at += 1

    assert sandbox.consent(ADA).status("email_marketing") == status


def test_a_repeat_within_half_an_hour_is_ignored(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """It is accepted, even for another channel, and does nothing; later it counts."""
    both = asked("sms.marketing", email=ADA, phone_number=PHONE)
    subscribe(api, mailed(), list_id=SINGLE)
    clock.at += 1799
    assert subscribe(api, both, list_id=SINGLE).status_code == 202
    clock.at += 1
    assert (sandbox.consent(ADA).status("sms_marketing"), sandbox.consent_jobs.ignored) == ("NEVER_SUBSCRIBED", 1)

    subscribe(api, both, list_id=SINGLE)
    clock.at += 1
    assert sandbox.consent(ADA).status("sms_marketing") == "SUBSCRIBED"


def test_an_unsubscribe_is_stamped_now_and_suppresses(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """It carries no date; the address has an UNSUBSCRIBE suppression, and the profile no new `updated`."""
    sandbox.opt_in(ADA, "email_marketing", clock.at - 100)
    before = api.profile(ADA)["updated"]
    clock.at += 5
    answer = unsubscribe(api, mailed(consent="UNSUBSCRIBED"))
    clock.at += 1
    held = marketing(api)

    assert (answer.status_code, answer.content) == (202, b"")
    assert (held["consent"], held["consent_timestamp"]) == ("UNSUBSCRIBED", "2026-01-01T00:00:05+00:00")
    assert held["suppression"] == [{"reason": "UNSUBSCRIBE", "timestamp": "2026-01-01T00:00:05+00:00"}]
    assert api.profile(ADA)["updated"] == before


def test_a_list_on_an_unsubscribe_hits_those_who_are_not_on_it(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Members leave the list only; everybody else is unsubscribed from everything."""
    subscribe(api, mailed(), list_id=SINGLE)
    sandbox.opt_in("bob@example.com", "email_marketing")
    clock.at += 1
    unsubscribe(api, mailed(consent="UNSUBSCRIBED"), mailed("bob@example.com", consent="UNSUBSCRIBED"), list_id=SINGLE)
    clock.at += 1

    assert sandbox.consent(ADA).status("email_marketing") == "SUBSCRIBED"
    assert marketing(api)["list_suppressions"][0]["list_id"] == SINGLE
    assert sandbox.consent("bob@example.com").status("email_marketing") == "UNSUBSCRIBED"


def test_consent_belongs_to_the_address_it_was_given_for(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """An address and a number of two profiles: each owner has the consent of its own channel, and nothing is merged."""
    sandbox.opt_out(ADA, "email_marketing", 0)
    sandbox.opt_out(PHONE, "sms_marketing", 0)
    dated(api, asked("email.marketing", "sms.marketing", at=MAY, email=ADA, phone_number=PHONE))
    clock.at += 1
    channels: tuple[Channel, ...] = ("email_marketing", "sms_marketing")

    found = [[sandbox.consent(person).status(channel) for channel in channels] for person in (ADA, PHONE)]
    assert found == [["SUBSCRIBED", "NEVER_SUBSCRIBED"], ["NEVER_SUBSCRIBED", "SUBSCRIBED"]]


def test_new_profiles_are_listed_late(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """The job is complete, and a search does not find its profiles yet; who was there before is found."""
    sandbox.person("bob@example.com")
    clock.at += 10
    sandbox.profile_seconds = 5.0
    made = api.imports({"email": ADA})
    clock.at += 10
    assert api.job(made)["status"] == "complete"
    created = clock.at
    found = []
    for second in (0, 4, 5):
        clock.at = created + second
        listed = api.get("/api/profiles", filter=f'any(email,["{ADA}","bob@example.com"])').json()["data"]
        found.append([one["attributes"]["email"] for one in listed])

    assert found == [["bob@example.com"], ["bob@example.com"], ["bob@example.com", ADA]]
