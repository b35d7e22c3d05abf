"""Answers that show less than was asked for, or something else: nobody who was not read counts as read."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from consenting_klaviyo import IN, Consenting, fates, profile, run
from importing import counted, reasons
from importing import run as run_import
from scripted_klaviyo import Asked, Importing, Says, batch, complete, quick, serving

from klaviyo_sync.core.errors import Refused
from klaviyo_sync.klaviyo.client import MOST_PAGES
from klaviyo_sync.klaviyo.holdings import Holdings
from klaviyo_sync.klaviyo.jobs import looked_up, prepare

PHONES = [f"+1500555{number:04}" for number in range(100)]


@dataclass
class Paged(Consenting):
    """Shows profiles in pages, with the address of the next one as long as there is any."""

    size: int = 100

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        answer = super().__call__(asked)
        if asked.method != "GET":
            return answer
        assert isinstance(answer.body, dict)
        data, start = answer.body["data"], int(asked.query.get("page[cursor]", 0))
        query = urlencode({**asked.query, "page[cursor]": start + self.size})
        following = f"/api/profiles?{query}" if len(data) > start + self.size else None
        return Says(200, {"data": data[start : start + self.size], "links": {"next": following}})


def shared(phone: str, **channels: Any) -> list[dict[str, Any]]:
    """A profile for each of PHONES, and last a second one with one of these numbers."""
    return [*(profile(None, one) for one in PHONES), profile(None, phone, **channels)]


@dataclass
class Endless(Paged):
    """Always has another page."""

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        answer = super().__call__(asked)
        if asked.method != "GET":
            return answer
        assert isinstance(answer.body, dict)
        query = urlencode({**asked.query, "page[cursor]": int(asked.query.get("page[cursor]", 0)) + 1})
        return Says(200, {"data": answer.body["data"], "links": {"next": f"/api/profiles?{query}"}})


@pytest.mark.parametrize("size", [3, 40, 100])
@pytest.mark.parametrize("phone", [PHONES[0], PHONES[57], PHONES[99]])
def test_people_beyond_a_page_are_read(phone: str, size: int) -> None:
    """Every page of an answer is read: who opted out on a later page is not subscribed, and all others are."""
    script = Paged(shared(phone, sms_marketing=("UNSUBSCRIBED", "2026-01-01T00:00:00Z")), size=size)
    found, server = run(script, [{"phone_number": one, "sms_marketing": IN} for one in PHONES])
    settled = {one: row["sms_marketing"] for one, row in zip(PHONES, fates(found), strict=True)}
    assert settled.pop(phone) == "guarded"
    assert set(settled.values()) == {"sent"}
    assert len([asked for asked in server.asked if asked.method == "GET"]) == -(-101 // size)


def test_pages_without_end_are_not_followed_for_ever() -> None:
    """Where Klaviyo shows more pages than a hundred people can have, smaller parts are asked for, and who is left is not readable."""
    script = Endless([profile(None, one) for one in PHONES[:2]])
    found, server = run(script, [{"phone_number": one, "sms_marketing": IN} for one in PHONES[:2]])
    assert [row["sms_marketing"] for row in fates(found)] == ["guarded"] * 2
    assert len(server.asked) == 3 * MOST_PAGES


@pytest.mark.parametrize("size", [40, 100])
def test_values_beyond_a_page_are_read(size: int) -> None:
    """A field that is filled in a profile on a later page is not taken for empty."""
    profiles = [{**one, "title": None} for one in shared(PHONES[57])]
    profiles[-1]["title"] = "Dr"
    with serving(Paged(profiles, size=size)) as server, quick(server.url) as (klaviyo, _):
        holdings = Holdings(klaviyo, ["title"])
        holdings.read_all([{"phone_number": one} for one in PHONES])
    assert [phone for phone in PHONES if holdings.of([("phone_number", phone)])] == [PHONES[57]]


def test_pages_without_need_are_not_asked_for() -> None:
    """A full page that is the last one is not asked for again."""
    _, server = run(Paged([profile(None, one) for one in PHONES]), [{"phone_number": one, "sms_marketing": IN} for one in PHONES])
    assert len([asked for asked in server.asked if asked.method == "GET"]) == 1


def test_another_job_is_no_answer() -> None:
    """A job is known by its id: the state of another one proves nothing."""
    other = Says(200, {"data": {"type": "profile-bulk-import-job", "id": "other", "attributes": complete(1)}})
    with serving(lambda _: other) as server, quick(server.url) as (klaviyo, _):
        assert looked_up(klaviyo, "mine") is None
        assert looked_up(klaviyo, "other") == complete(1)


def test_two_batches_with_one_job_are_not_both_imported() -> None:
    """When Klaviyo gives two batches the id of one job, the second one is unknown."""
    script = Importing()

    def same_id(asked: Asked) -> Says:
        answer = script(asked)
        return Says(202, {"data": {"type": "profile-bulk-import-job", "id": "job0"}}) if asked.method == "POST" else answer

    outcomes, _ = run_import(same_id, batch(2), batch(2, start=2))
    assert counted(outcomes) == {"imported": 2, "unknown": 2}
    assert any("another import job" in reason.detail for reason in reasons(outcomes))


def test_another_list_is_no_answer() -> None:
    """A run does not begin when Klaviyo answers about another list than the sync names."""

    def script(asked: Asked) -> Says:
        kind = "account" if asked.path == "/api/accounts" else "list"
        data = {"type": kind, "id": "OTHER1", "attributes": {}}
        return Says(200, {"data": [data] if kind == "account" else data})

    with serving(script) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused, match="another list"):
        prepare(klaviyo, ["Y6nRLr"])


def test_jobs_that_have_ended_are_not_waited_for() -> None:
    """Of the jobs that Klaviyo lists as unfinished, those whose state is complete or cancelled hold nobody up."""

    def script(asked: Asked) -> Says:
        if asked.path == "/api/accounts":
            return Says(200, {"data": [{"type": "account", "id": "ACCNT1", "attributes": {}}]})
        states = ("complete", "cancelled")
        return Says(200, orjson.dumps({"data": [{"type": "job", "id": state, "attributes": {"status": state}} for state in states]}))

    with serving(script) as server, quick(server.url) as (klaviyo, passing):
        assert prepare(klaviyo, [], stop=Event()) == {}
        assert passing.slept == 0
