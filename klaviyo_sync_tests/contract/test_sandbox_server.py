"""The server over the sandbox: where it listens, how it stops, many clients at once."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
import requests
from api_client import Api, Clock

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.sandbox import Sandbox, serve


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_it_listens_on_this_machine_only(host: str) -> None:
    """ConfigError for any address but a loopback one: the sandbox has no protection."""
    with pytest.raises(ConfigError, match=r"Use 127\.0\.0\.1"), serve(Sandbox(), host=host):
        pass


def test_it_listens_elsewhere_when_told_so() -> None:
    """anywhere=True lifts that."""
    with serve(Sandbox(), host="0.0.0.0", anywhere=True) as server:
        port = server.url.rpartition(":")[2]
        assert requests.get(f"http://127.0.0.1:{port}/sandbox/state", timeout=30).status_code == 200


def test_a_taken_port_is_an_error() -> None:
    """OSError, as the operating system says it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        serve(Sandbox(), port=taken.getsockname()[1]),
    ):
        pass


def test_it_is_gone_after_the_block() -> None:
    """The port is closed, and connections that were open end."""
    with serve(Sandbox()) as server:
        client = Api(server.url)
        assert client.get("/sandbox/state").status_code == 200
        client.close()

    with pytest.raises(requests.ConnectionError):
        client.get("/sandbox/state")


def test_two_servers_can_share_a_state() -> None:
    """All state is in the sandbox, none in the server."""
    sandbox = Sandbox(limits=False, job_seconds=0)
    with serve(sandbox) as one, serve(sandbox) as other:
        first, second = Api(one.url), Api(other.url)
        first.imports({"email": "a@example.com"})
        assert second.profile("a@example.com")["email"] == "a@example.com"
        first.close()
        second.close()


def test_a_connection_is_kept(api: Api) -> None:
    """Good and bad answers leave the connection open, also when the body was not looked at."""
    connection = HTTPConnection(api.url.removeprefix("http://"), timeout=30)
    connection.connect()
    connection.auto_open = 0
    statuses = []
    for method, path in (("GET", "/sandbox/state"), ("POST", "/api/nothing"), ("POST", "/api/profile-import"), ("GET", "/api/lists")):
        connection.request(method, path, body=b"{}" * 100_000 if method == "POST" else None)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [200, 404, 401, 401]


def test_many_clients_at_once(clock: Clock) -> None:
    """Eight connections that import the same people make each of them once."""
    sandbox = Sandbox(limits=False, job_seconds=1, clock=clock)

    def imports(worker: int) -> int:
        client = Api(server.url)
        answers = [client.imports(*({"email": f"{row}@example.com", "title": str(worker)} for row in range(50))) for _ in range(5)]
        client.close()
        return sum(answer.status_code == 202 for answer in answers)

    with serve(sandbox) as server:
        with ThreadPoolExecutor(8) as pool:
            accepted = sum(pool.map(imports, range(8)))
        clock.at += 1
        client = Api(server.url)
        state = client.get("/sandbox/state").json()
        client.close()

    assert accepted == 40
    assert (state["profiles"], state["jobs"]) == (50, {"complete": 40})
