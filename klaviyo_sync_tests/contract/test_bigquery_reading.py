"""BigQuery over the wire with Google's own client libraries: rows, types, batches, labels, logins."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

import grpc
import pyarrow as pa
import pytest
from bigquery_people import TABLE, opened, people, rows, window

from bigquery_server import Account, Server, serve
from klaviyo_sync.core.errors import ConfigError, Refused
from klaviyo_sync.core.query import relation
from klaviyo_sync.warehouses.bigquery import BATCH_ROWS, labels

ACCOUNT = "reader@local-project.example.com"
DRIVERS = ("google", "dagster_gcp", "grpc")
MANY = 2 * BATCH_ROWS + 100


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the table of every type."""
    with serve() as running:
        running.state.execute(TABLE.replace("ROWS", "20"))
        running.state.geographies.add("geography")
        yield running


@pytest.mark.parametrize("rest", [False, True])
def test_every_type(server: Server, *, rest: bool) -> None:
    """Each type of BigQuery arrives whole: numbers exact, times to the microsecond, structured values as JSON text."""
    with opened(server, rest=rest) as warehouse:
        types = {column.name: column.type for column in warehouse.columns(relation(people(), "bigquery"))}
        first, second, *_ = rows(warehouse).to_pylist()
    assert types == {
        "id": "STRING", "whole": "INT64", "float": "FLOAT64", "numeric": "NUMERIC", "bignumeric": "BIGNUMERIC", "bool": "BOOL",
        "date": "DATE", "time": "TIME", "datetime": "DATETIME", "changed": "TIMESTAMP", "array": "ARRAY<STRING>",
        "struct": "STRUCT<x INT64, at TIMESTAMP>",
        "json": "JSON", "geography": "GEOGRAPHY", "interval": "INTERVAL", "string": "STRING",
    }  # fmt: skip
    assert first == {
        "id": "0", "whole": 0, "float": None, "numeric": Decimal(0), "bignumeric": "12345678901234567890.1234567890123456", "bool": True,
        "date": date(1, 1, 1), "time": time(10, 11, 12, 500_000), "datetime": datetime.fromisoformat("1969-12-31T23:59:59.999999"),
        "array": '["a","0"]', "struct": '{"x":0,"at":"2026-01-01T00:00:00.500000Z"}', "json": '{"a":[1,null]}', "geography": "POINT(1 2)",
        "interval": "0-1 2 3:4:5", "string": 'é🎉"\\', "changed": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    assert (second["array"], second["json"], second["string"], second["numeric"]) == ("[]", "null", None, Decimal("0.14"))


def test_both_ways_give_the_same_rows() -> None:
    """Rows over REST are, to the type, those over the Storage Read API, and no batch is too large."""
    with serve(message_rows=7_000) as server:
        server.state.execute(TABLE.replace("ROWS", str(MANY)))
        with opened(server) as stored, opened(server, rest=True) as rest:
            fast, slow = (list(one.batches(window(one))) for one in (stored, rest))
            assert (stored.notes, len(rest.notes)) == ([], 1)
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in (*fast, *slow))
    assert {batch.schema for batch in fast} == {batch.schema for batch in slow} == {fast[0].schema}
    assert sum(batch.num_rows for batch in fast) == MANY
    assert str(pa.Table.from_batches(fast).to_pylist()) == str(pa.Table.from_batches(slow).to_pylist())
    assert server.state.asked["CreateReadSession"] == 1


@pytest.mark.parametrize("rest", [False, True])
def test_no_rows(server: Server, *, rest: bool) -> None:
    """A window without rows yields nothing, over both ways."""
    with opened(server, rest=rest) as warehouse:
        assert list(warehouse.batches(window(warehouse, upper=datetime(2020, 1, 1, tzinfo=UTC)))) == []


def test_without_the_right_to_sessions_rows_come_over_rest(server: Server) -> None:
    """A reader that may not make read sessions gets all rows all the same, asks once, and is told which role mends it."""
    reader = Account(ACCOUNT, read_session_user=False)
    with opened(server, gcp_credentials=server.key(reader)) as warehouse:
        assert rows(warehouse).num_rows == rows(warehouse).num_rows == 20
        assert server.state.asked["CreateReadSession"] == 1
        [note] = warehouse.notes
    assert "roles/bigquery.readSessionUser" in note


