"""When BigQuery does not answer: what is asked again, and what is said to whom when that does not help."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import grpc
import pyarrow as pa
import pytest
from bigquery_people import IMPATIENCE, TABLE, opened, people, rows, window

from bigquery_server import Account, ApiError, Partitioning, Server, serve
from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.core.query import relation
from klaviyo_sync.warehouses.bigquery_failures import RULES, of_answer

ACCOUNT = "reader@local-project.example.com"
CELL = "secret-cell"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the table of every type, in messages of a few rows."""
    with serve(message_rows=5) as running:
        running.state.execute(TABLE.replace("ROWS", "20"))
        yield running


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (Account(ACCOUNT, job_user=False), r"roles/bigquery\.jobUser\) on project local-project"),
        (Account(ACCOUNT, reads=frozenset()), r"crm\.people.*roles/bigquery\.dataViewer"),
    ],
)
def test_a_missing_right_is_named_with_its_role(server: Server, account: Account, said: str) -> None:
    """Who may not run jobs, or not read the dataset, is told which role to grant where."""
    with opened(server, gcp_credentials=server.key(account)) as warehouse, pytest.raises(Refused, match=said):
        rows(warehouse)


def test_a_key_that_is_not_theirs(server: Server) -> None:
    """A key that Google does not know is refused with its code."""
    key = server.key(Account(ACCOUNT))
    server.key(Account(ACCOUNT))
    with opened(server, gcp_credentials=key) as warehouse, pytest.raises(Refused, match="invalid_grant"):
        rows(warehouse)


def test_nobody_is_logged_in(server: Server) -> None:
    """Where a login is wanted and there is none, the ways to log in are named."""
    del server.state.accounts["anybody"]
    with opened(server) as warehouse, pytest.raises(ConfigError, match="gcloud auth application-default login"):
        rows(warehouse)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "crm.peple"}, "crm.peple was not found"),
        ({"dataset": "cmr.people"}, "cmr was not found"),
        ({"dataset": "crm.People"}, "crm.People was not found"),
        ({"dataset": "people"}, "qualified with a dataset"),
        ({"dataset": None, "query": "SELECT id, changedt AS changed FROM crm.people"}, "changedt"),
    ],
)
def test_what_is_not_there(server: Server, changes: dict[str, str | None], said: str) -> None:
    """A missing dataset, table or column is the configuration's fault, in BigQuery's words."""
    with opened(server) as warehouse, pytest.raises(ConfigError, match=said):
        rows(warehouse, people(**changes))


def test_a_wrong_location(server: Server) -> None:
    """Datasets are found only where they lie: the key to correct is named."""
    with opened(server, location="US") as warehouse, pytest.raises(ConfigError, match="`location` of the connection"):
        rows(warehouse)


def test_a_wrong_project(server: Server) -> None:
    """A project that there is not is named."""
    with opened(server, project="other-project") as warehouse, pytest.raises(ConfigError, match="`project` of the connection"):
        rows(warehouse)


def test_the_cap_on_bytes(server: Server) -> None:
    """A query that would read more than the cap is refused before it costs anything, with the way out."""
    with opened(server, maximum_bytes_billed=1) as warehouse, pytest.raises(Refused, match="maximum_bytes_billed of the connection"):
        rows(warehouse)


def test_a_partition_filter_is_demanded(server: Server) -> None:
    """A table that demands a filter on another column than modified_at cannot be read, and says why."""
    server.state.partitioning["crm", "people"] = Partitioning("date", filter_required=True)
    with opened(server) as warehouse, pytest.raises(ConfigError, match="partition it by the modified_at column"):
        rows(warehouse)


@pytest.mark.parametrize("rest", [False, True])
def test_a_cell_that_breaks_the_query(server: Server, *, rest: bool) -> None:
    """A query that fails over a cell says which job to look at, and nothing of the cell."""
    server.state.execute(f"INSERT INTO crm.people BY NAME SELECT '{CELL}' AS id, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS changed")
    broken = people(dataset=None, query="SELECT CAST(id AS INT64) AS id, changed FROM crm.people", properties={})
    with opened(server, rest=rest) as warehouse, pytest.raises(Refused, match=r"job [0-9a-f-]+") as caught:
        rows(warehouse, broken)
    assert CELL not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_table_that_is_dropped_while_a_run_reads(server: Server) -> None:
    """A query that has begun ends with all its rows; the next one finds no table."""
    with opened(server) as warehouse:
        asked = window(warehouse)
        reading = warehouse.batches(asked)
        server.state.execute("CREATE TABLE crm.kept AS FROM crm.people")
        first = next(reading)
        server.state.execute("DROP TABLE crm.people")
        assert first.num_rows + sum(batch.num_rows for batch in reading) == 20
        with pytest.raises(ConfigError, match=r"crm\.people was not found"):
            list(warehouse.batches(asked))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("jobs.insert", ApiError("backendError", "again")),
        ("jobs.insert", ApiError("internalError", "again")),
        ("jobs.insert", ApiError("rateLimitExceeded", "again")),
        ("jobs.insert", "drop"),
        ("jobs.get", ApiError("backendError", "again")),
        ("jobs.getQueryResults", ApiError("backendError", "again")),
        ("jobs.getQueryResults", "drop"),
        ("query", ApiError("backendError", "the job failed")),
        ("query", ApiError("rateLimitExceeded", "the job failed")),
    ],
)
@pytest.mark.parametrize("rest", [False, True])
def test_what_passes_is_asked_again(server: Server, call: str, error: ApiError | str, *, rest: bool) -> None:
    """Failures that pass cost time and nothing else: every row comes once."""
    server.state.slow_polls = 1
    with opened(server, rest=rest) as warehouse:
        asked = window(warehouse)
        server.state.fail(call, error)
        assert sum(batch.num_rows for batch in warehouse.batches(asked)) == 20


