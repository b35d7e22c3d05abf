"""BigQuery, through dagster-gcp: queries are jobs, rows come over the Storage Read API, or over REST where that may not be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from klaviyo_sync.core.query import Column, Query, Relation, columns_query
from klaviyo_sync.warehouses.bigquery_failures import PartitionFilterDemandedError, explained, passing
from klaviyo_sync.warehouses.bigquery_reading import known_type, rest_batches, storage_batches
from klaviyo_sync.warehouses.recutting import recut

if TYPE_CHECKING:
    from google.cloud.bigquery import QueryJob, QueryJobConfig, Table

    from klaviyo_sync.warehouses.bigquery_access import BigQueryAccess

BATCH_ROWS = 16_384
PAGE_ROWS = 5_000  # over REST, where a page costs a Python object per cell
PATIENCE = 120.0  # seconds for which one request is repeated
# https://docs.cloud.google.com/bigquery/docs/labels-intro
LABEL_LENGTH = 63
OVER_REST = "Rows came over BigQuery's REST API, many times slower than over the Storage Read API: {}."
GRANT = (
    "grant the role BigQuery Read Session User (roles/bigquery.readSessionUser) on project {project}, "
    "and enable the API bigquerystorage.googleapis.com there"
)
REACH = "let this machine reach bigquerystorage.googleapis.com"
WINDOW_KEY = re.compile(r"\d{4}-\d\d-\d\d")


def open_bigquery(connection: Any, label: str) -> BigQueryWarehouse:
    """The warehouse of a BigQuery connection. Raises ConfigError or Refused when there is no way to log in."""
    from klaviyo_sync.warehouses.bigquery_access import BigQueryAccess  # noqa: PLC0415 - Google's libraries take seconds to load

    access = BigQueryAccess(
        project=connection.project,
        location=connection.location,
        gcp_credentials=connection.credentials,
        impersonate=connection.impersonate,
        api_endpoint=connection.api_endpoint,
        storage_endpoint=connection.storage_endpoint,
    )
    return BigQueryWarehouse(access, connection.maximum_bytes_billed, {**labels(label), **connection.labels})


def labels(text: str) -> dict[str, str]:
    """The labels of the jobs of some work: `klaviyo_sync` names its sync, `window` the window that ends the text, if one does."""
    _, *words = text.split()
    window = words.pop() if words and WINDOW_KEY.match(words[-1]) else None
    named = {"klaviyo_sync": "_".join(words) or "run", "window": window}
    return {key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:LABEL_LENGTH] for key, value in named.items() if value}


class BigQueryWarehouse:
    """Reads what queries find. Nothing is written: BigQuery keeps results for a day in a dataset of its own.

    `notes` says what the owner should know about the way rows were read.
    """

    dialect = "bigquery"

    def __init__(
        self,
        access: BigQueryAccess,
        maximum_bytes_billed: int | None = None,
        labels: dict[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Opens clients; nothing is asked yet. `patience` is for how many seconds a request is repeated that gets no answer."""
        from google.api_core.exceptions import ServiceUnavailable  # noqa: PLC0415 - Google's libraries, loaded by now
        from google.api_core.retry import Retry, if_exception_type  # noqa: PLC0415
        from google.cloud.bigquery import DEFAULT_RETRY  # noqa: PLC0415

        self.project = access.project or ""
        self.maximum_bytes_billed = maximum_bytes_billed
        self.labels = labels or {}
        self.notes: list[str] = []
        self.patience = patience
        self.retry = DEFAULT_RETRY.with_timeout(patience)
        self.stream_retry = Retry(predicate=if_exception_type(ServiceUnavailable), timeout=patience)
        self.again = Retry(predicate=passing, timeout=patience)
        self.opened = ExitStack()
        with explained(self.project), ExitStack() as opening:
            self.client = opening.enter_context(access.get_client())
            self.storage = opening.enter_context(access.get_storage_client(self.client))
            self.opened = opening.pop_all()

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a table, view or SELECT. Raises ConfigError when it cannot be read, Refused when it may not be."""
        try:
            fields = self.dry_run(columns_query(relation)).schema or ()
        except PartitionFilterDemandedError:
            if relation.text is not None:
                raise
            fields = self.table(relation).schema
        return [Column(field.name, known_type(field)) for field in fields]

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, as Arrow batches of at most BATCH_ROWS. Raises Refused or Unavailable when reading breaks."""
        with explained(self.project):
            job = self.again(lambda: self.finished(query))()
            pieces = self.stored(job)
            if pieces is None:
                pieces = rest_batches(job.result(page_size=PAGE_ROWS, retry=self.retry, job_retry=None))
            yield from recut(pieces, BATCH_ROWS)

    def stored(self, job: QueryJob) -> Iterable[pa.RecordBatch] | None:
        """The rows over the Storage Read API; None, with a note, where that may not be used or cannot be reached."""
        from google.api_core.exceptions import Forbidden, RetryError, ServiceUnavailable  # noqa: PLC0415

        if self.storage is None or job.destination is None:
            self.notes = self.notes or [OVER_REST.format("name its storage_endpoint beside the connection's api_endpoint")]
            return None
        found = storage_batches(self.storage, self.project, job.destination, self.stream_retry, self.patience)
        try:
            first = next(found, None)
        except (Forbidden, ServiceUnavailable, RetryError) as error:
            self.storage = None
            mend = GRANT.format(project=self.project) if isinstance(error, Forbidden) else REACH
            self.notes.append(OVER_REST.format(mend))
            return None
        return () if first is None else chain((first,), found)

    def finished(self, query: Query) -> QueryJob:
        """A job that has run; no row of it is fetched yet."""
        job = self.client.query(query.sql, job_config=self.config(query), retry=self.retry, job_retry=None)
        job.result(retry=self.retry, job_retry=None)
        return job

    def dry_run(self, query: Query) -> QueryJob:
        """What BigQuery knows of a query without running it, which costs nothing."""
        config = self.config(query)
        config.maximum_bytes_billed = None  # nothing is billed, and what it would be is asked
        config.dry_run = True
        config.use_query_cache = False
        with explained(self.project, analysing=True):
            return self.client.query(query.sql, job_config=config, retry=self.retry, job_retry=None)

    def estimate(self, query: Query) -> int:
        """How many bytes the query would read, at most: clusters may spare some of them."""
        return self.dry_run(query).total_bytes_processed or 0

    def pruning(self, relation: Relation, modified_at: Column) -> str | None:
        """How the table is partitioned and clustered, seen from the modified_at column; None for a view or a SELECT."""
        if relation.text is not None:
            return None
        table = self.table(relation)
        if table.table_type != "TABLE":
            return None
        by = table.time_partitioning
        if by is not None and by.field == modified_at.name:
            return f"partitioned by {(by.type_ or 'day').lower()} of {by.field}"
        if modified_at.name in (table.clustering_fields or [])[:1]:
            return f"clustered by {modified_at.name}"
        held = f"partitioned by {by.field or 'time of ingestion'}, and " if by is not None else ""
        return f"{held}not partitioned or clustered by {modified_at.name}: every run reads, and pays for, the whole columns"

    def table(self, relation: Relation) -> Table:
        """What BigQuery knows about a table."""
        from google.cloud.bigquery import DatasetReference  # noqa: PLC0415

        source = relation.source
        reference = DatasetReference(source.catalog or self.project, source.db).table(source.name)
        with explained(self.project, analysing=True):
            return self.client.get_table(reference, retry=self.retry)

    def config(self, query: Query) -> QueryJobConfig:
        """How a query is to be run. Values are bound with the type of their column, so that partitions are pruned."""
        from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter  # noqa: PLC0415

        config = QueryJobConfig(labels=self.labels)
        config.query_parameters = [ScalarQueryParameter(param.name, param.type, param.value) for param in query.params]
        if self.maximum_bytes_billed is not None:
            config.maximum_bytes_billed = self.maximum_bytes_billed
        return config

    def close(self) -> None:
        """Closes the connections."""
        self.opened.close()
