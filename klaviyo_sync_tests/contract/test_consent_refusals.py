"""Whatever Klaviyo refuses, and however it says so: every statement has one fate, and nobody is in two calls that were accepted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from consenting_klaviyo import (
    ADA,
    AT,
    BOB,
    IN_MAY,
    PHONE,
    PLACE,
    SUBSCRIBE,
    Consenting,
    codes,
    fates,
    outcome,
    people,
    run,
    show,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_klaviyo import Asked, Says, errors, quick, serving

from how_many import examples
from klaviyo_sync.core.errors import Refused
from klaviyo_sync.core.sync import CHANNELS, Consent
from klaviyo_sync.klaviyo.consents import send_consent

SETTINGS = Consent(email_marketing="e")  # type: ignore[arg-type]
STYLES = ("channel", "medium", "identifier", "row", "words", "nothing")


def pointed(style: str, position: int, channel: str) -> tuple[str, str]:
    """A pointer and a detail that name a channel, or less than it."""
    medium, _, purpose = channel.partition("_")
    identifier = "email" if medium == "email" else "phone_number"
    return {
        "channel": (f"{PLACE}/{position}/attributes/subscriptions/{medium}/{purpose}/consent", "Not valid."),
        "medium": (f"{PLACE}/{position}/attributes/subscriptions/{medium}", "Not valid."),
        "identifier": (f"{PLACE}/{position}/attributes/{identifier}", "Not valid."),
        "row": (f"{PLACE}/{position}", "Not valid."),
        "words": (f"{PLACE}/{position}", f"{medium} {purpose} is not valid."),
        "nothing": ("/data", "Not valid."),
    }[style]


ROW = st.dictionaries(st.sampled_from(CHANNELS), st.booleans(), min_size=1)  # channel: whether Klaviyo refuses it


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), st.sampled_from(STYLES), st.booleans(), st.sampled_from(["subscribe", "unsubscribe"]))
def test_any_refusal(rows: list[dict[str, bool]], style: str, at_once: bool, meaning: str) -> None:  # noqa: FBT001 (drawn)
    """Refused channels are refused and the others sent where Klaviyo says which; nothing refused is ever sent, and nothing is lost."""
    date = AT if meaning == "subscribe" else None
    stated: list[dict[str, Any]] = [
        {"email": f"p{n}@shop.example", "phone_number": f"+1500555{n:04}", **dict.fromkeys(row, (meaning, date))}
        for n, row in enumerate(rows)
    ]
    taken: Counter[int] = Counter()

    def number(one: dict[str, Any]) -> int:
        return int(one["email"][1:-13]) if "email" in one else int(one["phone_number"][-4:])

    def judge(asked: Asked) -> Says | None:
        if asked.method == "GET":
            return None
        sent = people(asked)
        found = [
            pointed(style, position, f"{medium}_{purpose}")
            for position, one in enumerate(sent)
            for medium, purposes in one["subscriptions"].items()
            for purpose in purposes
            if rows[number(one)][f"{medium}_{purpose}"]
        ]
        if found:
            return Says(400, errors(*(found if at_once else found[:1])))
        taken.update(map(number, sent))
        return None

    script = Consenting(judge=judge)
    show(script, stated)
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = send_consent(klaviyo, outcome(stated), SETTINGS)
    assert all(counts.balanced for counts in found.counts().values())
    assert max(taken.values(), default=1) == 1
    for row, got in zip(rows, fates(found), strict=True):
        assert set(got) == set(row)
        assert all(got[channel] == "refused" for channel, refused in row.items() if refused)
        if style == "channel":
            assert all(got[channel] == "sent" for channel, refused in row.items() if not refused)


def sms_refused(pointer: str, detail: str, code_at: int = 0) -> Any:
    """A judge that refuses calls in which somebody has the phone number PHONE."""

    def judge(asked: Asked) -> Says | None:
        if asked.method != "POST":
            return None
        at = [n for n, one in enumerate(people(asked)) if one.get("phone_number") == PHONE and "sms" in one["subscriptions"]]
        return Says(400, errors(*((pointer.format(n + code_at), detail) for n in at))) if at else None

    return judge


@pytest.mark.parametrize(
    ("pointer", "detail", "code"),
    [
        (PLACE + "/{}/attributes/subscriptions/sms/marketing/consent", "No sending number for this region.", "region_without_sender"),
        (PLACE + "/{}/attributes/phone_number", "This region is not supported.", "region_without_sender"),
        (PLACE + "/{}/attributes/age_gated_date_of_birth", "A valid date of birth is required.", "age_gated"),
        (PLACE + "/{}", "SMS cannot be used.", "consent_refused"),
        (PLACE + "/{}", "Something is wrong.", "consent_refused"),
        ("/data", "Something is wrong.", "consent_refused"),
        ("/data", "SMS configuration is required to subscribe phone number only profiles.", "channel_not_set_up"),
    ],
)
def test_a_refused_channel_takes_nothing_else_along(pointer: str, detail: str, code: str) -> None:
    """Only the channel at fault of the person at fault stays behind, however Klaviyo names it, with Klaviyo's words."""
    rows = [
        {"email": BOB, "email_marketing": IN_MAY},
        {"email": ADA, "phone_number": PHONE, "email_marketing": IN_MAY, "sms_marketing": IN_MAY},
        {"email": "eve@shop.example", "email_marketing": IN_MAY},
    ]
    found, server = run(Consenting(judge=sms_refused(pointer, detail)), rows)
    assert fates(found) == [
        {"email_marketing": "sent"},
        {"email_marketing": "sent", "sms_marketing": "refused"},
        {"email_marketing": "sent"},
    ]
    assert codes(found) == {(1, "sms_marketing"): code}
    assert found.reasons[1, "sms_marketing"].detail == detail
    assert len(server.bodies(SUBSCRIBE)) <= 8


