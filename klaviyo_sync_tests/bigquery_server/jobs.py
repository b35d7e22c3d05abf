"""Query jobs: checked, run by DuckDB, and kept with their result."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

import duckdb
import pyarrow as pa

from bigquery_server.answers import ApiError
from bigquery_server.cost import billed, bytes_read
from bigquery_server.state import Account, Job, State
from bigquery_server.translation import Translated, described, translate
from bigquery_server.values import Field, arrow_type, columns_of, json_text, text_of

LABEL = re.compile(r"[\w-]{0,63}")
RESULTS = "_results"


def insert(state: State, account: Account, body: dict[str, Any]) -> dict[str, Any]:
    """jobs.insert: a job's resource. What is wrong with the query itself is told by the job, or at once by a dry run."""
    if not account.job_user:
        raise ApiError(
            "accessDenied",
            f"Access Denied: Project {state.project}: User does not have bigquery.jobs.create permission in project {state.project}.",
        )
    configuration = body["configuration"]
    check_labels(configuration.get("labels", {}))
    name = body.get("jobReference", {}).get("jobId") or str(uuid.uuid4())
    if name in state.jobs:
        raise ApiError("duplicate", f"Already Exists: Job {state.project}:{state.location}.{name}", 409)
    location = body.get("jobReference", {}).get("location") or state.location
    job = Job(resource_of(state, name, location, configuration), account, polls=state.slow_polls)
    try:
        check_location(state, location)
        run(state, job, configuration)
    except ApiError as error:
        if configuration.get("dryRun"):
            raise
        job.error = error
        job.resource["status"].update(errorResult=error.item(), errors=[error.item()])
    state.requests.append(configuration)
    if not configuration.get("dryRun"):
        state.jobs[name] = job
    return shown(job)


def check_labels(labels: dict[str, str]) -> None:
    """Labels are lower case, and short: https://docs.cloud.google.com/bigquery/docs/labels-intro"""
    for key, value in labels.items():
        if not key[:1].isalpha() or any(not LABEL.fullmatch(text) or text != text.lower() for text in (key, value)):
            raise ApiError("invalid", f'Label "{key}": "{value}" has invalid characters.')


def check_location(state: State, location: str) -> None:
    """Datasets are found where they lie, and nowhere else."""
    if location.upper() != state.location.upper():
        raise ApiError("notFound", f"Not found: Dataset {state.project}:any was not found in location {location}")


def resource_of(state: State, name: str, location: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """A job as the API shows it."""
    now = str(int(time.time() * 1000))
    destination = {"projectId": state.project, "datasetId": RESULTS, "tableId": "anon" + name.replace("-", "")}
    return {
        "kind": "bigquery#job",
        "id": f"{state.project}:{location}.{name}",
        "jobReference": {"projectId": state.project, "jobId": name, "location": location},
        "configuration": {**configuration, "query": {**configuration["query"], "destinationTable": destination}},
        "status": {"state": "DONE"},
        "statistics": {"creationTime": now, "startTime": now, "endTime": now, "query": {"statementType": "SELECT"}},
    }


def shown(job: Job) -> dict[str, Any]:
    """The resource, which runs on for as many questions as the server is slow."""
    if job.polls:
        return {**job.resource, "status": {"state": "RUNNING"}}
    return job.resource


def run(state: State, job: Job, configuration: dict[str, Any]) -> None:
    """Runs the job's query, unless it is a dry run."""
    fault = state.fault("query")
    if fault is not None:
        raise fault.error
    query = configuration["query"]
    params = query.get("queryParameters", [])
    asked = translate(state, job.account, query["query"], params)
    read = bytes_read(state, asked, params)
    job.resource["statistics"].update(totalBytesProcessed=str(read))
    job.resource["statistics"]["query"].update(totalBytesProcessed=str(read), totalBytesBilled=str(billed(read, len(asked.tables))))
    relation = described(state, asked.sql)
    job.fields = [schema_field(state, found, asked.written_as.get(at)) for at, found in enumerate(columns_of(relation))]
    if configuration.get("dryRun"):
        job.resource["statistics"]["query"]["schema"] = {"fields": job.fields}
        return
    most = int(query.get("maximumBytesBilled") or 2**62)
    if billed(read, len(asked.tables)) > most:
        raise ApiError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {most}. {billed(read, len(asked.tables))} or higher required.",
        )
    job.table = result(relation, asked, job.fields)


def schema_field(state: State, found: Field, written_as: str | None) -> Field:
    """A column of the result's schema."""
    if written_as:
        return {"name": found["name"], "type": "STRING", "mode": "NULLABLE"}
    return {**found, "type": "GEOGRAPHY"} if found["name"] in state.geographies else found


def result(relation: duckdb.DuckDBPyRelation, asked: Translated, fields: list[Field]) -> pa.Table:
    """The rows, each column in the Arrow type that BigQuery gives it."""
    plain = columns_of(relation)
    try:
        table = relation.to_arrow_table()
    except duckdb.Error as error:
        # BigQuery quotes the cell too: "Bad int64 value: x".
        raise ApiError("invalidQuery", str(error).splitlines()[0]) from None
    columns = []
    for at, (column, found, wanted) in enumerate(zip(table.columns, plain, fields, strict=True)):
        if asked.written_as.get(at) == "json":
            columns.append(pa.chunked_array([pa.array([json_text(cell, found) for cell in column.to_pylist()], pa.string())]))
        elif asked.written_as.get(at) == "text":
            columns.append(
                pa.chunked_array([pa.array([None if cell is None else text_of(cell) for cell in column.to_pylist()], pa.string())])
            )
        else:
            columns.append(without_null_lists(column, wanted).cast(arrow_type(wanted), safe=False))
    return pa.Table.from_arrays(columns, names=[found["name"] for found in fields])


def without_null_lists(column: pa.ChunkedArray, wanted: Field) -> pa.ChunkedArray:
    """An ARRAY is never NULL in a result: it is empty."""
    if wanted["mode"] != "REPEATED" or not column.null_count:
        return column
    return pa.chunked_array([pa.array([cell or [] for cell in column.to_pylist()], column.type)])
