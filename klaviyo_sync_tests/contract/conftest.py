"""What the tests of the sandbox share: a sandbox whose clock they move, served over real HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from api_client import Api, Clock
from warehouse_fixtures import people, place, places

from klaviyo_sync.sandbox import Sandbox, serve

__all__ = ["people", "place", "places"]  # fixtures of the shared suite


@pytest.fixture
def clock() -> Clock:
    """The clock of the sandbox."""
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    """A sandbox without limits, whose import jobs take ten seconds of its clock."""
    return Sandbox(limits=False, job_seconds=10, clock=clock)


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    """The sandbox over HTTP."""
    with serve(sandbox) as server:
        client = Api(server.url)
        yield client
        client.close()


@pytest.fixture(params=["sandbox", "klaviyo"])
def either(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The sandbox, and then the account of KLAVIYO_API_KEY, if that is a test account. For tests that change nothing."""
    if request.param == "sandbox":
        yield request.getfixturevalue("api")
        return
    key = os.environ.get("KLAVIYO_API_KEY")
    if not key:
        pytest.skip("KLAVIYO_API_KEY is not set")
    client = Api(os.environ.get("KLAVIYO_BASE_URL", "https://a.klaviyo.com"), key)
    try:
        account = client.get("/api/accounts").json()["data"][0]["attributes"]
        if not account["test_account"]:
            pytest.skip("the account is not a test account")
        yield client
    finally:
        client.close()
