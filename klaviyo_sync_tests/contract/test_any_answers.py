"""Klaviyo as an enemy: whatever comes back, a run ends, each row has a fate, and only the three kinds of exception are raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from any_answers import DOCUMENT, ERROR, JSON, MOMENTS, SAYS, SUBSCRIPTIONS
from consenting_klaviyo import GUARD, IN, IN_MAY, OUT, OUT_MAY, PHONE, Consenting, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_klaviyo import Asked, Importing, Says, Scripted, batch, quick, serving

from how_many import examples
from klaviyo_sync.core.decisions import Present
from klaviyo_sync.core.errors import ConfigError, Refused, Unavailable
from klaviyo_sync.core.sync import CHANNELS
from klaviyo_sync.klaviyo.answers import MOST_ERRORS, GarbledError, api_error, api_errors, next_page, resources
from klaviyo_sync.klaviyo.attribution import Attribution
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import created, prepare
from klaviyo_sync.klaviyo.presents import present

KINDS = (ConfigError, Refused, Unavailable)
ROWS = [
    {"email": "person0@shop.example", "email_marketing": IN},
    {"email": "person1@shop.example", "phone_number": PHONE, "email_marketing": OUT_MAY, "sms_marketing": IN_MAY},
    {"email": "person2@shop.example", "phone_number": "+15005550007", "email_marketing": IN_MAY, "sms_marketing": OUT},
]
MOST_REQUESTS = 3_000
ACCOUNT = Says(200, {"data": [{"type": "account", "id": "ACCNT1", "attributes": {}}]})
LIST = Says(200, {"data": {"type": "list", "id": "Y6nRLr", "attributes": {"opt_in_process": "single_opt_in"}}})


@dataclass
class Enemy:
    """Gives hostile answers where it has one, in turn, and honest ones where it has None."""

    says: list[Says | None] = field(default_factory=lambda: [None])
    honest: Any = None
    asked: int = 0

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        self.asked += 1
        assert self.asked <= MOST_REQUESTS, "a run that does not end"
        return self.says[self.asked % len(self.says)] or self.truth(asked)

    def truth(self, asked: Asked) -> Says:
        """What Klaviyo would say."""
        if asked.path == "/api/accounts":
            return ACCOUNT
        if asked.path.startswith("/api/lists"):
            return LIST
        return self.honest(asked)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Enemy, Scripted]]:
    """One server for all examples."""
    enemy = Enemy()
    with serving(enemy) as made:
        yield enemy, made


def importing(klaviyo: Klaviyo) -> None:
    """Asks what a run asks before it sends, imports two batches; every row comes back once."""
    prepare(klaviyo, ["Y6nRLr"])
    found = [key for one in import_batches(klaviyo, [batch(6), batch(5, 6)]) for key in one.rows["key"].to_pylist()]
    assert sorted(found) == sorted(f"row {number}" for number in range(11))


def consenting(klaviyo: Klaviyo) -> None:
    """Sends the consent of three rows; every statement has a fate."""
    found = send_consent(klaviyo, outcome(ROWS), GUARD)
    assert all(counts.balanced for counts in found.counts().values())


STORIES = {"import": (importing, Importing), "consent": (consenting, Consenting)}


@pytest.mark.parametrize("story", STORIES)
@settings(deadline=None, max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(says=st.lists(st.none() | SAYS, min_size=1, max_size=12))
def test_whatever_klaviyo_says(server: tuple[Enemy, Scripted], story: str, says: list[Says | None]) -> None:
    """A run comes to an end, with a fate for every row or one of the three exceptions; nothing is asked of any other host."""
    enemy, scripted = server
    run, honest = STORIES[story]
    enemy.says, enemy.honest, enemy.asked = says, honest(), 0
    scripted.asked.clear()
    with quick(scripted.url) as (klaviyo, _):
        said = ""
        try:
            run(klaviyo)
        except KINDS as error:
            said = str(error)
    assert "@" not in said
    assert len(said) < 2_000
    assert all(asked.path.startswith("/api/") for asked in scripted.asked)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("klaviyo_")]


@settings(deadline=None, max_examples=examples(300))
@given(subscriptions=SUBSCRIPTIONS | JSON)
def test_any_subscriptions_can_be_read(subscriptions: Any) -> None:
    """Whatever stands where a profile's subscriptions do, something is known of each channel, or that it is unknown."""
    assert all(isinstance(present(subscriptions, channel), Present) for channel in CHANNELS)


@pytest.mark.parametrize("at", MOMENTS)
def test_any_moment_can_be_read(at: str) -> None:
    """Dates beyond what a calendar can hold in UTC are no dates."""
    held = {"consent": "SUBSCRIBED", "consent_timestamp": at, "last_updated": at, "suppression": [{"timestamp": at}]}
    assert present({"email": {"marketing": held}}, "email_marketing").status == "SUBSCRIBED"
    now = datetime.now(UTC)
    assert isinstance(created({"created_at": at}, now) >= now, bool)


@settings(deadline=None, max_examples=examples(300))
@given(errors=st.lists(ERROR | JSON.filter(lambda value: isinstance(value, dict)), max_size=6), counts=JSON)
def test_any_import_errors_can_be_read(errors: list[Any], counts: Any) -> None:
    """Errors of a job, whatever they say: each row has one fate, and a loss has a reason."""
    attribution = Attribution(batch(5).rows)
    attribution.add(map(api_error, errors))
    found = attribution.outcome(counts if isinstance(counts, dict) else {})
    assert len(found.fates) == 5
    assert set(found.reasons) == {row for row, fate in enumerate(found.fates.tolist()) if fate}


@settings(deadline=None, max_examples=examples(200))
@given(document=DOCUMENT)
def test_any_document_can_be_read(document: Any) -> None:
    """A document is what the endpoint promises, or garbled, whatever it holds."""
    api_errors(document)
    next_page(document)
    for holds in ("one", "many", "nothing"):
        try:
            found = resources(document, holds)  # type: ignore[arg-type]
        except GarbledError:
            continue
        assert all(isinstance(one["id"], str) for one in found)


def test_endless_errors_are_cut() -> None:
    """Of millions of errors only as many are held as a request can have of its own."""
    assert len(api_errors({"errors": [{}] * (MOST_ERRORS + 1)})) == MOST_ERRORS
