"""Consent over HTTP: what is read, what is sent, in which calls, and what becomes of every statement."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from consenting_klaviyo import (
    ADA,
    AT,
    BOB,
    EARLIER,
    GUARD,
    IN,
    IN_MAY,
    LATER,
    OUT,
    OUT_MAY,
    PHONE,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Consenting,
    attributes,
    codes,
    fates,
    held,
    outcome,
    people,
    profile,
    run,
)
from scripted_klaviyo import Asked, Says, errors, quick, serving

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.sync import Consent
from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.klaviyo.statuses import WAITS


@pytest.mark.parametrize("reason", ["UNSUBSCRIBE", "SPAM_REPORT", "USER_SUPPRESSED", "HARD_BOUNCE", "INVALID_EMAIL"])
def test_suppressed_people_stay_so(reason: str) -> None:
    """An undated subscribe lifts no suppression."""
    suppressed = {"consent": "SUBSCRIBED", "consent_timestamp": EARLIER, "suppression": [{"reason": reason, "timestamp": LATER}]}
    script = Consenting([profile(ADA, email_marketing=suppressed)])
    found, server = run(script, [{"email": ADA, "email_marketing": IN}])
    assert fates(found) == [{"email_marketing": "guarded"}]
    assert not server.bodies(SUBSCRIBE)


def test_a_rerun_after_an_opt_out_never_resubscribes() -> None:
    """The same rows again, with an opt-out made in Klaviyo in between, leave the opt-out alone: with dates and without."""
    script = Consenting([profile(ADA), profile(BOB)])
    rows = [{"email": ADA, "email_marketing": IN}, {"email": BOB, "email_marketing": IN_MAY}]
    first, _ = run(script, rows)
    assert [one["email_marketing"] for one in fates(first)] == ["sent", "sent"]
    for one in script.profiles:
        held(one, "email_marketing").update(consent="UNSUBSCRIBED", consent_timestamp="2026-06-02T00:00:00Z")
    again, _ = run(script, rows)
    assert [one["email_marketing"] for one in fates(again)] == ["guarded", "skipped"]
    assert [held(one, "email_marketing")["consent"] for one in script.profiles] == ["UNSUBSCRIBED"] * 2


def test_a_rerun_after_an_opt_in_leaves_it_alone() -> None:
    """A dated opt-out does not undo a newer subscribe; an undated one counts as said now."""
    script = Consenting([profile(ADA, email_marketing=("SUBSCRIBED", LATER)), profile(BOB, email_marketing=("SUBSCRIBED", LATER))])
    found, server = run(script, [{"email": ADA, "email_marketing": OUT_MAY}, {"email": BOB, "email_marketing": OUT}])
    assert fates(found) == [{"email_marketing": "skipped"}, {"email_marketing": "sent"}]
    assert found.counts()["email_marketing"].unsubscribed == 1
    assert [one["email"] for one in people(server.bodies(UNSUBSCRIBE)[0])] == [BOB]


@pytest.mark.parametrize(
    ("held", "fate"),
    [
        ({"method": "FORM"}, "skipped"),
        ({"method": "API"}, "sent"),
        ({"method": "api", "last_updated": LATER}, "sent"),
        ({"method": "MANUAL_IMPORT"}, "sent"),
        ({}, "sent"),
        ({"method": "API", "last_updated": "2026-05-02T00:06:00Z"}, "skipped"),
        ({"last_updated": "2026-05-09T00:00:00Z"}, "skipped"),
    ],
)
def test_the_time_of_a_call_holds_no_opt_out_back(held: dict[str, str], fate: str) -> None:
    """A subscribe without a date is stamped when it is sent: an opt-out from before that, which came in later, is no older one."""
    cell = {"consent": "SUBSCRIBED", "consent_timestamp": LATER, **held}
    found, _ = run(Consenting([profile(ADA, email_marketing=cell)]), [{"email": ADA, "email_marketing": OUT_MAY}])
    assert fates(found) == [{"email_marketing": fate}]


def test_on_a_tie_the_opt_out_wins() -> None:
    """An opt-out of the very moment of Klaviyo's subscribe is sent."""
    script = Consenting([profile(ADA, email_marketing=("SUBSCRIBED", AT.isoformat()))])
    found, _ = run(script, [{"email": ADA, "email_marketing": OUT_MAY}])
    assert fates(found) == [{"email_marketing": "sent"}]


