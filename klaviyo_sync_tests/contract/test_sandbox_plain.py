"""The quick way into an import job leads nowhere but where the long way leads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from api_client import JOBS, Clock, job, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.sandbox import Sandbox, door
from klaviyo_sync.sandbox.plain import read_plain
from klaviyo_sync.sandbox.request import Request

HEADERS = {"authorization": "Klaviyo-API-Key pk_test", "revision": "2026-07-15", "content-type": "application/json"}
LITERALS = [
    *(
        b'"text"',
        b'"K\xc3\xb6ln"',
        b'"caf\\u00e9"',
        b'"\\ud83d\\ude00"',
        b'"a\\nb"',
        b'""',
        b'"null"',
        b'"1e999"',
        b'"12345678901234567890"',
    ),
    *(b"0", b"-0", b"1.50", b"1e5", b"1E+5", b"1e308", b"9223372036854775807", b"true", b"null", b"[]", b"[null]", b"{}", b'{"a":null}'),
    *(b"9223372036854775808", b"-9223372036854775809", b"1e309", b"1e+400", b"-1E999", b"1" + b"0" * 400, b"0.0000000000000000001"),
    *(b"01", b"1.", b".5", b"-", b"+1", b"1e", b"NaN", b"Infinity", b"tru", b"[1,]", b'{"a":1,}', b'{"a" 1}', b"{1:2}", b"/**/1"),
    *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\q"', b'"\\u12"', b'"a\nb"', b'"\x00"', b'{"\xff":1}', b'"'),
    *(b"[" * 2000 + b"]" * 2000, b'"' + b"x" * 100_000 + b'"', b'{"a":1,"a":2}'),
    *(b'"' + b"\\u00e9" * 20_000 + b'"', b"[" + b" " * 100_000 + b"]"),  # within 100 KB once they are read
]
PLACES = [
    b'{"email":"a@example.com","properties":{"p":%s}}',
    b'{"email":"a@example.com","properties":{"deep":{"p":[%s]}}}',
    b'{"email":"a@example.com","properties":%s}',
    b'{"email":"a@example.com","first_name":%s}',
    b'{"email":"a@example.com","location":{"city":%s}}',
    b'{"email":"a@example.com","location":{"latitude":%s}}',
    b'{"email":"a@example.com","location":%s}',
    b'{"email":"a@example.com","external_id":%s}',
    b'{"external_id":"7","email":%s}',
    b'{"external_id":"7","phone_number":%s}',
    b'{"external_id":%s}',
    b'{"email":"a@example.com","unknown":%s}',
]
IDENTIFIERS = ["a@example.com", "A@Example.com", "b@example", "+15005550006", "+999123", "7", "", None]
KOELN = whole({"email": "a@example.com", "location": {"city": "Köln"}})
INTEGERS = st.integers(-(2**63), 2**64 - 1)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from(IDENTIFIERS) for name in ("email", "phone_number", "external_id")},
        "first_name": st.text(max_size=5) | st.none() | INTEGERS,
        "location": st.dictionaries(st.sampled_from(("city", "latitude", "x")), st.none() | st.text(max_size=2) | st.floats(-90, 90)),
        "properties": st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3) | INTEGERS | st.lists(st.none())),
    },
)


def told(text: bytes, *, slowly: bool) -> tuple[int, Any, list[Any]]:
    """The status, the errors, and every profile that is there after the job."""
    clock = Clock()
    sandbox = Sandbox(limits=False, job_seconds=1, clock=clock)
    if slowly:
        sandbox.faults.add("row", containing="nobody at all", early=True)
    answer = door.answer(sandbox, Request("POST", JOBS, HEADERS, "http://127.0.0.1", lambda: text))
    clock.at += 1
    sandbox.settle()
    jobs = sandbox.jobs.all(clock.at, lambda _: True)
    errors = [{**error, "id": None} for error in orjson.loads(answer.body).get("errors", [])]
    failures = [(one.code, one.pointer, one.profile) for done in jobs for one in done.failures]
    return answer.status, [errors, failures], [sandbox.profiles.attributes(number) for number in sandbox.profiles.numbers()]


def test_an_ordinary_body_is_plain() -> None:
    """Every attribute, lists and nulls inside properties included, and a text beside ASCII."""
    location = {"city": "Köln", "country": "DE", "latitude": 50.9, "longitude": "6.9", "zip": "00001", "timezone": "Europe/Berlin"}
    properties = {"points": 0, "tags": ["a", None], "vip": True, "spent": 81.63917525773196, "attrs": {"scores": [1, None]}}
    profile = whole({"email": "A@example.com", "phone_number": "+15005550006", "location": location, "properties": properties})

    read = read_plain(orjson.dumps(job([profile, whole({"external_id": "7"})], ["Y6nRLr"])))

    assert read is not None
    rows, relationships = read
    assert [(orjson.loads(text), who, beside) for text, who, beside in rows] == [
        (profile["attributes"], (None, "a@example.com", "+15005550006"), None),
        ({"external_id": "7"}, ("7", None, None), None),
    ]
    assert relationships == {"lists": {"data": [{"type": "list", "id": "Y6nRLr"}]}}


@pytest.mark.parametrize("place", PLACES, ids=bytes.decode)
def test_both_ways_tell_the_same_of_every_literal(place: bytes) -> None:
    """Whatever stands in this place, JSON or not: the same answer and the same profiles."""
    frame = orjson.dumps(job(["here"])).replace(b'"here"', b'{"type":"profile","attributes":%s}' % place)

    for literal in LITERALS:
        body = frame.replace(b"%s", literal)
        assert told(body, slowly=False) == told(body, slowly=True), literal[:40]


@settings(max_examples=examples(300), deadline=None)
@given(attributes=st.lists(ATTRIBUTES, max_size=4), lists=st.lists(st.sampled_from(("Y6nRLr", "none")), max_size=1))
def test_both_ways_tell_the_same_of_any_profiles(attributes: list[dict[str, Any]], lists: list[str]) -> None:
    """Profiles of few people, in order or not: the same answer, the same failures, the same profiles."""
    body = orjson.dumps(job([whole(one) for one in attributes], lists))

    assert told(body, slowly=False) == told(body, slowly=True)


def test_a_job_fault_finds_its_text_however_it_is_escaped() -> None:
    """A profile is kept as what was meant, not as it was spelt."""
    sandbox = Sandbox(limits=False)
    sandbox.faults.add("job_vanished", containing="Köln")

    answer = door.answer(sandbox, Request("POST", JOBS, HEADERS, "", lambda: orjson.dumps(job([KOELN])).replace("ö".encode(), b"\\u00f6")))

    assert (answer.status, sandbox.jobs.all(sandbox.now(), lambda _: True)) == (202, [])
