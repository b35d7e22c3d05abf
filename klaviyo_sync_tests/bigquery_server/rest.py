"""BigQuery's REST API, version 2, as far as reading needs it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from bigquery_server import jobs
from bigquery_server.answers import ApiError
from bigquery_server.logins import LoginError, asker, token_for_acting_as, token_for_assertion
from bigquery_server.state import Account, Job, State
from bigquery_server.values import rest_cell

PAGE_ROWS = 20_000
WORTH_GZIP = 1_000


class Request(NamedTuple):
    """A request: who asks, the query's last value of each name, the body, and the parts of the path behind the project."""

    state: State
    account: Account
    query: dict[str, str]
    body: bytes
    parts: list[str]

    def job(self) -> Job:
        """The account's job that the path names."""
        job = self.state.jobs.get(self.parts[0])
        if job is None or job.account.name != self.account.name:
            raise ApiError("notFound", f"Not found: Job {self.state.project}:{self.parts[0]}")
        return job


def get_job(request: Request) -> dict[str, Any]:
    """jobs.get"""
    return jobs.shown(request.job())


def insert_job(request: Request) -> dict[str, Any]:
    """jobs.insert"""
    return jobs.insert(request.state, request.account, json.loads(request.body))


def query_results(request: Request) -> dict[str, Any]:
    """jobs.getQueryResults: one page of cells, every one a text."""
    job, query = request.job(), request.query
    reference = {"kind": "bigquery#getQueryResultsResponse", "jobReference": job.resource["jobReference"]}
    if job.polls:
        job.polls -= 1
        return {**reference, "jobComplete": False}
    if job.error is not None:
        raise job.error
    assert job.table is not None
    if query.get("formatOptions.useInt64Timestamp", "").lower() != "true" and query.get("maxResults") != "0":
        raise ApiError("notImplemented", "This server writes timestamps as integers only.", 501)
    start, most = int(query.get("pageToken") or query.get("startIndex") or 0), min(int(query.get("maxResults") or PAGE_ROWS), PAGE_ROWS)
    page = job.table.slice(start, most)
    columns = [[rest_cell(cell, field) for cell in column.to_pylist()] for column, field in zip(page.columns, job.fields, strict=True)]
    answer = {
        **reference,
        "jobComplete": True,
        "schema": {"fields": job.fields},
        "totalRows": str(job.table.num_rows),
        "totalBytesProcessed": job.resource["statistics"]["totalBytesProcessed"],
    }
    if most:
        answer["rows"] = [{"f": [{"v": cell} for cell in row]} for row in zip(*columns, strict=True)]
        if start + most < job.table.num_rows:
            answer["pageToken"] = str(start + most)
    return answer


def get_table(request: Request) -> dict[str, Any]:
    """tables.get: schema, partitioning and clustering."""
    state, (dataset, name) = request.state, request.parts
    asked = jobs.translate(state, request.account, f"SELECT * FROM `{dataset}`.`{name}`", [])
    partitioning, clustering = state.partitioning.get((dataset, name)), state.clustering.get((dataset, name))
    [[kind]] = (
        state.cursor()
        .execute("SELECT table_type FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", [dataset, name])
        .fetchall()
    )
    table = {
        "tableReference": {"projectId": state.project, "datasetId": dataset, "tableId": name},
        "type": "VIEW" if kind == "VIEW" else "TABLE",
        "schema": {"fields": jobs.columns_of(jobs.described(state, asked.sql))},
        "location": state.location,
    }
    if partitioning is not None:
        field = {} if partitioning.column == "_PARTITIONTIME" else {"field": partitioning.column}
        table["timePartitioning"] = {"type": partitioning.unit, **field}
        table["requirePartitionFilter"] = partitioning.filter_required
    if clustering:
        table["clustering"] = {"fields": clustering}
    return table


Call = Callable[[Request], dict[str, Any]]
ROUTES: list[tuple[str, str, str, Call]] = [
    ("jobs.insert", "POST", "/jobs", insert_job),
    ("jobs.get", "GET", "/jobs/([^/]+)", get_job),
    ("jobs.getQueryResults", "GET", "/queries/([^/]+)", query_results),
    ("tables.get", "GET", "/datasets/([^/]+)/tables/([^/]+)", get_table),
]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", 65536, True
    state: State

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing is logged."""

    def do_GET(self) -> None:
        """Answers."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answers, with an error where one is due."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            answer = self.answer(body)
        except ApiError as error:
            self.reply(error.body(), error.status)
        except LoginError as error:
            self.reply(error.body, 400)
        else:
            self.reply(answer)

    def answer(self, body: bytes) -> dict[str, Any]:
        """The answer, or None when the connection is dropped instead."""
        parts = urlsplit(self.path)
        if parts.path == "/token":
            return token_for_assertion(self.state, body)
        account = asker(self.state, self.headers.get("Authorization"))
        acted = re.fullmatch(r"/v1/projects/-/serviceAccounts/([^/]+):generateAccessToken", parts.path)
        if acted:
            return token_for_acting_as(self.state, account, unquote(acted[1]))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for name, method, pattern, call in ROUTES:
            matched = re.fullmatch(f"/bigquery/v2/projects/([^/]+){pattern}", parts.path)
            if matched and method == self.command:
                self.fail_if_due(name)
                project, *rest = map(unquote, matched.groups())
                if project != self.state.project:
                    raise ApiError("notFound", f"Not found: Project {project}")
                return call(Request(self.state, account, query, body, rest))
        raise ApiError("notFound", f"Not found: {self.command} {parts.path}")

    def fail_if_due(self, name: str) -> None:
        """Raises the fault that a test asked for."""
        fault = self.state.fault(name)
        if fault is not None and fault.error == "drop":
            self.close_connection = True
            self.connection.close()
            raise ConnectionAbortedError
        if fault is not None:
            raise fault.error

    def reply(self, answer: dict[str, Any], status: int = 200) -> None:
        """Writes an answer, compressed as the real one is."""
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) > WORTH_GZIP:
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