def test_modes() -> None:
    """`ignore` sends no undated subscribe and `resubscribe` every one; neither reads anything for them."""
    for mode, fate in (("ignore", "nothing"), ("resubscribe", "sent")):
        script = Consenting([profile(ADA, email_marketing=("UNSUBSCRIBED", LATER))])
        found, server = run(script, [{"email": ADA, "email_marketing": IN}], Consent(email_marketing="e", undated=mode))  # type: ignore[arg-type]
        assert fates(found) == [{"email_marketing": fate}]
        assert all(asked.method == "POST" for asked in server.asked)


def test_the_calls() -> None:
    """Unsubscribes go first and never with a list; dates only in historical calls; all channels of a person in one call."""
    rows = [
        {"email": ADA, "phone_number": PHONE, "email_marketing": IN_MAY, "sms_marketing": IN_MAY, "age_gated_date_of_birth": "1990-02-01"},
        {"email": BOB, "phone_number": "+15005550007", "email_marketing": OUT, "sms_marketing": IN},
    ]
    script = Consenting([profile(ADA, PHONE), profile(BOB, "+15005550007")])
    settings = Consent(email_marketing="e", sms_marketing="s", list="Y6nRLr", source="Warehouse")  # type: ignore[arg-type,call-arg]
    _, server = run(script, rows, settings)
    unsubscribe, dated, undated = (asked for asked in server.asked if asked.method == "POST")
    assert unsubscribe.path == UNSUBSCRIBE
    assert b"Y6nRLr" not in unsubscribe.body
    assert people(unsubscribe) == [{"email": BOB, "subscriptions": {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}}]
    consent = {"marketing": {"consent": "SUBSCRIBED", "consented_at": "2026-05-01T12:00:00Z"}}
    ada = {
        "email": ADA,
        "phone_number": PHONE,
        "age_gated_date_of_birth": "1990-02-01",
        "subscriptions": {"email": consent, "sms": consent},
    }
    assert people(dated) == [ada]
    assert attributes(dated)["historical_import"] is True
    assert attributes(dated)["custom_source"] == "Warehouse"
    assert b'"relationships":{"list":{"data":{"type":"list","id":"Y6nRLr"}}}' in dated.body
    assert people(undated) == [{"phone_number": "+15005550007", "subscriptions": {"sms": {"marketing": {"consent": "SUBSCRIBED"}}}}]
    assert "historical_import" not in attributes(undated)


def test_fewest_requests() -> None:
    """1,000 a subscribe call, 100 an unsubscribe call, 100 a reading; nothing is read for an undated unsubscribe."""
    many = [f"p{n}@shop.example" for n in range(2_500)]
    _, server = run(Consenting(), [{"email": email, "email_marketing": IN_MAY} for email in many])
    assert [asked.method for asked in server.asked] == ["GET"] * 25 + ["POST"] * 3
    assert sorted(len(people(asked)) for asked in server.bodies(SUBSCRIBE)) == [500, 1_000, 1_000]
    _, server = run(Consenting(), [{"email": email, "email_marketing": OUT} for email in many[:250]])
    assert sorted(len(people(asked)) for asked in server.asked) == [50, 100, 100]
    _, server = run(Consenting(), [{"email": email, "email_marketing": IN} for email in many[:250]])
    assert [asked.method for asked in server.asked] == ["GET", "GET", "GET", "POST"]


def test_another_profile_may_have_the_number() -> None:
    """Who is found by e-mail address is looked up by phone number as well: the number's opt-out counts, whichever profile has it."""
    script = Consenting([profile(ADA, PHONE), profile(BOB, PHONE, sms_marketing=("UNSUBSCRIBED", LATER))])
    found, server = run(script, [{"email": ADA, "phone_number": PHONE, "email_marketing": IN, "sms_marketing": IN}])
    assert fates(found) == [{"email_marketing": "sent", "sms_marketing": "guarded"}]
    assert [asked.method for asked in server.asked] == ["GET", "GET", "POST"]


