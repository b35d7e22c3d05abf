"""When Snowflake does not answer: who must act, in words that say what to do, and no row twice."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fakesnow", reason="fakesnow, on which the local Snowflake stands, is not installed")

from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake_people import make_people, opened, pem, public, rows, window

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from snowflake_server import Account, Answer, Server, serve
from snowflake_server.failing import CHANGED, EXPIRED, GONE

ROWS = 5_000
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose results have several chunks."""
    with serve() as running:
        running.state.chunk_rows = 1_000
        make_people(running, ROWS)
        running.state.accounts["KEYED"] = Account(public_key=public())
        yield running
        assert running.state.broken == []


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({"password": "hunter22"}, Refused, "READER"),
        ({"user": "keyed", "private_key": pem(key=OTHER)}, Refused, "ALTER USER keyed SET RSA_PUBLIC_KEY"),
        ({"user": "keyed", "private_key": "not a key"}, ConfigError, "private_key of the connection"),
        ({"user": "keyed", "private_key": base64.b64encode(b"nor this").decode()}, ConfigError, "PEM"),
        ({"user": "keyed", "private_key": pem("of the key")}, ConfigError, "private_key_password"),
        ({"user": "keyed", "private_key": pem("of the key"), "private_key_password": "wrong"}, ConfigError, "private_key_password"),
        ({"user": "keyed", "private_key_path": "/nowhere/key.p8"}, ConfigError, "private_key_path"),
        ({"token": "tok-1234", "authenticator": "oauth"}, Refused, "get a new one"),
        ({"role": "nobody"}, Refused, "GRANT ROLE nobody TO USER reader"),
        ({"warehouse": "nowhere"}, Refused, "GRANT USAGE ON WAREHOUSE"),
        ({"database": "nowhere"}, Refused, "GRANT USAGE ON DATABASE"),
    ],
)
def test_logins_that_fail(server: Server, keys: dict[str, Any], error: type[KlaviyoSyncError], said: str) -> None:
    """A wrong key, password, role or warehouse says which statement mends it; secrets are never repeated."""
    with pytest.raises(error) as caught, opened(server, **keys):
        pass
    text = str(caught.value)
    assert said.casefold() in text.casefold()
    assert not [secret for name in ("password", "private_key", "token") if (secret := keys.get(name)) and secret in text]


@pytest.mark.parametrize(
    ("status", "error"), [(404, ConfigError), (403, ConfigError), (401, Unavailable), (429, Unavailable), (503, Unavailable)]
)
def test_logins_that_no_snowflake_answers(server: Server, status: int, error: type[KlaviyoSyncError]) -> None:
    """A host that is no account's says so with 404 or 403; other answers pass."""
    server.state.failures["login"] = [Answer(status)] * 10_000
    with pytest.raises(error), opened(server):
        pass


def test_nobody_there(server: Server) -> None:
    """A server that cannot be reached is nobody's fault, and is told within seconds."""
    with pytest.raises(Unavailable, match="next run asks again"), opened(server, port=1):
        pass


@pytest.mark.parametrize(
    ("account", "error", "said"),
    [
        (Account(password="x", denied=frozenset({"PEOPLE"})), Refused, "GRANT SELECT ON TABLE PEOPLE TO ROLE READER"),
        (Account(password="x", hidden=frozenset({"PEOPLE"})), ConfigError, "GRANT SELECT ON TABLE (or VIEW) PEOPLE TO ROLE READER"),
    ],
)
def test_no_right_to_select(server: Server, account: Account, error: type[KlaviyoSyncError], said: str) -> None:
    """Where SELECT is not granted, the message is the GRANT."""
    server.state.accounts["OTHER"] = account
    with opened(server, user="other", password="x") as warehouse, pytest.raises(error) as caught:
        rows(warehouse)
    assert said in str(caught.value)


