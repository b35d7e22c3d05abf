"""The sandbox's rate limits: two fixed windows for each endpoint, as recorded from Klaviyo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_client import Api, Clock

from klaviyo_sync.sandbox import Sandbox, serve

START = 1_767_225_600.0  # the first second of a minute


def limited(clock: Clock, time_scale: float = 1.0) -> Iterator[Api]:
    """A sandbox with limits, over HTTP."""
    with serve(Sandbox(clock=clock, time_scale=time_scale)) as server:
        client = Api(server.url)
        yield client
        client.close()


@pytest.fixture
def throttled(clock: Clock) -> Iterator[Api]:
    """A sandbox with Klaviyo's limits."""
    yield from limited(clock)


def statuses(client: Api, path: str, times: int) -> list[int]:
    """The statuses of a number of equal requests."""
    return [client.get(path).status_code for _ in range(times)]


def test_headers_tell_the_burst_window(throttled: Api) -> None:
    """Limit, rest and reset in the form that was recorded: a list with windows, not a number."""
    headers = throttled.get("/api/profile-bulk-import-jobs").headers

    assert headers["RateLimit-Limit"] == "10, 10;w=1, 150;w=60"
    assert (headers["RateLimit-Remaining"], headers["RateLimit-Reset"]) == ("9", "1")
    assert throttled.get("/api/profile-bulk-import-jobs").headers["RateLimit-Remaining"] == "8"


def test_the_burst_window_lasts_a_second(throttled: Api, clock: Clock) -> None:
    """After its burst an endpoint answers 429 until the next second begins."""
    assert statuses(throttled, "/api/profile-bulk-import-jobs", 11) == [200] * 10 + [429]

    clock.at += 0.999
    assert statuses(throttled, "/api/profile-bulk-import-jobs", 1) == [429]

    clock.at += 0.001
    assert statuses(throttled, "/api/profile-bulk-import-jobs", 10) == [200] * 10


def test_the_steady_window_lasts_a_minute(throttled: Api, clock: Clock) -> None:
    """After 15 requests GET /api/accounts is closed for the rest of the minute, and says for how long."""
    for _ in range(15):
        assert throttled.get("/api/accounts").status_code == 200
        clock.at += 1

    refused = throttled.get("/api/accounts")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "45")

    clock.at = START + 60
    assert throttled.get("/api/accounts").status_code == 200


def test_a_429_looks_as_recorded(throttled: Api) -> None:
    """Retry-After in whole seconds, none of the other headers, and Klaviyo's words."""
    throttled.get("/api/accounts")
    refused = throttled.get("/api/accounts")
    (error,) = refused.json()["errors"]

    assert refused.headers["Retry-After"] == "1"
    assert not [name for name in refused.headers if name.startswith("RateLimit")]
    assert (error["code"], error["title"]) == ("throttled", "Request was throttled.")
    assert error["detail"] == "Request was throttled. Expected available in 1 second."
    assert error["source"] == {"pointer": "/data"}
    assert error["links"]["type"].endswith("rate_limits_and_error_handling#rate-limits")


def test_endpoints_have_limits_of_their_own(throttled: Api) -> None:
    """Polling a job takes nothing from the quota for making jobs, nor from anything else."""
    statuses(throttled, "/api/profile-bulk-import-jobs", 11)

    assert throttled.imports({"email": "a@example.com"}).status_code == 202
    assert throttled.get("/api/profile-bulk-import-jobs/x").status_code == 404


def test_all_keys_of_the_account_share_a_quota(throttled: Api) -> None:
    """A second private key does not double the limit."""
    other = Api(throttled.url, "pk_other")
    throttled.get("/api/accounts")

    assert other.get("/api/accounts").status_code == 429
    other.close()


def test_refused_requests_do_not_count(throttled: Api, clock: Clock) -> None:
    """Knocking on a closed window does not keep it closed."""
    statuses(throttled, "/api/accounts", 30)
    clock.at += 1

    assert throttled.get("/api/accounts").status_code == 200


def test_costly_parameters_have_a_smaller_quota(throttled: Api) -> None:
    """The profile count of a list may be asked for once a second, the list itself 75 times."""
    answers = [throttled.get("/api/lists/Y6nRLr", {"additional-fields[list]": "profile_count"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[0].headers["RateLimit-Limit"] == "1, 1;w=1, 15;w=60"
    assert throttled.get("/api/lists/Y6nRLr").status_code == 200


def test_time_can_run_faster(clock: Clock) -> None:
    """At time_scale 60 a minute's window passes in a second, and Retry-After is still whole real seconds, at least one."""
    for client in limited(clock, time_scale=60):
        for _ in range(15):
            assert client.get("/api/accounts").status_code == 200
            clock.at += 0.02
        refused = client.get("/api/accounts")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")

        clock.at += 1
        assert client.get("/api/accounts").status_code == 200


def test_limits_can_be_switched_off(api: Api) -> None:
    """Without limits nothing is refused, and no header pretends otherwise."""
    assert statuses(api, "/api/accounts", 3) == [200] * 3
    assert "RateLimit-Limit" not in api.get("/api/accounts").headers