def test_an_opt_out_goes_out_while_anybody_with_the_number_can_be_written_to() -> None:
    """Of two profiles with a number the one that is subscribed decides about an opt-out, even if the other one has opted out later."""
    script = Consenting(
        [profile(ADA, PHONE, sms_marketing=("SUBSCRIBED", EARLIER)), profile(BOB, PHONE, sms_marketing=("UNSUBSCRIBED", LATER))]
    )
    found, _ = run(script, [{"email": ADA, "phone_number": PHONE, "sms_marketing": OUT_MAY}])
    assert fates(found) == [{"sms_marketing": "sent"}]


def test_unimported_profiles_keep_their_statements() -> None:
    """Consent goes out only for profiles that arrived."""
    rows = [{"email": f"p{n}@shop.example", "email_marketing": IN_MAY} for n in range(4)]
    found, server = run(Consenting(), rows, fates=["imported", "refused", "failed", "unknown"])
    assert [one["email_marketing"] for one in fates(found)] == ["sent", "refused", "refused", "unknown"]
    assert len(people(server.bodies(SUBSCRIBE)[0])) == 1


def test_profiles_that_klaviyo_does_not_show_are_unknown() -> None:
    """Somebody whose profile is not shown in a minute is not subscribed, with or without a date; an opt-out goes out all the same."""
    rows = [{"email": f"{n}{ADA}", "email_marketing": said} for n, said in enumerate((IN, IN_MAY, OUT_MAY))]
    found, server = run(Consenting(), rows, shown=False)
    assert fates(found) == [{"email_marketing": "unknown"}, {"email_marketing": "unknown"}, {"email_marketing": "sent"}]
    assert set(codes(found).values()) == {"consent_unseen"}
    assert len([asked for asked in server.asked if asked.method == "GET"]) == 1 + len(WAITS)


@pytest.mark.parametrize("said", [IN, IN_MAY])
def test_profiles_that_klaviyo_shows_late(said: tuple[str, object]) -> None:
    """Who is shown on a later look is subscribed; only who is missing is asked for again."""
    script = Consenting([profile(ADA)])
    rows = [{"email": ADA, "email_marketing": said}, {"email": BOB, "email_marketing": said}]
    looks: list[str] = []

    def late(asked: Asked) -> None:
        if asked.method == "GET":
            looks.append(asked.query["filter"])
            if len(looks) == 3:
                script.profiles.append(profile(BOB))

    script.judge = late
    found, _ = run(script, rows, shown=False)
    assert fates(found) == [{"email_marketing": "sent"}] * 2
    assert looks == [f'any(email,["{ADA}","{BOB}"])', f'any(email,["{BOB}"])', f'any(email,["{BOB}"])']


@pytest.mark.parametrize("identifiers", [{"email": ADA}, {"external_id": "7"}])
def test_a_number_that_klaviyo_did_not_take(identifiers: dict[str, str]) -> None:
    """A profile that is shown without the number of the statement is no open question: running the window again would not help."""
    script = Consenting([{**profile(None), **identifiers}])
    row = {**identifiers, "phone_number": PHONE, "sms_marketing": IN_MAY}
    found, server = run(script, [row], shown=False)
    assert fates(found) == [{"sms_marketing": "refused"}]
    assert codes(found) == {(0, "sms_marketing"): "consent_without_address"}
    assert not server.bodies(SUBSCRIBE)


