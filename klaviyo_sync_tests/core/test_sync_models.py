"""The models of one sync: what they derive, and what they refuse whoever makes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.notation import parse_duration
from klaviyo_sync.core.reserved import reserved_name
from klaviyo_sync.core.sync import CHANNELS, Consent, Sync
from klaviyo_sync.core.tolerance import Limit, parse_limit

MEMBERS: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "crm.members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": date(2026, 1, 1),
    "profile": {"email": "email"},
}


def test_defaults() -> None:
    """What the file leaves out has the documented value."""
    sync = Sync.model_validate(MEMBERS)
    assert (sync.settle, sync.overlap, sync.catch_up) == (timedelta(minutes=5), timedelta(0), timedelta(days=7))
    assert (sync.on_null, sync.history, sync.zone, sync.owners, sync.tags) == ("keep", "include", ZoneInfo("UTC"), (), {})
    assert (sync.tolerance.rejected.share, sync.tolerance.failed.rows) == (Decimal("0.01"), 0)


def test_a_start_is_wall_time_in_the_zone_of_the_windows() -> None:
    """A start without a zone is wall time; one with a zone is converted."""
    berlin = {"column": "updated_at", "timezone": "Europe/Berlin"}
    assert Sync.model_validate(MEMBERS | {"modified_at": berlin}).starts_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    sync = Sync.model_validate(MEMBERS | {"modified_at": berlin, "start": moment})
    assert (sync.starts_at, sync.starts_at.tzinfo) == (moment, ZoneInfo("Europe/Berlin"))


def test_columns_are_read_once_each() -> None:
    """A column that fills several fields is read once; modified_at comes last."""
    sync = Sync.model_validate(MEMBERS | {"properties": {"A": "email", "B": "b"}, "list_id": "Y6nRLr"})
    assert sync.columns() == ("email", "b", "updated_at")


def test_models_cannot_be_changed() -> None:
    """A sync is a value."""
    sync = Sync.model_validate(MEMBERS)
    with pytest.raises(ValidationError):
        sync.name = "other"


def test_all_faults_come_at_once() -> None:
    """Faults between keys are reported together with faults of single keys, whatever is wrong first."""
    wrong = MEMBERS | {
        "query": "SELECT 1",
        "frequency": "never",
        "profile": {"first_name": {"column": "a", "country": "c"}},
        "owners": ["x"],
    }
    with pytest.raises(ValidationError) as caught:
        Sync.model_validate(wrong)
    assert {error["loc"] for error in caught.value.errors()} == {
        *(("query",), ("frequency",), ("profile",), ("profile", "first_name", "country"), ("owners", 0)),
    }


@pytest.mark.parametrize("channel", CHANNELS)
def test_consent_needs_its_identifier(channel: str) -> None:
    """Consent for a channel goes nowhere without the address or number that it is for."""
    needed = "email" if channel == "email_marketing" else "phone_number"
    other = {"phone_number": "phone"} if needed == "email" else {"email": "email"}
    with pytest.raises(ValidationError, match=f"consent for {channel} needs the attribute {needed}"):
        Sync.model_validate(MEMBERS | {"profile": other, "consent": {channel: "c"}})
    sync = Sync.model_validate(MEMBERS | {"profile": {**other, needed: "n"}, "consent": {channel: "c"}})
    assert sync.consent is not None
    assert list(sync.consent.channels()) == [channel]


def test_a_timestamp_alone_is_consent() -> None:
    """A channel may name a timestamp only, as in Klaviyo's file uploads."""
    consent = Consent.model_validate({"sms_marketing": {"timestamp": "at"}})
    assert [(field.column, field.date_column) for field in consent.channels().values()] == [(None, "at")]


@given(count=st.integers(0, 10_000), unit=st.sampled_from("smh"))
def test_durations_are_what_they_say(count: int, unit: str) -> None:
    """A duration is its number of its unit."""
    assert parse_duration(f"{count}{unit}") == count * {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}[unit]


@given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.floats()))
def test_durations_are_durations_or_refused(value: object) -> None:
    """Whatever stands for a duration becomes one of at most ten years, or is refused."""
    try:
        assert timedelta(0) <= parse_duration(value) <= timedelta(days=3660)
    except ValueError as error:
        assert "expected a duration" in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("written", "count", "read", "exceeded"),
    [
        ("1%", 1, 100, False),
        ("1%", 2, 100, True),
        ("0%", 0, 0, False),
        ("0", 1, 9, True),
        (5, 5, 9, False),
        (5, 6, 9, True),
        ("100%", 9, 9, False),
    ],
)
def test_limits(written: object, count: int, read: int, *, exceeded: bool) -> None:
    """A limit is exceeded by more than it allows, never by exactly that."""
    limit = parse_limit(written)
    assert isinstance(limit, dict)
    assert Limit(**limit).exceeded_by(count, read) is exceeded


@pytest.mark.parametrize("value", [True, -1, "-1", "101%", "1 %%", "", None, 1.5, "1e3", [], {"share": 2}])
def test_limits_that_are_none(value: object) -> None:
    """A limit is a share or a number of rows, and nothing else."""
    with pytest.raises(ValueError, match="expected a share of the rows"):
        parse_limit(value)


@pytest.mark.parametrize("name", ["Loyalty_Balance", "segments", "Favourite colour", "first-name", "Zip", "consent_source", "naïve", "1"])
def test_names_that_are_free(name: str) -> None:
    """Names that Klaviyo has no use for are free."""
    assert reserved_name(name) is None


def test_the_nearest_word() -> None:
    """Case does not matter to nearness; a word that is near to none has no suggestion."""
    words = ("email", "Email_Address", "phone_number")
    assert did_you_mean("EMIAL", words) == '; did you mean "email"?'
    assert did_you_mean("email_adress", words) == '; did you mean "Email_Address"?'
    assert did_you_mean("zzz", words) == ""
    assert did_you_mean(None, ()) == ""
