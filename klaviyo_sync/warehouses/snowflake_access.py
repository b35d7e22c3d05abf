"""How Snowflake is reached: dagster-snowflake's resource, set so that nothing hangs, nothing is cut short, and clocks are UTC.

Imports the driver, which takes seconds to load: import this module only to open a connection.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from klaviyo_sync.warehouses.snowflake_keys import key_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # dagster-snowflake 0.29 declares one of its fields as pydantic 1 had it
    from dagster_snowflake import SnowflakeResource

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

TAG_LENGTH = 2_000
# https://docs.snowflake.com/en/sql-reference/parameters
SESSION = {
    "ROWS_PER_RESULTSET": 0,  # an account that cuts results short would lose rows in silence
    "CLIENT_RESULT_CHUNK_SIZE": 48,  # megabytes, the least
    "STRICT_JSON_OUTPUT": True,  # else what an array lacks is the bare word `undefined`
    "JSON_INDENT": 0,
    "ABORT_DETACHED_QUERY": True,  # a run that was killed pays no longer
}


@dataclass(frozen=True)
class Patience:
    """For how many seconds is waited: for a login, for one request with its repetitions (a query that runs longer answers in between),
    and for one answer (Snowflake's comes within 45 seconds, and says "not yet" if need be). `pauses` are those between repetitions.
    """

    login: int = 60
    network: int = 300
    socket: int = 120
    pauses: Callable[[], Iterator[int]] | None = None


def log_in(connection: Any, label: str, patience: Patience) -> SnowflakeConnection:
    """A session for the settings of a connection. Raises ConfigError for a key that is none, else the driver's errors."""
    settings = {
        "account": connection.account,
        "user": connection.user,
        "password": connection.password,
        "private_key": key_of(connection),
        "authenticator": connection.authenticator or (connection.token and "oauth"),
        "role": connection.role,
        "warehouse": connection.warehouse,
        "database": connection.database,
        "schema": connection.schema_,
    }
    driver = {
        "token": connection.token,
        "host": connection.host,
        "port": connection.port,
        "protocol": connection.protocol,
        "socket_timeout": patience.socket,
        "backoff_policy": patience.pauses,
        "arrow_number_to_decimal": True,
        "session_parameters": {**SESSION, "QUERY_TAG": label[:TAG_LENGTH]},
    }
    resource = SnowflakeResource(
        **{key: value for key, value in settings.items() if value is not None},
        timezone="UTC",
        paramstyle="qmark",
        login_timeout=patience.login,
        network_timeout=patience.network,
        validate_default_parameters=True,
        additional_snowflake_connection_args={key: value for key, value in driver.items() if value is not None},
    )
    return ExitStack().enter_context(resource.get_connection())