@pytest.mark.parametrize(
    ("held", "said", "fate", "code"),
    [
        ({"suppression": [{"reason": "USER_SUPPRESSED", "timestamp": LATER}]}, IN_MAY, "skipped", "consent_older"),
        ({"suppression": [{"reason": "USER_SUPPRESSED", "timestamp": EARLIER}]}, IN_MAY, "sent", None),
        ({"suppression": [{"reason": "USER_SUPPRESSED"}]}, IN_MAY, "skipped", "consent_older"),
        ({"suppression": [{"reason": "HARD_BOUNCE", "timestamp": EARLIER}]}, IN_MAY, "guarded", "consent_undeliverable"),
        ({"suppression": [{"reason": "HARD_BOUNCE", "timestamp": EARLIER}]}, IN, "guarded", "consent_undeliverable"),
        ({"list_suppressions": [{"list_id": "Y6nRLr", "reason": "UNSUBSCRIBE", "timestamp": LATER}]}, IN_MAY, "skipped", "consent_older"),
        ({"list_suppressions": [{"list_id": "Y6nRLr", "reason": "UNSUBSCRIBE", "timestamp": EARLIER}]}, IN, "guarded", "consent_guarded"),
        ({"consent": "SOMETHING_NEW"}, IN_MAY, "guarded", "consent_unreadable"),
        (
            {"consent": "SUBSCRIBED", "consent_timestamp": EARLIER, "suppression": [{"reason": "SPAM_REPORT", "timestamp": EARLIER}]},
            IN_MAY,
            "guarded",
            "consent_suppressed",
        ),
        ({"consent": "UNSUBSCRIBED", "consent_timestamp": EARLIER, "last_updated": LATER}, IN_MAY, "skipped", "consent_older"),
    ],
)
def test_what_klaviyo_holds_is_read_before_a_dated_subscribe(held: dict[str, Any], said: Any, fate: str, code: str | None) -> None:
    """Klaviyo compares dates with opt-outs only: suppressions, and what is not known, are compared before anything is sent."""
    cell = {"consent": "NEVER_SUBSCRIBED", "consent_timestamp": None, **held}
    found, server = run(Consenting([profile(ADA, email_marketing=cell)]), [{"email": ADA, "email_marketing": said}])
    assert fates(found) == [{"email_marketing": fate}]
    assert codes(found) == ({} if code is None else {(0, "email_marketing"): code})
    assert bool(server.bodies(SUBSCRIBE)) == (fate == "sent")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("other", "said", "fate"),
    [
        (("SUBSCRIBED", EARLIER), IN, "guarded"),
        (("NEVER_SUBSCRIBED", None), IN, "guarded"),
        (("UNSUBSCRIBED", EARLIER), IN_MAY, "skipped"),
        ({"suppression": [{"reason": "HARD_BOUNCE", "timestamp": EARLIER}]}, IN_MAY, "guarded"),
    ],
)
def test_two_profiles_with_one_number(other: Any, said: Any, fate: str, order: int) -> None:
    """Whatever speaks against sending counts, and so does the latest of two opt-outs, whichever profile comes first."""
    held = [("UNSUBSCRIBED", LATER), other]
    script = Consenting([profile(None, PHONE, sms_marketing=one) for one in held[::order]])
    found, server = run(script, [{"phone_number": PHONE, "sms_marketing": said}])
    assert fates(found) == [{"sms_marketing": fate}]
    assert not server.bodies(SUBSCRIBE)


def test_a_profile_without_subscriptions_is_not_known() -> None:
    """When Klaviyo shows a profile and nothing of its consent, nobody is subscribed."""
    found, server = run(Consenting([{"email": ADA, "phone_number": None}]), [{"email": ADA, "email_marketing": IN}])
    assert codes(found) == {(0, "email_marketing"): "consent_unreadable"}
    assert not server.bodies(SUBSCRIBE)


def test_a_newer_opt_out_refreshes_an_older_one() -> None:
    """Klaviyo then holds the date that keeps older subscribes away; an opt-out that Klaviyo has as new is not sent again."""
    script = Consenting([profile(ADA, email_marketing=("UNSUBSCRIBED", EARLIER)), profile(BOB, email_marketing=("UNSUBSCRIBED", LATER))])
    found, _ = run(script, [{"email": ADA, "email_marketing": OUT_MAY}, {"email": BOB, "email_marketing": OUT_MAY}])
    assert fates(found) == [{"email_marketing": "sent"}, {"email_marketing": "already"}]


