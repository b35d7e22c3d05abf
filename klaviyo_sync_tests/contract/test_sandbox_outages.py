"""Faults of the sandbox that change the account or the server under a run, and rows that refuse their request."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests
from api_client import AT, JOBS, Api, errors

from klaviyo_sync.sandbox import Sandbox, serve

ROW = {"email": "a@example.com"}
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)

OUTAGE = 600.0
"""Seconds of an outage that no test waits for."""
PATIENCE = 60.0


def broken(api: Api) -> Exception | None:
    """How a request breaks; None when it is answered."""
    try:
        api.get(JOBS)
    except BROKEN as error:
        return error
    return None


def wait_until(what: Callable[[], bool]) -> None:
    """Returns once `what` holds."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_nobody_listens_in_an_outage(sandbox: Sandbox) -> None:
    """Open connections are reset and new ones refused; then the same address answers again, with everything that it held."""
    with serve(sandbox) as server:
        api = Api(server.url)
        assert api.imports(ROW).status_code == 202
        sandbox.faults.add("outage", seconds=OUTAGE)
        with pytest.raises(BROKEN):
            api.imports(ROW)
        wait_until(lambda: "refused" in str(broken(api)))
        server.end_outage()
        wait_until(lambda: broken(api) is None)
        assert len(api.get(JOBS).json()["data"]) == 1
        api.close()


def test_an_outage_ends_by_itself(api: Api, sandbox: Sandbox) -> None:
    """After its seconds the server listens again."""
    sandbox.faults.add("outage", seconds=0.1)
    with pytest.raises(BROKEN):
        api.imports(ROW)
    wait_until(lambda: broken(api) is None)


def test_a_server_can_be_closed_in_an_outage(sandbox: Sandbox) -> None:
    """It does not come back, and does not keep anybody waiting."""
    before = time.monotonic()
    with serve(sandbox) as server:
        api = Api(server.url)
        sandbox.faults.add("outage", seconds=OUTAGE)
        with pytest.raises(BROKEN):
            api.get(JOBS)
        api.close()
    assert time.monotonic() - before < OUTAGE / 2


def test_rows_can_refuse_their_request(api: Api, sandbox: Sandbox) -> None:
    """With early=True the request is a 400 that names the rows by their places, and no job is made."""
    sandbox.faults.add("row", containing="bad-", early=True, pointer="/data/attributes/email")
    answer = api.imports(ROW, {"email": "bad-1@example.com"}, {"external_id": "bad-2"})

    assert answer.status_code == 400
    assert errors(answer) == [("invalid", f"{AT}/1/attributes/email"), ("invalid", f"{AT}/2/attributes/email")]
    assert api.get(JOBS).json()["data"] == []
    assert api.imports(ROW).status_code == 202


def test_lists_can_go_away_under_a_run(api: Api, sandbox: Sandbox) -> None:
    """The request that meets the fault is the first that finds no list."""
    sandbox.faults.add("lists_gone", endpoint="bulk_import_profiles", skip=1)

    assert [api.imports(ROW, lists=["VRgFBd"]).status_code for _ in range(2)] == [202, 400]
    assert api.get("/api/lists").json()["data"] == []


def test_faults_choose_by_what_is_sent(api: Api, sandbox: Sandbox) -> None:
    """With `containing`, only the request or the job that holds the text meets the fault, whenever it comes."""
    sandbox.faults.add("503", endpoint="bulk_import_profiles", containing="c@example.com")
    sandbox.faults.add("job_vanished", containing="b@example.com")
    found = [api.imports({"email": f"{name}@example.com"}) for name in "abc"]

    assert [answer.status_code for answer in found] == [202, 202, 503]
    assert [job["id"] for job in api.get(JOBS).json()["data"]] == [found[0].json()["data"]["id"]]
