"""Answers that no well-meaning server gives: any JSON and any bytes, with any status, most of them close to what is expected."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st
from scripted_klaviyo import Says

MOMENTS = ("2026-05-01T12:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-13-45", "", "now")
PLACES = (
    "/data/attributes/profiles/data/0",
    "/data/attributes/profiles/data/1/attributes/email",
    "/data/attributes/profiles/data/99999999",
)
POINTERS = (*PLACES, "/data/relationships/lists/data/0/id", "/data/relationships/list", "/data", "", f"{PLACES[0]}/attributes/{'x/' * 500}")
NEXT = (
    "?page[cursor]=1",
    "/api/profiles?page[cursor]=2",
    "//elsewhere.example/api/",
    "http://elsewhere.example/",
    "file:///etc/passwd",
    "/api/../x",
    "[",
)
STATUSES = ("queued", "processing", "complete", "cancelled", "SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "unknown")
PEOPLE = ("person0@shop.example", "person1@shop.example", "PERSON2@shop.example", "+15005550006", "c3")
IDS = ("job0", "job1", "", "../accounts", "a/b?c=d", "\x00", "\U0001f600", "x" * 3000)
WORDS = st.sampled_from((*MOMENTS, *POINTERS, *NEXT, *STATUSES, *PEOPLE, *IDS))
NUMBERS = st.sampled_from((-1, 0, 1, 5, 6, 11, 10**6, 2**63 - 1)) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = (
    *("data", "id", "type", "attributes", "links", "next", "errors", "code", "title", "detail", "source", "pointer", "meta", "status"),
    *("total_count", "completed_count", "failed_count", "created_at", "original_payload", "email", "phone_number", "external_id"),
    *("subscriptions", "marketing", "transactional", "sms", "consent", "consent_timestamp", "suppression", "reason", "timestamp"),
    *("contact_information", "organization_name", "opt_in_process", "name", "timezone", "test_account", "last_updated", "method"),
)
PLAIN = st.none() | st.booleans() | NUMBERS | WORDS
JSON: st.SearchStrategy[Any] = st.recursive(
    PLAIN, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4), max_leaves=8
)


def some(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these members, each as described or anything."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in known.items()})


CHANNEL = some(
    consent=st.sampled_from(STATUSES),
    consent_timestamp=st.sampled_from(MOMENTS),
    last_updated=st.sampled_from(MOMENTS),
    method=WORDS,
    suppression=st.lists(some(reason=WORDS, timestamp=st.sampled_from(MOMENTS)), max_size=2),
)
SUBSCRIPTIONS = some(email=some(marketing=CHANNEL), sms=some(marketing=CHANNEL, transactional=CHANNEL))
ERROR = some(
    code=WORDS,
    title=WORDS,
    detail=WORDS,
    source=some(pointer=st.sampled_from(POINTERS)),
    original_payload=some(email=st.sampled_from(PEOPLE), external_id=WORDS, attributes=JSON),
)
ATTRIBUTES = some(
    status=st.sampled_from(STATUSES),
    total_count=NUMBERS,
    completed_count=NUMBERS,
    failed_count=NUMBERS,
    created_at=st.sampled_from(MOMENTS),
    email=st.sampled_from(PEOPLE),
    phone_number=WORDS,
    subscriptions=SUBSCRIPTIONS,
    code=WORDS,
    detail=WORDS,
    source=some(pointer=st.sampled_from(POINTERS)),
    original_payload=JSON,
    opt_in_process=WORDS,
)
RESOURCE = st.fixed_dictionaries({"id": st.sampled_from(IDS), "attributes": ATTRIBUTES}) | JSON
DOCUMENT = some(data=RESOURCE | st.lists(RESOURCE, max_size=4), links=some(next=st.sampled_from(NEXT)), errors=st.lists(ERROR, max_size=4))
BODY = (
    (DOCUMENT | JSON).map(orjson.dumps)
    | st.binary(max_size=40)
    | st.sampled_from((b"", b"<html>", b"[" * 3000, b'{"data":' * 3000, b"\xff"))
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Retry-After": st.sampled_from(("0", "1", "-5", "999999999999", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "1e9")),
        "Location": st.sampled_from(NEXT[2:5]),
        "Content-Encoding": st.sampled_from(("identity", "gzip", "nonsense")),
        "X-Klaviyo-Req-Id": st.sampled_from(("r", "x" * 2000)),
        "Set-Cookie": st.just("a=b"),
    },
)
STATUS = st.sampled_from((200, 200, 200, 202, 202, 204, 301, 302, 307, 400, 400, 404, 409, 413, 418, 422, 429, 500, 503, 599))
HOW = st.sampled_from(("whole", "whole", "whole", "truncated", "reset"))
SAYS: st.SearchStrategy[Says] = st.builds(Says, status=STATUS, body=BODY, headers=HEADERS, how=HOW)