def test_a_storage_api_that_nobody_reaches(server: Server) -> None:
    """Behind a firewall that lets only REST through, rows come over REST."""
    with opened(server) as warehouse:
        server.state.fail("CreateReadSession", grpc.StatusCode.UNAVAILABLE, times=100)
        assert rows(warehouse).num_rows == 20
        assert "bigquerystorage.googleapis.com" in warehouse.notes[0]


def test_jobs_are_labelled_and_capped(server: Server) -> None:
    """Every job names its sync and window in BigQuery's letters, binds typed values, and carries the cap on bytes."""
    with opened(server, label="klaviyo_sync Ünusual.Name 2026-01-31-06:00", maximum_bytes_billed=10**9) as warehouse:
        rows(warehouse)
    asked = server.state.requests[-1]
    assert asked["labels"] == {"klaviyo_sync": "-nusual-name", "window": "2026-01-31-06-00"}
    assert asked["query"]["maximumBytesBilled"] == str(10**9)
    assert [param["parameterType"] for param in asked["query"]["queryParameters"]] == [{"type": "TIMESTAMP"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("klaviyo_sync people", {"klaviyo_sync": "people"}),
        ("klaviyo_sync people 2026-01-31", {"klaviyo_sync": "people", "window": "2026-01-31"}),
        (
            "klaviyo_sync people 2026-01-01-00:00..2026-01-02-00:00",
            {"klaviyo_sync": "people", "window": "2026-01-01-00-00--2026-01-02-00-00"},
        ),
        ("klaviyo_sync preview people 2026-01-31", {"klaviyo_sync": "preview_people", "window": "2026-01-31"}),
        ("klaviyo-sync check warehouse", {"klaviyo_sync": "check_warehouse"}),
        ("klaviyo_sync " + "x" * 99, {"klaviyo_sync": "x" * 63}),
        ("klaviyo_sync", {"klaviyo_sync": "run"}),
    ],
)
def test_labels(text: str, expected: dict[str, str]) -> None:
    """What a job is for, cut to the length and letters of labels."""
    assert labels(text) == expected


@pytest.mark.parametrize("form", ["json", "base64"])
def test_a_key_logs_in(server: Server, form: str) -> None:
    """A service account key, as JSON or as base64 of it, is exchanged for a token; its account asks, and no file is written."""
    del server.state.accounts["anybody"]
    key = server.key(Account(ACCOUNT))
    text = key if form == "json" else base64.b64encode(key.encode()).decode()
    with opened(server, gcp_credentials=text) as warehouse:
        assert rows(warehouse).num_rows == 20
        assert {job.account.name for job in server.state.jobs.values()} == {ACCOUNT}
        assert "PRIVATE" not in repr(warehouse.__dict__)


def test_acting_as_another_account(server: Server) -> None:
    """With `impersonate` the other account asks."""
    server.state.accounts["other"] = Account("other")
    with opened(server, gcp_credentials=server.key(Account(ACCOUNT, acts_as=frozenset({"other"}))), impersonate="other") as warehouse:
        rows(warehouse)
    assert {job.account.name for job in server.state.jobs.values()} == {"other"}


def test_not_allowed_to_act_as_another_account(server: Server) -> None:
    """Without the right to act as the other account, the role that gives it is named."""
    server.state.accounts["other"] = Account("other")
    with (
        opened(server, gcp_credentials=server.key(Account(ACCOUNT)), impersonate="other") as warehouse,
        pytest.raises(Refused, match=r"roles/iam\.serviceAccountTokenCreator"),
    ):
        rows(warehouse)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense!", "no service account key"),
        ("{not json", "no service account key"),
        ("[1]", "no service account key"),
        (json.dumps({"type": "external_account"}), "GOOGLE_APPLICATION_CREDENTIALS"),
        (json.dumps({"type": "service_account", "client_email": "a", "token_uri": "b", "private_key": "SECRET"}), "private_key"),
        (json.dumps({"type": "service_account"}), "lacks a field"),
    ],
)
def test_keys_that_are_none(server: Server, text: str, said: str) -> None:
    """What is no key is the configuration's fault, and nothing of it is repeated."""
    with pytest.raises(ConfigError, match=said) as caught, opened(server, gcp_credentials=text):
        pass
    assert "SECRET" not in str(caught.value)


def test_google_stays_out() -> None:
    """Neither the code location nor the warehouse's own module loads Google's libraries: they take seconds."""
    code = f"import sys, klaviyo_sync.warehouses.bigquery; print(*(name for name in sys.modules if name.startswith({DRIVERS})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
