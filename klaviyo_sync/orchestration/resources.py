"""Resources: how a run opens a warehouse and Klaviyo.

A resource is a function that opens, so that checks, which need neither, open nothing; drivers are imported and variables
are read at that moment. Dagster sees names of variables only, never their values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from klaviyo_sync.config import Connection, Env, KlaviyoSettings, Secret
from klaviyo_sync.interrupts import sent_again

if TYPE_CHECKING:  # drivers, for a run only
    from klaviyo_sync.klaviyo.client import Klaviyo
    from klaviyo_sync.warehouses import Warehouse

KLAVIYO = "klaviyo"

OpenWarehouse = Callable[[str], AbstractContextManager["Warehouse"]]
OpenKlaviyo = Callable[[], AbstractContextManager["Klaviyo"]]


def warehouse_name(connection: str) -> str:
    """The resource key of a connection."""
    return f"warehouse_{re.sub(r'[^A-Za-z0-9_]', '_', connection)}"


def warehouse(connection: Connection, environ: Mapping[str, str]) -> dg.ResourceDefinition:
    """A resource whose value opens the connection; it takes a label under which the warehouse lists the queries."""

    @contextmanager
    def opened(label: str) -> Iterator[Warehouse]:
        from klaviyo_sync.warehouses import connect  # noqa: PLC0415 - drivers, for a run only

        found = connect(connection.resolved(environ), label)
        try:
            yield found
        finally:
            found.close()

    return dg.ResourceDefinition.hardcoded_resource(opened, description=shown(connection))


def klaviyo(settings: KlaviyoSettings, environ: Mapping[str, str]) -> dg.ResourceDefinition:
    """A resource whose value opens a client of the Klaviyo account. While it is there no interrupt is lost."""

    @contextmanager
    def opened() -> Iterator[Klaviyo]:
        from klaviyo_sync.klaviyo.client import Klaviyo  # noqa: PLC0415 - for a run only

        with Klaviyo(settings.api_key.reveal(environ), base_url=settings.base_url, account=settings.account) as client:
            yield client

    def opener(_: dg.InitResourceContext) -> Iterator[OpenKlaviyo]:
        with sent_again():  # from before a step begins until after its last event is stored, Dagster's own work on both included
            yield opened

    return dg.ResourceDefinition(opener, description=shown(settings))


def shown(settings: Connection | KlaviyoSettings) -> str:
    """The settings in Markdown, as the file says them: variables by name, so that no value of theirs is ever shown."""
    lines = [f"- {key.rstrip('_')}: `{written(value)}`" for key, value in settings if value not in (None, {})]
    return "\n".join(["Opened by the runs that need it.", "", *lines])


def written(value: object) -> str:
    """A value as the file says it."""
    return f"{{env: {value.name}}}" if isinstance(value, Env | Secret) else str(value)
