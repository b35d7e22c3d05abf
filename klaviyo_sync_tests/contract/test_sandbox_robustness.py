"""Whatever is sent to the sandbox, it answers: with a job or with reasons, never with a mistake of its own."""

from __future__ import annotations

from typing import Any

import orjson
from api_client import JOBS, Clock, job
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.sandbox import Sandbox, door
from klaviyo_sync.sandbox.request import Request

HEADERS = {"authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15", "content-type": "application/json"}
KEYS = st.sampled_from(
    ("type", "id", "attributes", "meta", "email", "phone_number", "location", "zip", "properties", "patch_properties", "x")
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
WORDS = st.sampled_from(("profile", "list", "Y6nRLr", "a@example.com", "b@example.com", "+15005550006", "append", "unset"))
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PROFILES = st.fixed_dictionaries(
    {"type": st.just("profile") | JSON, "attributes": st.dictionaries(KEYS, JSON, max_size=4)}, optional={"id": WORDS, "meta": JSON}
)


def ask(sandbox: Sandbox, method: str, path: str, body: Any) -> int:
    """The status of the answer."""
    text = orjson.dumps(body)
    return door.answer(sandbox, Request(method, path, HEADERS, "http://127.0.0.1", lambda: text)).status


@settings(max_examples=examples(300), deadline=None)
@given(profiles=st.lists(PROFILES | JSON, max_size=3), lists=st.lists(WORDS, max_size=1))
def test_any_import_is_accepted_or_refused(profiles: list[Any], lists: list[str]) -> None:
    """202 or 400 for any profiles, and an accepted job always ends, with every row counted once."""
    clock = Clock()
    sandbox = Sandbox(limits=False, job_seconds=1, clock=clock)
    status = ask(sandbox, "POST", JOBS, job(profiles, lists))
    clock.at += 1
    sandbox.settle()

    assert status in (202, 400)
    for one in sandbox.jobs.all(clock.at, lambda _: True):
        assert one.status(clock.at) == "complete"
        assert one.done + len(one.failures) == one.total == len(profiles)


@settings(max_examples=examples(300), deadline=None)
@given(body=JSON | st.fixed_dictionaries({"data": JSON | PROFILES}), lists=JSON)
def test_any_body_is_answered(body: Any, lists: Any) -> None:
    """No document, however odd, brings a handler down."""
    sandbox = Sandbox(limits=False)
    odd = job([{"type": "profile", "attributes": {"email": "a@example.com"}}])
    odd["data"]["relationships"] = lists

    assert ask(sandbox, "POST", JOBS, body) == 400
    assert ask(sandbox, "POST", JOBS, odd) in (202, 400)
    assert ask(sandbox, "POST", "/api/profile-import", body) in (201, 400, 404)
    assert ask(sandbox, "PATCH", "/api/profiles/x", body) in (400, 404)
