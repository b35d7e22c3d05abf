"""How BigQuery is reached: dagster-gcp's resource, with a key that stays in memory, an account to act as, and servers on this machine.

Imports Google's libraries, which take seconds to load: import this module only to open a connection.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import google.auth
import google.auth.impersonated_credentials
import grpc
from dagster_gcp.bigquery.resources import BigQueryResource
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.oauth2 import service_account
from pydantic import Field

from klaviyo_sync.core.errors import ConfigError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
STORAGE_HOST = "bigquerystorage.googleapis.com"
IAM_PATH = "/v1/projects/-/serviceAccounts/{}:generateAccessToken"
REQUEST_SECONDS = 150  # BigQuery itself holds a request for at most two minutes
# A connection that died in silence is noticed by a ping without an answer; rows of any size are let in.
CHANNEL = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000), ("grpc.max_receive_message_length", -1)]


class TimedSession(AuthorizedSession):
    """A session whose every request ends, where the client library would wait for ever."""

    def request(self, method: str, url: str, data: Any = None, headers: Any = None, *args: Any, **options: Any) -> Any:
        """The answer. Raises requests' Timeout when there is none in time."""
        options["timeout"] = options.get("timeout") or REQUEST_SECONDS
        return super().request(method, url, data, headers, *args, **options)


class BigQueryAccess(BigQueryResource):
    """dagster-gcp's resource for one connection of klaviyo_sync.yaml.

    Its own way with a key writes a file, and sets a variable for the whole process, which other Google clients then obey.
    """

    gcp_credentials: str | None = Field(default=None, repr=False)
    impersonate: str | None = None
    api_endpoint: str | None = None
    storage_endpoint: str | None = None

    @property
    def local(self) -> bool:
        """Whether the endpoint is a server on this machine."""
        return self.api_endpoint is not None and is_loopback(urlsplit(self.api_endpoint).hostname or "")

    @contextmanager
    def get_client(self) -> Iterator[bigquery.Client]:
        """A client. Raises ConfigError, or DefaultCredentialsError, when there is nobody to log in as."""
        found = self.credentials()
        options = {"api_endpoint": self.api_endpoint} if self.api_endpoint else None
        client = bigquery.Client(
            project=self.project, location=self.location, credentials=found, client_options=options, _http=TimedSession(found)
        )
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def get_storage_client(self, client: bigquery.Client) -> Iterator[BigQueryReadClient | None]:
        """A client of the Storage Read API with the same credentials; None where another endpoint has none beside it."""
        if self.api_endpoint and not self.storage_endpoint:
            yield None
            return
        host = self.storage_endpoint or STORAGE_HOST
        if is_loopback(host.rpartition(":")[0]):
            channel = grpc.insecure_channel(host, options=CHANNEL)
        else:
            credentials: Any = client._credentials  # noqa: SLF001 - the login is shared, not made twice
            channel = BigQueryReadGrpcTransport.create_channel(host, credentials=credentials, options=CHANNEL)
        found = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        try:
            yield found
        finally:
            found.transport.close()

    def credentials(self) -> Any:
        """Who asks: the key's account, else whom this machine is logged in as; or the account that one of them acts as."""
        found: Any
        if self.gcp_credentials:
            found = key_credentials(self.gcp_credentials)
        elif self.local:
            found = AnonymousCredentials()
        else:
            found, _ = google.auth.default(scopes=SCOPES)
        if self.impersonate is None:
            return found
        address = f"{self.api_endpoint}{IAM_PATH.format(self.impersonate)}" if self.local else None
        return google.auth.impersonated_credentials.Credentials(
            found, self.impersonate, target_scopes=list(SCOPES), iam_endpoint_override=address
        )


def key_credentials(text: str) -> service_account.Credentials:
    """The service account of a key: JSON, or base64 of it. Raises ConfigError, which quotes nothing of it, for anything else."""
    try:
        plain = text if text.lstrip().startswith("{") else base64.b64decode(text, validate=False).decode()
        info = json.loads(plain)
    except (binascii.Error, ValueError):
        raise ConfigError("credentials of the connection are no service account key: expected JSON, or base64 of it.") from None
    kind = info.get("type") if isinstance(info, dict) else None
    if kind != "service_account":
        raise ConfigError(
            f"credentials of the connection are of type {kind!r}; expected a key of type 'service_account'. For anything else, "
            "workload identity among it, leave credentials out and name the file in GOOGLE_APPLICATION_CREDENTIALS."
        )
    try:
        return service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    except ValueError:
        raise ConfigError("credentials of the connection: the key lacks a field, or its private_key is none; make a new one.") from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