def test_a_dated_and_an_undated_channel_share_a_call() -> None:
    """The call has no dates, so the dated channel is compared before; what was sent without its date is said."""
    script = Consenting([profile(ADA, PHONE), profile(BOB, "+15005550007", email_marketing=("UNSUBSCRIBED", LATER))])
    rows = [
        {"email": ADA, "phone_number": PHONE, "email_marketing": IN_MAY, "sms_marketing": IN},
        {"email": BOB, "phone_number": "+15005550007", "email_marketing": IN_MAY, "sms_marketing": IN},
    ]
    found, server = run(script, rows)
    assert fates(found) == [{"email_marketing": "sent", "sms_marketing": "sent"}, {"email_marketing": "skipped", "sms_marketing": "sent"}]
    assert found.undated == {(0, "email_marketing")}
    assert len(server.bodies(SUBSCRIBE)) == 1
    assert "historical_import" not in attributes(server.bodies(SUBSCRIBE)[0])


def test_an_outage_is_not_a_fate() -> None:
    """When Klaviyo is away, the run breaks: nothing is claimed."""
    with pytest.raises(Unavailable):
        run(Consenting(judge=lambda _: Says(503)), [{"email": ADA, "email_marketing": IN_MAY}])


@pytest.mark.parametrize("said", [IN, IN_MAY])
def test_an_address_that_klaviyo_cannot_look_up_is_guarded(said: tuple[str, object]) -> None:
    """A refused lookup is halved down to the one at fault; the others are read."""
    people_ = [f"p{n}@shop.example" for n in range(8)]
    judge = lambda asked: Says(400, errors(("/", "Invalid filter"))) if people_[5] in asked.query.get("filter", "") else None  # noqa: E731
    script = Consenting([profile(email) for email in people_], judge)
    found, _ = run(script, [{"email": email, "email_marketing": said} for email in people_])
    assert [one["email_marketing"] for one in fates(found)] == ["sent"] * 5 + ["guarded"] + ["sent"] * 2
    assert codes(found) == {(5, "email_marketing"): "consent_unreadable"}


def test_quotes_and_cases() -> None:
    """Addresses with quotes, plus signs and capitals are found."""
    odd = ["O'Hara+x@shop.example", 'a"b@shop.example', "a\\b@shop.example"]
    script = Consenting([profile(email, email_marketing=("SUBSCRIBED", EARLIER)) for email in odd])
    found, _ = run(script, [{"email": email, "email_marketing": IN} for email in odd])
    assert [one["email_marketing"] for one in fates(found)] == ["already"] * 3


def test_a_search_that_minds_the_case_of_letters() -> None:
    """People are looked for in small letters and as imported, in one request."""
    odd = "Ada.Lovelace@shop.example"
    found, server = run(Consenting([profile(odd), profile(BOB)], exact=True), [{"email": one, "email_marketing": IN} for one in (odd, BOB)])
    assert [one["email_marketing"] for one in fates(found)] == ["sent", "sent"]
    assert [asked.method for asked in server.asked] == ["GET", "POST"]


def test_no_address_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    """Not even urllib3's debug lines show who is looked up."""
    caplog.set_level(logging.DEBUG)
    run(Consenting([profile(ADA)]), [{"email": ADA, "email_marketing": IN}])
    assert "/api/profiles" in caplog.text
    assert "shop.example" not in caplog.text
    assert "filter" not in caplog.text


def test_dates_keep_their_fractions() -> None:
    """A date goes out in UTC as it was stated."""
    _, server = run(Consenting(), [{"email": ADA, "email_marketing": ("subscribe", AT + timedelta(microseconds=250_000))}])
    assert b'"consented_at":"2026-05-01T12:00:00.250000Z"' in server.bodies(SUBSCRIBE)[0].body


def test_nothing_is_kept_from_batch_to_batch() -> None:
    """Statuses are held for one batch only: ten batches take no more memory than two."""

    def peak(batches: int) -> int:
        script = Consenting([profile(f"p{n}@shop.example", email_marketing=("SUBSCRIBED", EARLIER)) for n in range(500)])
        with serving(script) as server, quick(server.url) as (klaviyo, _):
            gc.collect()
            tracemalloc.start()
            for _ in range(batches):
                send_consent(klaviyo, outcome([{"email": f"p{n}@shop.example", "email_marketing": IN} for n in range(500)]), GUARD)
                server.asked.clear()
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    peak(1)  # what is only ever allocated once
    assert peak(10) < 1.2 * peak(2)
