"""Faults of the sandbox: what goes wrong, how often, where, and what has happened all the same."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from api_client import JOBS, Api, Clock, errors

from klaviyo_sync.sandbox import Sandbox

ROW = {"email": "a@example.com"}
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def import_errors(api: Api, answer: requests.Response) -> list[dict[str, Any]]:
    """The attributes of a job's import errors."""
    return [error["attributes"] for error in api.get(f"{JOBS}/{answer.json()['data']['id']}/import-errors").json()["data"]]


@pytest.mark.parametrize("status", [400, 401, 403, 413, 429, 500, 502, 503, 504, 524])
def test_a_request_fails_with_a_status_and_has_no_effect(api: Api, sandbox: Sandbox, status: int) -> None:
    """The next request gets the status and is not carried out; the one after it is well."""
    sandbox.faults.add(str(status))
    answer = api.imports(ROW)

    assert answer.status_code == status
    assert answer.headers["X-Klaviyo-Req-Id"]
    assert api.get(JOBS).json()["data"] == []
    assert api.imports(ROW).status_code == 202


@pytest.mark.parametrize(("kind", "status"), [("403_html", 403), ("502", 502), ("504", 504), ("524", 524)])
def test_gateways_answer_in_html(api: Api, sandbox: Sandbox, kind: str, status: int) -> None:
    """What stands before Klaviyo does not speak JSON."""
    sandbox.faults.add(kind)
    answer = api.imports(ROW)

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert answer.text.startswith("<html>")


@pytest.mark.parametrize(("options", "header"), [({}, "1"), ({"retry_after": 7}, "7"), ({"retry_after": None}, None)])
def test_a_429_with_and_without_retry_after(api: Api, sandbox: Sandbox, options: dict[str, Any], header: str | None) -> None:
    """The header is there, with the seconds that were asked for, or it is not."""
    sandbox.faults.add("429", **options)
    answer = api.imports(ROW)

    assert (answer.headers.get("Retry-After"), errors(answer)) == (header, [("throttled", "/data")])


def test_a_fault_can_be_aimed(api: Api, sandbox: Sandbox) -> None:
    """One endpoint, after some requests that go well, a number of times."""
    sandbox.faults.add("503", endpoint="bulk_import_profiles", skip=1, times=2)

    assert api.get("/api/lists").status_code == 200
    assert [api.imports(ROW).status_code for _ in range(4)] == [202, 503, 503, 202]


def test_a_fault_can_last_until_it_is_cleared(api: Api, sandbox: Sandbox) -> None:
    """times=0 means every request."""
    sandbox.faults.add("500", times=0)
    assert [api.imports(ROW).status_code for _ in range(3)] == [500] * 3

    sandbox.faults.clear()
    assert api.imports(ROW).status_code == 202


@pytest.mark.parametrize("kind", ["503", "reset", "504"])
def test_a_failed_answer_may_hide_a_success(api: Api, sandbox: Sandbox, kind: str) -> None:
    """carried_out=True: the job exists although the client never learns of it."""
    sandbox.faults.add(kind, carried_out=True)
    try:
        assert api.imports(ROW).status_code == int(kind)
    except BROKEN:
        assert kind == "reset"

    assert len(api.get(JOBS).json()["data"]) == 1


def test_a_connection_is_reset_before_the_request_is_read(api: Api, sandbox: Sandbox) -> None:
    """The client sees a broken connection, and nothing has happened; a new connection works."""
    sandbox.faults.add("reset")
    with pytest.raises(BROKEN):
        api.post(JOBS, data=b"x" * 4_000_000)

    assert api.get(JOBS).json()["data"] == []
    assert sandbox.requests["bulk_import_profiles", 0] == 1


def test_an_answer_can_be_cut_short(api: Api, sandbox: Sandbox) -> None:
    """The length promises more than comes; the request was carried out."""
    sandbox.faults.add("truncated")
    with pytest.raises(BROKEN):
        api.imports(ROW)

    assert len(api.get(JOBS).json()["data"]) == 1


def test_an_answer_can_be_garbage(api: Api, sandbox: Sandbox) -> None:
    """The status says 202 and the body is nothing that can be read; the request was carried out."""
    sandbox.faults.add("garbage")
    answer = api.imports(ROW)

    assert answer.status_code == 202
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    assert len(api.get(JOBS).json()["data"]) == 1


def test_an_answer_can_be_slow(api: Api, sandbox: Sandbox) -> None:
    """It waits in real time, and other connections do not wait with it."""
    sandbox.faults.add("slow", seconds=0.3)
    before = time.monotonic()

    assert api.imports(ROW).status_code == 202
    assert time.monotonic() - before >= 0.3