@pytest.mark.parametrize(
    "error",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")],
)
@pytest.mark.parametrize("rows_before", [0, 5, 15])
def test_a_stream_that_breaks_goes_on(server: Server, error: object, rows_before: int) -> None:
    """A broken stream is taken up behind the last row that came: none is lost, none comes twice."""
    with opened(server) as warehouse:
        if rows_before or error is grpc.StatusCode.UNAVAILABLE:
            server.state.fail("ReadRows", error, rows=rows_before)
        assert rows(warehouse)["whole"].to_pylist() == list(range(20))
        assert server.state.asked["ReadRows"] == (2 if rows_before or error is grpc.StatusCode.UNAVAILABLE else 1)


@pytest.mark.parametrize(
    ("call", "error", "kind"),
    [
        ("jobs.insert", ApiError("backendError", "down"), Unavailable),
        ("jobs.insert", "drop", Unavailable),
        ("jobs.getQueryResults", ApiError("internalError", "down"), Unavailable),
        ("query", ApiError("backendError", "down"), Unavailable),
        ("query", ApiError("quotaExceeded", "Quota exceeded: too many bytes"), Refused),
        ("query", ApiError("responseTooLarge", "Response too large to return."), Refused),
        ("query", ApiError("resourcesExceeded", f"Resources exceeded: {CELL}"), Refused),
        ("query", ApiError("billingNotEnabled", "Billing has not been enabled"), Refused),
        ("query", ApiError("stopped", "Job execution was cancelled"), Unavailable),
        ("query", ApiError("somethingNew", f"Something new: {CELL}"), Refused),
        ("ReadRows", grpc.StatusCode.UNAVAILABLE, Unavailable),
        ("ReadRows", grpc.StatusCode.INTERNAL, Unavailable),
        ("ReadRows", grpc.StatusCode.FAILED_PRECONDITION, Refused),
    ],
)
def test_what_does_not_pass(server: Server, call: str, error: object, kind: type[KlaviyoSyncError]) -> None:
    """What stays broken ends the read within the patience, as the failure of whoever must act; no cell is quoted."""
    with opened(server, patience=IMPATIENCE) as warehouse:
        asked = window(warehouse)
        server.state.fail(call, error, times=10_000, rows=5)
        began = datetime.now(UTC)
        got = []
        with pytest.raises(kind) as caught:
            got.extend(batch.num_rows for batch in warehouse.batches(asked))
    assert (datetime.now(UTC) - began).total_seconds() < 120  # the client's own patience is ten minutes
    assert got == []
    assert CELL not in str(caught.value)


def test_pages_that_break(server: Server) -> None:
    """Over REST a page that fails is asked for again, and each page is yielded once."""
    server.state.execute(
        "CREATE OR REPLACE TABLE crm.people AS SELECT i::VARCHAR AS id, TIMESTAMPTZ '2026-01-01 00:00:00Z' changed FROM range(50_000) r(i)"
    )
    with opened(server, rest=True) as warehouse:
        asked = window(warehouse, people(properties={}))
        server.state.fail("jobs.getQueryResults", ApiError("backendError", "again"), skipped=2)
        server.state.fail("jobs.getQueryResults", "drop", skipped=3)
        found = pa.Table.from_batches(list(warehouse.batches(asked)))
    assert sorted(map(int, found["id"].to_pylist())) == list(range(50_000))


def test_nobody_answers() -> None:
    """A server that is gone is unavailable, whichever call finds out."""
    with serve() as server:
        server.state.execute(TABLE.replace("ROWS", "2"))
    with opened(server, patience=IMPATIENCE) as warehouse, pytest.raises(Unavailable, match="could not be reached"):
        warehouse.columns(relation(people(), "bigquery"))


class Answer(Exception):  # noqa: N818 - an answer of the client library, in shape
    """An answer with a reason and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.errors, self.message = [{"reason": reason}], message


def test_every_rule_says_what_to_do() -> None:
    """Each line of the catalogue ends in a sentence, and those that may quote a cell do not quote."""
    for rule in RULES:
        reason = rule.reason.split("|")[0]
        said = str(of_answer(Answer(reason, CELL), "acme"))
        assert said.endswith(".")
        assert "{project}" not in said
    for reason in ("invalidQuery", "resourcesExceeded", "backendError", "stopped", "anythingElse"):
        assert CELL not in str(of_answer(Answer(reason, f"{CELL} partition elimination bigquery.jobs.create"), "acme"))
