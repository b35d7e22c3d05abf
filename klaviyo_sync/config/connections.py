"""What klaviyo_sync.yaml says about Klaviyo and the warehouses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from klaviyo_sync.config.addresses import DEFAULT_BASE_URL, check_address, check_base_url
from klaviyo_sync.config.env import Env, Revealed, Secret
from klaviyo_sync.config.problems import Problems
from klaviyo_sync.config.translation import translate
from klaviyo_sync.core.faults import Fault, Model

IN_MEMORY = (":memory:", "md:", "motherduck:")
PORTS = 65_535
# https://docs.cloud.google.com/bigquery/docs/labels-intro
LABEL_LENGTH = 63
LABEL = rf"[\w-]{{0,{LABEL_LENGTH}}}"


def text(value: object) -> object:
    """A text, or the variable that holds it."""
    if isinstance(value, Env) or (isinstance(value, str) and value):
        return value
    raise ValueError("expected a text; numbers stand in quotes")


def port(value: object) -> object:
    """A port's number, or the variable that holds it."""
    return value if isinstance(value, Env) else number(value, PORTS)


def size(value: object) -> object:
    """A number of bytes, or the variable that holds it."""
    return value if isinstance(value, Env) else number(value, 2**63 - 1)


def number(value: object, largest: int) -> int:
    """A whole number from 1 to the largest."""
    digits = str(value)
    if not isinstance(value, bool) and digits.isascii() and digits.isdigit() and len(digits) < 20 and 1 <= int(digits) <= largest:  # noqa: PLR2004
        return int(digits)
    raise ValueError(f"expected a whole number from 1 to {largest}")


def protocol(value: object) -> object:
    """`http` or `https`, or the variable that holds it."""
    if isinstance(value, Env) or value in ("http", "https"):
        return value
    raise ValueError("expected https, or http for a server on this machine")


def label_text(value: object) -> object:
    """A label's value in the letters that BigQuery takes, or the variable that holds it."""
    if isinstance(value, Env) or (isinstance(value, str) and re.fullmatch(LABEL, value) and value == value.lower()):
        return value
    raise ValueError(f"expected lower-case letters, digits, underscores and hyphens, at most {LABEL_LENGTH} of them")


def label_key(value: object) -> object:
    """A label's name: it begins with a letter."""
    if isinstance(value, str) and value[:1].isalpha():
        return label_text(value)
    raise ValueError(f"expected lower-case letters, digits, underscores and hyphens, at most {LABEL_LENGTH} of them, a letter first")


def check_endpoint(value: object) -> object:
    """The address itself, when a login may be sent there, or the variable that holds it."""
    if isinstance(value, Env):
        return value
    try:
        return check_address(value)
    except ValueError:
        raise ValueError("expected an address that begins with https://; plain http only for this machine") from None