def test_rows_fail_in_the_job(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Rows whose identifiers contain a text: their import errors say what was asked for, the others go in."""
    sandbox.faults.add("row", containing="bad-", code="odd", title="Odd.", detail="Odd row.", pointer=None)
    answer = api.imports({"email": "bad-1@example.com"}, {"external_id": "bad-2", "title": "Dr"}, {"email": "good@example.com"})
    clock.at += 10
    found = import_errors(api, answer)

    assert {name: api.job(answer)[name] for name in ("total_count", "completed_count", "failed_count")} == {
        "total_count": 3,
        "completed_count": 1,
        "failed_count": 2,
    }
    assert {(error["code"], error["title"], error["detail"], error["source"]["pointer"]) for error in found} == {
        ("odd", "Odd.", "Odd row.", None)
    }
    assert [error["original_payload"] for error in found if "title" in error["original_payload"]] == [
        {"external_id": "bad-2", "title": "Dr"}
    ]
    assert len(api.get("/api/profiles").json()["data"]) == 1


def test_every_kth_row_fails(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Counted over all jobs, so that small jobs are hit as well."""
    sandbox.faults.add("row", every=4)
    answers = [api.imports(*({"email": f"{job}-{row}@example.com"} for row in range(3))) for job in range(4)]
    clock.at += 10

    assert sum(api.job(answer)["failed_count"] for answer in answers) == 3


@pytest.mark.parametrize(
    ("shape", "payload"),
    [
        ("flat", {"email": "a@example.com", "title": "Dr"}),
        ("attributes", {"type": "profile", "attributes": {"email": "a@example.com", "title": "Dr"}}),
        ("absent", None),
    ],
)
def test_the_payload_of_an_error_has_any_shape(api: Api, sandbox: Sandbox, clock: Clock, shape: Any, payload: Any) -> None:
    """Klaviyo does not document it: a client must live with all of them."""
    sandbox.original_payload = shape
    sandbox.faults.add("row", every=1)
    answer = api.imports({"email": "a@example.com", "title": "Dr"})
    clock.at += 10

    assert import_errors(api, answer)[0]["original_payload"] == payload


def test_a_job_can_be_cancelled(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """It ends as cancelled, and none of its rows goes in."""
    sandbox.faults.add("job_cancelled")
    answer, other = api.imports(ROW), api.imports({"email": "b@example.com"})
    clock.at += 10

    assert (api.job(answer)["status"], api.job(answer)["completed_count"], api.job(other)["status"]) == ("cancelled", 0, "complete")
    assert len(api.get("/api/profiles").json()["data"]) == 1


@pytest.mark.parametrize(("kind", "status"), [("job_stuck_queued", "queued"), ("job_stuck_processing", "processing")])
def test_a_job_can_stick(api: Api, sandbox: Sandbox, clock: Clock, kind: str, status: str) -> None:
    """It never gets any further."""
    sandbox.faults.add(kind)
    answer = api.imports(ROW)
    clock.at += 24 * 3600

    assert api.job(answer)["status"] == status
    assert api.get("/api/profiles").json()["data"] == []


def test_a_job_can_vanish(api: Api, sandbox: Sandbox) -> None:
    """It was accepted, and then it is neither found nor listed."""
    sandbox.faults.add("job_vanished")
    answer = api.imports(ROW)

    assert api.get(f"{JOBS}/{answer.json()['data']['id']}").status_code == 404
    assert api.get(JOBS).json()["data"] == []


def test_a_page_of_import_errors_can_fail(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """The first page comes, the second does not."""
    sandbox.faults.add("row", every=1)
    sandbox.faults.add("500", endpoint="get_errors_for_bulk_import_profiles_job", skip=1)
    answer = api.imports(*({"email": f"{row}@example.com"} for row in range(30)))
    clock.at += 10
    first = api.get(f"{JOBS}/{answer.json()['data']['id']}/import-errors").json()

    assert [api.get(first["links"]["next"]).status_code for _ in range(2)] == [500, 200]


def test_a_list_can_go_away(api: Api, clock: Clock) -> None:
    """A job that is on its way imports its profiles all the same; the next one is refused."""
    answer = api.imports(ROW, lists=["VRgFBd"])
    assert api.session.delete(f"{api.url}/sandbox/lists/VRgFBd", timeout=30).status_code == 204
    clock.at += 10

    assert api.job(answer)["status"] == "complete"
    assert api.get("/api/lists/VRgFBd").status_code == 404
    assert errors(api.imports(ROW, lists=["VRgFBd"])) == [("invalid", "/data/relationships/lists/data/0/id")]


def test_faults_are_set_over_http(api: Api) -> None:
    """POST adds one, DELETE clears all, the state shows what is still to come."""
    assert api.post("/sandbox/faults", {"kind": "503", "endpoint": "get_lists", "times": 2}).status_code == 201
    assert api.get("/api/lists").status_code == 503
    assert [(fault["kind"], fault["times"]) for fault in api.get("/sandbox/state").json()["faults"]] == [("503", 1)]

    assert api.session.delete(f"{api.url}/sandbox/faults", timeout=30).status_code == 204
    assert api.get("/api/lists").status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "418"}, "'418' is not a fault. Kinds: 400, 413, 429, 500"),
        ({"kind": "503", "tims": 2}, "tims"),
        ({"kind": "503", "endpoint": "get_list_of"}, "'get_list_of' is not an endpoint. Endpoints: "),
        ({}, '"kind"'),
        ([], '"kind"'),
    ],
)
def test_a_fault_that_does_not_exist_is_refused(api: Api, body: Any, words: str) -> None:
    """400 that says what there is: a misspelt fault must not make a test pass."""
    answer = api.post("/sandbox/faults", body)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_the_state_is_counts(api: Api, clock: Clock) -> None:
    """Profiles, members, jobs and requests as numbers; nothing of what was sent."""
    api.imports(ROW, lists=["VRgFBd"])
    clock.at += 10
    api.imports({"email": "b@example.com"})
    api.imports({"email": "bad"})
    state = api.get("/sandbox/state").json()

    assert (state["profiles"], state["lists"], state["jobs"]) == (1, {"Y6nRLr": 0, "VRgFBd": 1}, {"complete": 1, "queued": 1})
    assert state["requests"] == {"bulk_import_profiles": {"202": 2, "400": 1}}


