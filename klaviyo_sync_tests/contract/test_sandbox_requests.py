"""What every request to the sandbox must carry, and what comes back whatever it asks."""

from __future__ import annotations

import uuid

import pytest
import requests
from api_client import JOBS, Api, errors, job, whole

from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sandbox.endpoints import ROUTES

OPEN = whole({"email": "a@example.com"})


@pytest.mark.parametrize("key", [None, "Klaviyo-API-Key wrong", "Bearer pk_x", "pk_x"])
def test_a_key_must_be_given_in_klaviyos_scheme(either: Api, key: str | None) -> None:
    """401 authentication_failed, shaped as recorded, for a key that is missing, wrong or in another scheme."""
    answer = either.get("/api/lists", headers={"Authorization": key})

    assert answer.status_code == 401
    (error,) = answer.json()["errors"]
    assert (error["code"], error["status"], error["source"]) == ("authentication_failed", 401, {"pointer": "/data/"})
    assert uuid.UUID(error["id"])
    assert "RateLimit-Limit" not in answer.headers


@pytest.mark.parametrize("revision", [None, "", "latest", "2026/07/15"])
def test_a_revision_must_be_named(api: Api, revision: str | None) -> None:
    """400 without a revision, or with something that is none."""
    answer = api.get("/api/accounts", headers={"revision": revision})

    assert answer.status_code == 400
    assert "revision" in answer.json()["errors"][0]["detail"]


def test_a_key_needs_the_scopes_of_the_endpoint() -> None:
    """403 that names the missing scopes, and only for the endpoints that need them."""
    keys = {"pk_reader": {"accounts:read", "lists:read"}}
    with serve(Sandbox(keys=keys)) as server:
        reader, stranger = Api(server.url, "pk_reader"), Api(server.url, "pk_stranger")
        refused = reader.imports(OPEN)

        assert reader.get("/api/lists").status_code == 200
        assert (refused.status_code, errors(refused)) == (403, [("permission_denied", "/data")])
        assert "lists:write, profiles:write" in refused.json()["errors"][0]["detail"]
        assert stranger.get("/api/lists").status_code == 401
        reader.close()
        stranger.close()


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_body_must_be_declared_as_json(either: Api, media_type: str | None) -> None:
    """415 for any other media type, and for none."""
    answer = either.post(JOBS, data=b"{}", headers={"Content-Type": media_type})

    assert answer.status_code == 415


@pytest.mark.parametrize("media_type", ["application/json", "application/vnd.api+json", "application/json; charset=utf-8"])
def test_plain_json_will_do(api: Api, media_type: str) -> None:
    """Both media types are taken, with parameters too."""
    answer = api.post(JOBS, job([OPEN]), headers={"Content-Type": media_type})

    assert answer.status_code == 202


def test_compressed_bodies_are_refused(api: Api) -> None:
    """415: whether Klaviyo takes them is not known, so nobody may rely on it."""
    answer = api.post(JOBS, data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 415


def test_unknown_paths_and_methods_are_told_apart(either: Api) -> None:
    """404 for a path that does not exist, 405 for a method that the path does not have."""
    assert either.get("/api/nothing").status_code == 404
    assert either.session.delete(either.url + JOBS, timeout=30).status_code == 405


def test_a_slash_at_the_end_changes_nothing(either: Api) -> None:
    """Both forms of a path are taken, as Klaviyo takes them."""
    assert either.get("/api/lists/").status_code == either.get("/api/lists").status_code == 200


def test_parameters_that_the_endpoint_does_not_have_are_refused(api: Api) -> None:
    """400 with `source.parameter`, so that a misspelt filter never means everything."""
    answer = api.get("/api/profiles", filters="equals(email,'a@example.com')")

    assert (answer.status_code, errors(answer)) == (400, [("invalid", "filters")])


def test_every_answer_has_an_id_for_support(either: Api) -> None:
    """X-Klaviyo-Req-Id stands on good and bad answers, a new one each time."""
    answers = [either.get("/api/lists"), either.get("/api/lists/NOPE01"), either.get("/api/lists", headers={"Authorization": None})]

    assert len({answer.headers["X-Klaviyo-Req-Id"] for answer in answers}) == 3


def test_bodies_end_at_five_million_bytes(api: Api) -> None:
    """413 for one byte more, and the connection is still good; exactly 5,000,000 are taken."""
    empty = requests.Request("POST", api.url, json=job([whole({"email": "a@example.com", "properties": {}})])).prepare().body
    assert isinstance(empty, bytes)
    fill = [b"x" * 90_000 for _ in range(54)]
    head = b'{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":['
    profiles = [
        b'{"type":"profile","attributes":{"external_id":"%d","properties":{"x":"%s"}}}' % (number, text) for number, text in enumerate(fill)
    ]
    body = head + b",".join(profiles) + b"]}}}}"
    exact = body + b" " * (5_000_000 - len(body))

    assert api.post(JOBS, data=exact + b" ").status_code == 413
    assert api.post(JOBS, data=exact).status_code == 202


def test_what_is_not_json_is_refused(api: Api) -> None:
    """400 for a broken body, for NaN and for Infinity."""
    for body in (b"", b"{", b'{"data": NaN}', b'{"data": Infinity}', b'{"data": "\xff"}'):
        assert api.post(JOBS, data=body).status_code == 400


def test_bodies_may_come_in_chunks(api: Api) -> None:
    """A body without a length is read to its last chunk."""
    text = requests.Request("POST", api.url, json=job([OPEN])).prepare().body
    assert isinstance(text, bytes)

    assert api.post(JOBS, data=iter([text[:10], text[10:]])).status_code == 202


def test_every_route_answers_to_its_own_name(api: Api, sandbox: Sandbox) -> None:
    """The operation of each route in the catalogue shows in the counts, so faults can name it."""
    for route in ROUTES.routes:
        api.session.request(route.method, api.url + route.path.replace("{id}", "X"), json={}, timeout=30)

    assert {operation for operation, _ in sandbox.requests} == {route.operation for route in ROUTES.routes}