def test_no_warehouse(server: Server) -> None:
    """A session without a warehouse can describe but not read; the message names what to grant."""
    with opened(server, warehouse=None) as warehouse, pytest.raises(Refused, match="GRANT USAGE ON WAREHOUSE"):
        rows(warehouse)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            Answer(code="090073", message="Warehouse 'W' cannot be resumed because resource monitor 'M' is over quota."),
            Refused,
            "quota",
        ),
        (Answer(code="090109", message="Warehouse 'W' is suspended."), Refused, "AUTO_RESUME"),
        (Answer(code="000630", message="Statement reached its timeout of 10 second(s) and was canceled."), Refused, "STATEMENT_TIMEOUT"),
        (Answer(code="000604", message="SQL execution canceled"), Unavailable, "cancelled"),
        (Answer(code="390422", message="Incoming request with IP/Token 192.0.2.1 is not allowed."), Refused, "network policy"),
        (Answer(code="002037", message="SQL compilation error:\nFailure during expansion of view 'V'"), Refused, "its owner"),
        (Answer(code="001003", message="SQL compilation error:\nsyntax error line 1"), ConfigError, "syntax error"),
        (Answer(code="100038", message="Numeric value 'anna@example.com' is not recognized", sql_state="22018"), Refused, "query history"),
        (Answer(code="390111", message="Session no longer exists."), Unavailable, "logs in again"),
    ],
)
def test_what_snowflake_says(server: Server, answer: Answer, error: type[KlaviyoSyncError], said: str) -> None:
    """Each failure says who must do what. What may quote a cell is not repeated."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["query"] = [answer]
        with pytest.raises(error) as caught:
            list(warehouse.batches(query))
    assert said in str(caught.value)
    assert "example.com" not in str(caught.value)


def test_what_fails_inside_snowflake_is_asked_again(server: Server) -> None:
    """An internal error is tried again before any row has come; one that stays is nobody's fault."""
    internal = Answer(code="000603", message="SQL execution internal error", sql_state="XX000")
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["query"] = [internal, internal]
        assert sum(batch.num_rows for batch in warehouse.batches(query)) == ROWS
        server.state.failures["query"] = [internal] * 3
        with pytest.raises(Unavailable, match="inside Snowflake"):
            list(warehouse.batches(query))


def test_a_session_that_expires_is_renewed(server: Server) -> None:
    """An expired token is renewed by the driver, and nobody notices."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["query"] = [EXPIRED]
        assert sum(batch.num_rows for batch in warehouse.batches(query)) == ROWS
    assert server.state.asked["renewal"] == 1


@pytest.mark.parametrize("status", [403, 500, 503, 0])
def test_chunks_that_fail_for_a_while(server: Server, status: int) -> None:
    """A chunk that fails is fetched again; every row comes once."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["chunk"] = [Answer(status)] * 3
        found = [row for batch in warehouse.batches(query) for row in batch.column("id").to_pylist()]
    assert sorted(found, key=int) == [str(number) for number in range(ROWS)]


def test_addresses_that_have_run_out_are_asked_for_anew(server: Server) -> None:
    """Where a chunk's address stays dead, Snowflake gives new ones for the same result; what has come does not come again."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["chunk"] = [*[Answer(403)] * 10]
        found = [row for batch in warehouse.batches(query) for row in batch.column("id").to_pylist()]
    assert sorted(found, key=int) == [str(number) for number in range(ROWS)]
    assert server.state.asked["result"] == 1


@pytest.mark.parametrize("answer", [GONE, CHANGED])
def test_a_result_that_is_gone_breaks_the_read(server: Server, answer: Answer) -> None:
    """When the result cannot be had any more the read breaks, with none of its rows twice."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures.update(chunk=[Answer(403)] * 40, result=[answer] * 3)
        with pytest.raises((Unavailable, Refused)):
            list(warehouse.batches(query))


def test_a_table_dropped_between_two_queries(server: Server) -> None:
    """A table that goes away while a run reads it is told by name."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.execute("DROP TABLE people")
        with pytest.raises(ConfigError, match="PEOPLE"):
            list(warehouse.batches(query))


def test_a_connection_lost_while_a_query_runs(server: Server) -> None:
    """A request whose connection breaks is repeated; a server that stays away is nobody's fault."""
    with opened(server) as warehouse:
        query = window(warehouse)
        server.state.failures["query"] = [Answer(0), Answer(503)]
        assert sum(batch.num_rows for batch in warehouse.batches(query)) == ROWS
        server.state.failures["query"] = [Answer(503)] * 100_000
        with pytest.raises(Unavailable):
            list(warehouse.batches(query))
