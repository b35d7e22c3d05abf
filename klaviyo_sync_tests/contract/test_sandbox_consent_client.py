"""The client's consent against the sandbox: both read Klaviyo's rules, each by itself, and the end states agree."""

from __future__ import annotations

from api_client import Clock
from consenting_klaviyo import ADA, BOB, GUARD, IN, IN_MAY, OUT, outcome
from scripted_klaviyo import quick

from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.sandbox import Sandbox, serve

CAT, DAN, EVE, EVES = "cat@shop.example", "dan@shop.example", "eve@shop.example", "+12025550123"


def test_the_client_and_the_sandbox_agree_on_end_states() -> None:
    """Opt-outs and bounces are guarded, old subscribes are skipped, and a text that cannot be sent spares the e-mail."""
    sandbox = Sandbox(limits=False, consent_seconds=0.0, opt_in_process="single_opt_in", sms_regions={"GB"})
    sandbox.opt_in(ADA, "email_marketing")
    sandbox.opt_out(BOB, "email_marketing")
    sandbox.suppress(CAT, "HARD_BOUNCE")
    sandbox.person(DAN)
    sandbox.profiles.upsert(None, {"email": EVE, "phone_number": EVES}, sandbox.now())
    rows = [
        {"email": ADA, "email_marketing": IN},
        {"email": BOB, "email_marketing": IN},
        {"email": CAT, "email_marketing": IN},
        {"email": DAN, "email_marketing": OUT},
        {"email": EVE, "phone_number": EVES, "email_marketing": IN_MAY, "sms_marketing": IN_MAY},
    ]
    with serve(sandbox) as server, quick(server.url) as (klaviyo, _):
        first = send_consent(klaviyo, outcome(rows), GUARD).counts()
        second = send_consent(klaviyo, outcome([{"email": BOB, "email_marketing": IN_MAY}]), GUARD).counts()

    mails = first["email_marketing"]
    assert (mails.stated, mails.sent, mails.already, mails.guarded) == (5, 2, 1, 2)
    assert (first["sms_marketing"].refused, second["email_marketing"].skipped) == (1, 1)
    statuses = [sandbox.consent(person).status("email_marketing") for person in (ADA, BOB, CAT, DAN, EVE)]
    assert statuses == ["SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "UNSUBSCRIBED", "SUBSCRIBED"]
    assert list(sandbox.consent(CAT).suppressions) == ["HARD_BOUNCE"]


def test_profiles_that_are_listed_late_are_waited_for() -> None:
    """Whoever was imported a moment ago is subscribed once Klaviyo lists them; when that takes minutes, they are left for the next run."""
    clock = Clock(1_790_000_000.0)
    sandbox = Sandbox(limits=False, consent_seconds=0.0, profile_seconds=20.0, clock=clock)
    rows = [{"email": ADA, "email_marketing": IN_MAY}, {"email": BOB, "email_marketing": IN}]

    def pass_time(seconds: float) -> None:
        clock.at += seconds

    with serve(sandbox) as server, quick(server.url, clock=clock, sleep=pass_time) as (klaviyo, _):
        for person in (ADA, BOB):
            sandbox.person(person)
        began = clock.at
        first = send_consent(klaviyo, outcome(rows), GUARD)
        waited = clock.at - began
        sandbox.profile_seconds = 600.0
        late = send_consent(klaviyo, outcome([{"email": EVE, "email_marketing": IN_MAY}]), GUARD)

    assert first.counts()["email_marketing"].sent == 2
    assert waited == 2 + 4 + 8 + 16
    assert first.requests == 5 + 2
    assert late.counts()["email_marketing"].unknown == 1