@pytest.mark.parametrize(
    ("said", "fate"), [("before current unsubscription date", "skipped"), ("after current subscription date", "already")]
)
def test_backdated_refusals_are_no_failures(said: str, fate: str) -> None:
    """Klaviyo's refusals of older and of repeated statements are fates of their own."""
    judge = sms_refused(PLACE + "/{}/attributes/subscriptions/sms/marketing/consented_at", f"consented_at is {said}")
    found, _ = run(Consenting(judge=judge), [{"phone_number": PHONE, "sms_marketing": IN_MAY}])
    assert fates(found) == [{"sms_marketing": fate}]


def test_a_list_that_is_gone() -> None:
    """A refusal of the list is nobody's row: the run breaks, and says which list."""
    gone = Says(404, errors(("/data/relationships/list/data/id", "List not found"), code="not_found"))
    judge = lambda asked: gone if asked.method == "POST" else None  # noqa: E731
    with pytest.raises(Refused, match="Y6nRLr"):
        run(Consenting(judge=judge), [{"email": ADA, "email_marketing": IN_MAY}], Consent(email_marketing="e", list="Y6nRLr"))  # type: ignore[arg-type,call-arg]


def test_when_every_request_is_refused() -> None:
    """Refusals without end that name nothing break the run, and show nothing of what they quote: a name looks like any other word."""

    def judge(asked: Asked) -> Says | None:
        return Says(400, errors(("/data", f"{people(asked)[0]['email']} of Jane Doe is bad"))) if asked.method == "POST" else None

    rows = [{"email": f"p{n}@shop.example", "email_marketing": IN_MAY} for n in range(300)]
    with pytest.raises(Refused, match="one by one") as caught:
        run(Consenting(judge=judge), rows)
    assert "@" not in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert "invalid: Invalid input." in str(caught.value)


def test_many_named_one_at_a_time() -> None:
    """A Klaviyo that names one person per refusal still ends, in far fewer requests than people."""
    bad = {f"p{n}@shop.example" for n in range(0, 1_000, 20)}

    def judge(asked: Asked) -> Says | None:
        at = next((n for n, one in enumerate(people(asked)) if one["email"] in bad), None) if asked.method == "POST" else None
        pointer = f"{PLACE}/{at}/attributes/subscriptions/email/marketing/consented_at"
        return None if at is None else Says(400, errors((pointer, "before current unsubscription date")))

    rows = [{"email": f"p{n}@shop.example", "email_marketing": IN_MAY} for n in range(1_000)]
    found, server = run(Consenting(judge=judge), rows)
    counts = found.counts()["email_marketing"]
    assert (counts.sent, counts.skipped) == (950, 50)
    assert len(server.bodies(SUBSCRIBE)) < 200