def account_id(value: object) -> str:
    """The id of a Klaviyo account."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9]+", value, re.ASCII):
        return value
    raise ValueError("expected the id of a Klaviyo account, six letters and digits such as AbC123 (digits alone stand in quotes)")


Text = Annotated[Any, BeforeValidator(text), WithJsonSchema({"type": "string", "minLength": 1})]
Port = Annotated[Any, BeforeValidator(port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": PORTS})]
Size = Annotated[Any, BeforeValidator(size), WithJsonSchema({"type": "integer", "minimum": 1})]
Protocol = Annotated[Any, BeforeValidator(protocol), WithJsonSchema({"enum": ["https", "http"]})]
Endpoint = Annotated[Any, BeforeValidator(check_endpoint), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
LabelKey = Annotated[str, BeforeValidator(label_key), WithJsonSchema({"type": "string", "maxLength": LABEL_LENGTH})]
LabelText = Annotated[Any, BeforeValidator(label_text), WithJsonSchema({"type": "string", "maxLength": LABEL_LENGTH})]
AccountId = Annotated[str, BeforeValidator(account_id), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9]+$"})]
BaseUrl = Annotated[str, BeforeValidator(check_base_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]


class KlaviyoSettings(Model):
    """The Klaviyo account."""

    api_key: Secret = Field(description="Private API key, as {env: NAME}.")
    base_url: BaseUrl = Field(
        default=DEFAULT_BASE_URL,
        description="Klaviyo's address, or the sandbox's; https, or plain http on this machine. KLAVIYO_BASE_URL counts before it.",
        examples=[DEFAULT_BASE_URL],
    )
    account: AccountId | None = Field(
        default=None,
        description="Id of the account that the key must open; with the key of another account nothing is sent.",
        examples=["AbC123"],
    )


class WarehouseConnection(Model):
    """One warehouse. Values may be variables until `resolved`. `files` are the keys that hold a path."""

    files: ClassVar[tuple[str, ...]] = ()
    name: str

    def resolved(self, environ: Mapping[str, str] | None = None) -> Self:
        """The same connection with the values of its variables; secrets are texts whose repr hides them.

        Raises ConfigError, with one line for each, when variables are not set or hold what they must not.
        """
        problems = Problems()
        known = os.environ if environ is None else environ
        named = dict(self)
        plain = {key: self.plain(key, value, known, problems) for key, value in named.items()}
        problems.raise_any()
        try:
            return type(self).model_validate(plain)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                env = named.get(str(found["loc"][0])) if found["loc"] else None
                if isinstance(env, Env):
                    problems.add(env.file, env.mark, env.key, f"the environment variable {env.name}: {translate(found)}")
            problems.raise_any()
            raise

    def plain(self, key: str, value: Any, environ: Mapping[str, str], problems: Problems) -> Any:
        """A value with its variables replaced; what is not set is among the problems."""
        if isinstance(value, dict):
            return {name: self.plain(key, part, environ, problems) for name, part in value.items()}
        env = value.env if isinstance(value, Secret) else value
        if not isinstance(env, Env):
            return value
        if not environ.get(env.name):
            return problems.add(env.file, env.mark, env.key, env.missing)
        return Revealed(environ[env.name]) if isinstance(value, Secret) else self.from_variable(key, environ[env.name], env)

    def from_variable(self, key: str, value: str, env: Env) -> str:
        """The value of a variable; a path is relative to the file that names the variable."""
        return beside(env.folder, value) if key in self.files else value


class DuckDBConnection(WarehouseConnection):
    """A DuckDB file."""

    files: ClassVar[tuple[str, ...]] = ("path",)
    type: Literal["duckdb"] = "duckdb"
    path: Text = Field(description="The database file, relative to the folder of klaviyo_sync.yaml.", examples=["warehouse.duckdb"])
    memory_limit: Text = Field(
        default="256MB",
        description="DuckDB's memory_limit while it reads; tables take little of it, views and queries that join or sort may need more.",
        examples=["1GB"],
    )


class SnowflakeConnection(WarehouseConnection):
    """A Snowflake account, and how to log in."""

    files: ClassVar[tuple[str, ...]] = ("private_key_path",)
    type: Literal["snowflake"] = "snowflake"
    account: Text = Field(description="Account identifier, such as orgname-accountname.")
    user: Text = Field(description="User, best of type SERVICE.")
    private_key: Secret | None = Field(default=None, description="Private key: PEM, or base64 of it or of its DER form.")
    private_key_path: Text | None = Field(
        default=None, description="File with the private key (PEM or DER), relative to the folder of klaviyo_sync.yaml."
    )
    private_key_password: Secret | None = Field(default=None, description="Password of an encrypted private key.")
    password: Secret | None = Field(default=None, description="Password; a private key is better.")
    token: Secret | None = Field(default=None, description="OAuth or programmatic access token.")
    authenticator: Text | None = Field(default=None, description="Snowflake's authenticator, such as oauth or externalbrowser.")
    role: Text | None = Field(default=None, description="Role; SELECT on the datasets is enough.")
    warehouse: Text | None = Field(default=None, description="Virtual warehouse that runs the queries.")
    database: Text | None = Field(default=None, description="Database of datasets that name none.")
    schema_: Text | None = Field(default=None, alias="schema", description="Schema of datasets that name none.")
    host: Text | None = Field(default=None, description="Another host than the account's, for servers on this machine.")
    port: Port | None = Field(default=None, description="Port of that host.")
    protocol: Protocol | None = Field(default=None, description="https, or http for a server on this machine.")

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """No way to log in."""
        ways = ("private_key", "private_key_path", "password", "token", "authenticator")
        if all(raw.get(way) is None for way in ways):
            yield Fault((), f"expected a way to log in: {', '.join(ways)}")
        for way in [way for way in ways[:-1] if raw.get(way) is not None][1:]:
            yield Fault((way,), f"expected one way to log in, found two; leave out one of {', '.join(ways[:-1])}")


class BigQueryConnection(WarehouseConnection):
    """A BigQuery project."""

    type: Literal["bigquery"] = "bigquery"
    project: Text = Field(description="Project that runs (and pays for) the queries.")
    credentials: Secret | None = Field(
        default=None, description="Service account key: JSON, or base64 of it. Without it: application default."
    )
    location: Text | None = Field(default=None, description="Where the datasets lie.", examples=["EU"])
    impersonate: Text | None = Field(default=None, description="Service account to act as.")
    maximum_bytes_billed: Size | None = Field(default=None, description="Queries that would read more are refused by BigQuery.")
    api_endpoint: Endpoint | None = Field(default=None, description="Another address than Google's; https, or plain http on this machine.")
    storage_endpoint: Text | None = Field(
        default=None,
        description="host:port of the Storage Read API beside api_endpoint; without it rows come over api_endpoint.",
        examples=["127.0.0.1:9060"],
    )
    labels: dict[LabelKey, LabelText] = Field(default_factory=dict, description="Labels of the query jobs.", examples=[{"team": "crm"}])


Connection = DuckDBConnection | SnowflakeConnection | BigQueryConnection

TYPES: dict[str, type[Connection]] = {
    "duckdb": DuckDBConnection,
    "snowflake": SnowflakeConnection,
    "bigquery": BigQueryConnection,
}


def beside(folder: Path, path: str) -> str:
    """A path relative to a folder, as one from the working directory; addresses and databases in memory stay as they are."""
    return path if path.startswith(IN_MEMORY) or "://" in path else str(folder / Path(path).expanduser())
