"""What the account and its lists make of consent: double opt-in, lists, countries without a number, dates of birth, no texts at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from consent_place import Place, day, mail, phone, placed

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Channel

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINGLE, DOUBLE = "VRgFBd", "Y6nRLr"


def row(number: int, **cells: Any) -> dict[str, Any]:
    """The row of a person, changed an hour ago."""
    return {"email": mail(number), "phone": phone(number), "changed": NOW - HOUR, **cells}


def result(place: Place, **consent: Any) -> Result:
    """The result of today's window."""
    return place.run([day(NOW)], **consent).results[day(NOW)]


def codes(found: Result) -> dict[tuple[str, str], int]:
    """The issues of a result by channel and code."""
    return {(kind.column, kind.code): number for kind, number in found.issues.items()}


def test_double_opt_in(tmp_path: Path) -> None:
    """Who has no date is subscribed once they confirm, and asked again by every run until then; who has one is subscribed at once."""
    with placed(tmp_path, NOW, opt_in_process="double_opt_in") as place:
        place.fill(
            [
                row(0, email_marketing="Subscribe"),
                row(1, email_marketing="Subscribe", email_marketing_at=NOW - DAY),
                row(2, email_marketing="Subscribe"),
            ]
        )
        assert result(place).consent["email_marketing"].sent == 3
        assert [place.status(number) for number in range(3)] == ["NEVER_SUBSCRIBED", "SUBSCRIBED", "NEVER_SUBSCRIBED"]
        place.box.confirm(mail(0))
        place.now += HOUR
        again = result(place).consent["email_marketing"]
        assert (again.sent, again.already) == (1, 2)
        place.box.opt_out(mail(2), "email_marketing")
        place.now += HOUR
        assert result(place).consent["email_marketing"].guarded == 1
        assert [place.status(number) for number in range(3)] == ["SUBSCRIBED", "SUBSCRIBED", "UNSUBSCRIBED"]


def test_lists(tmp_path: Path) -> None:
    """Subscribers join the list of the sync, by its process; whoever unsubscribes is unsubscribed from everything, member or not."""
    with placed(tmp_path, NOW, opt_in_process="double_opt_in") as place:
        place.fill([row(0, email_marketing="Subscribe"), row(1, email_marketing="Unsubscribed")])
        place.box.opt_in(mail(1), "email_marketing", NOW - DAY)
        result(place, list=SINGLE)
        assert [place.status(0), place.status(1)] == ["SUBSCRIBED", "UNSUBSCRIBED"]
        assert set(place.box.lists[SINGLE].members) == {place.box.profiles.find("email", mail(0))}
        place.now += HOUR
        place.fill([row(0, email_marketing="Unsubscribed", changed=NOW)])
        result(place, list=SINGLE)
        assert place.status(0) == "UNSUBSCRIBED"
        assert not place.box.consent(mail(0)).list_suppressions


def test_one_list_left_is_an_opt_out(tmp_path: Path) -> None:
    """Who left the list by their own hand is not put back on it by a row without a date."""
    with placed(tmp_path, NOW) as place:
        place.fill([row(0, email_marketing="Subscribe")])
        place.box.consents.leave(place.box.person(mail(0)), SINGLE, NOW.timestamp())
        assert codes(result(place, list=SINGLE)) == {("email_marketing", "consent_guarded"): 1}
        assert SINGLE in place.box.consent(mail(0)).list_suppressions


TEXTS: dict[Channel, str] = {"email_marketing": "Subscribe", "sms_marketing": "Subscribe", "whatsapp_marketing": "Subscribe"}


@pytest.mark.parametrize(
    ("account", "code"),
    [({"sms_regions": {"US", "GB"}}, "region_without_sender"), ({"age_gating": True}, "age_gated")],
    ids=["no sending number", "no date of birth"],
)
@pytest.mark.parametrize("at", [None, NOW - DAY])
def test_what_an_account_refuses(tmp_path: Path, account: Mapping[str, Any], code: str, at: datetime | None) -> None:
    """The channel that Klaviyo refuses stays behind, with the reason; the person's other channels, and other people, go out."""
    with placed(tmp_path, NOW, **account) as place:
        dates = {f"{channel}_at": at for channel in TEXTS}
        place.fill([{**row(0), **TEXTS, **dates}, row(1, email_marketing="Subscribe", email_marketing_at=at)])
        found = result(place)
        assert found.consent["email_marketing"] == ConsentCounts(stated=2, sent=2)
        assert found.consent["sms_marketing"] == ConsentCounts(stated=1, refused=1)
        assert found.consent["whatsapp_marketing"] == ConsentCounts(stated=1, sent=1)
        assert codes(found) == {("sms_marketing", code): 1}
        assert [place.status(0, channel) for channel in TEXTS] == ["SUBSCRIBED", "NEVER_SUBSCRIBED", "SUBSCRIBED"]


def test_age_gating_with_dates_of_birth(tmp_path: Path) -> None:
    """With the column mapped, texts are subscribed where it has a date."""
    with placed(tmp_path, NOW, age_gating=True) as place:
        place.fill([{**row(0, born="1990-02-01"), **TEXTS}, {**row(1), **TEXTS}])
        found = result(place, age_gated_date_of_birth="born")
        assert found.consent["sms_marketing"] == ConsentCounts(stated=2, sent=1, refused=1)
        assert [place.status(number, "sms_marketing") for number in (0, 1)] == ["SUBSCRIBED", "NEVER_SUBSCRIBED"]


def test_an_account_that_cannot_text(tmp_path: Path) -> None:
    """Klaviyo refuses people that it knows by their number only, with their profile; others keep their e-mails."""
    with placed(tmp_path, NOW, sms=False) as place:
        place.fill([row(0, email=None, sms_marketing="Subscribe"), row(1, email_marketing="Subscribe", sms_marketing="Subscribe")])
        found = result(place)
        assert found.refused == 1
        assert found.consent["sms_marketing"].refused == 1
        assert codes(found)["sms_marketing", "consent_without_profile"] == 1
        assert place.status(1) == "SUBSCRIBED"
        assert place.status(1, "sms_marketing") == "NEVER_SUBSCRIBED"