def test_a_reset_forgets_everything(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """Profiles, jobs, members, counts and faults go; the lists it was made with come back."""
    api.imports(ROW, lists=["VRgFBd"])
    clock.at += 10
    sandbox.faults.add("500", times=0)
    api.session.delete(f"{api.url}/sandbox/lists/VRgFBd", timeout=30)

    assert api.post("/sandbox/reset").status_code == 204
    expected = {"profiles": 0, "lists": {"Y6nRLr": 0, "VRgFBd": 0}, "jobs": {}, "requests": {}, "faults": []}
    assert api.get("/sandbox/state").json() == expected


def test_the_controls_name_themselves(api: Api) -> None:
    """An unknown address under /sandbox answers with those that exist, and a broken body with a reason."""
    assert "POST /sandbox/faults" in api.get("/sandbox/nothing").json()["detail"]
    assert api.post("/sandbox/faults", data=b"{").status_code == 400
    assert api.post("/sandbox/lists", {"colour": "red"}).status_code == 400
    assert api.post("/sandbox/lists", []).status_code == 400
    assert api.session.delete(f"{api.url}/sandbox/lists/NOPE01", timeout=30).status_code == 404


@pytest.mark.parametrize(
    ("cell", "pointer"),
    [
        ("title", "/data/attributes/title"),
        ("location.city", "/data/attributes/location/city"),
        ("properties.a.b", "/data/attributes/properties/a.b"),
        ("id", "/data/id"),
    ],
)
def test_rows_fail_for_a_cell(api: Api, sandbox: Sandbox, clock: Clock, cell: str, pointer: str) -> None:
    """Only rows that hold the cell fail, late or early, and the error points at it."""
    full = {"type": "profile", "id": "01GDDKASAP8TKDDA2GRZDSVP4H"}
    attributes = {"email": "a@example.com", "title": "Dr", "location": {"city": "Bonn"}, "properties": {"a.b": 0}}
    sandbox.faults.add("row", cell=cell)
    answer = api.imports({**full, "attributes": attributes}, {"email": "b@example.com", "location": {"zip": "1"}})
    clock.at += 10
    assert [error["source"]["pointer"] for error in import_errors(api, answer)] == [pointer]

    sandbox.faults.clear()
    sandbox.faults.add("row", cell=cell, containing="a@", early=True)
    refused = api.imports({"email": "b@example.com", "title": "Dr"}, {**full, "attributes": attributes})
    assert errors(refused) == [("invalid", f"/data/attributes/profiles/data/1{pointer.removeprefix('/data')}")]


def test_a_cell_that_no_profile_can_have_is_an_error(sandbox: Sandbox) -> None:
    """A misspelt cell never lets a test pass."""
    for cell in ("titel", "location.town", "properties", "properties.", "location"):
        with pytest.raises(ValueError, match="is not a cell"):
            sandbox.faults.add("row", cell=cell)
