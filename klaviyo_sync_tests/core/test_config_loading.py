"""Loading: what is written is what the models hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from klaviyo_sync.config import DuckDBConnection, Secret, SnowflakeConnection, load
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.sync import Sync

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PROJECT = """
klaviyo:
  api_key: {env: KLAVIYO_API_KEY}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
"""
SYNC = """
connection: local
dataset: crm.members
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile:
  email: email
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a whole configuration."""
    return write(tmp_path, PROJECT, SYNC)


def write(folder: Path, project: str, sync: str) -> Path:
    """Writes a configuration of one sync."""
    (folder / "klaviyo_sync.yaml").write_text(project, encoding="utf-8")
    (folder / "syncs").mkdir(exist_ok=True)
    (folder / "syncs" / "members.yaml").write_text(sync, encoding="utf-8")
    return folder


def sync_of(folder: Path, more: str, environ: dict[str, str] | None = None) -> Sync:
    """The only sync, with more lines in its file."""
    write(folder, PROJECT, SYNC + more)
    return load(folder, environ or {}, NOW).syncs[0]


def test_the_file_is_found_by_variable_or_in_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KLAVIYO_SYNC_CONFIG names the file, or its folder; without it the working directory's is read."""
    assert load(environ={"KLAVIYO_SYNC_CONFIG": str(folder / "klaviyo_sync.yaml")}).path == folder / "klaviyo_sync.yaml"
    assert load(environ={"KLAVIYO_SYNC_CONFIG": str(folder)}).path == folder / "klaviyo_sync.yaml"
    monkeypatch.chdir(folder)
    assert load(environ={}).path == Path("klaviyo_sync.yaml")


def test_every_key_of_a_sync(folder: Path) -> None:
    """The longest file means what it says."""
    sync = sync_of(
        folder,
        """
  external_id: customer_id
  phone_number: {column: phone, country: country_code, on_null: keep}
  location.city: city
properties:
  Balance: balance
  Segments: {column: segments, type: list, separator: "|"}
consent:
  email_marketing: {column: mail, timestamp: mail_at}
  sms_marketing: sms
  undated: ignore
  list: Y6nRLr
  source: Warehouse
list: VRgFBd
settle: 10m
overlap: 2h
catch_up: 4w
on_null: clear
tolerance: {rejected: 2.5%, failed: 3}
history: skip
upstream: [crm, members]
owners: [team:crm, someone@example.com]
group: crm
tags: {domain: crm, tier: "1"}
description: Everybody.
""",
    )
    assert sync.identifiers == ("email", "phone_number", "external_id")
    assert sync.columns() == (
        *("email", "customer_id", "phone", "country_code", "city", "balance", "segments", "mail", "mail_at", "sms", "updated_at"),
    )
    assert (sync.settle, sync.overlap, sync.catch_up) == (timedelta(minutes=10), timedelta(hours=2), timedelta(weeks=4))
    assert (sync.list_id, sync.consent.list_id if sync.consent else None) == ("VRgFBd", "Y6nRLr")
    assert sync.tolerance.rejected.exceeded_by(26, 1000)
    assert not sync.tolerance.rejected.exceeded_by(25, 1000)
    assert (sync.upstream, sync.tags) == (("crm", "members"), {"domain": "crm", "tier": "1"})


def test_words_that_other_yaml_readers_change_stay_text(folder: Path) -> None:
    """`no`, `on`, `12:30` and dates are text, as keys and as values; only true and false are booleans."""
    sync = sync_of(folder, "properties: {on: no, 2026-01-01: 12:30, null: 'yes', 1: off, True: y}\n")
    assert {name: field.column for name, field in sync.properties.items()} == {
        "on": "no",
        "2026-01-01": "12:30",
        "null": "yes",
        "1": "off",
        "True": "y",
    }


def test_properties_may_be_named_env(folder: Path) -> None:
    """Where names are free, `env` is a name like any other."""
    sync = sync_of(folder, "properties: {env: environment}\ntags: {env: prod}\n")
    assert (sync.properties["env"].column, sync.tags) == ("environment", {"env": "prod"})


def test_any_scalar_of_a_sync_may_be_a_variable(folder: Path) -> None:
    """Variables of a sync are read at once, and mean what the same text would."""
    text = "settle: {env: S}\ntolerance: {rejected: {env: T}, failed: {env: F}}\nproperties: {Tier: {env: C}}\nowners: [{env: O}]\n"
    sync = sync_of(folder, text, {"S": "1h", "T": "5%", "F": "7", "C": "tier", "O": "team:crm"})
    assert (sync.settle, sync.tolerance.failed.rows, sync.properties["Tier"].column) == (timedelta(hours=1), 7, "tier")


def test_anchors_may_be_used(folder: Path) -> None:
    """YAML's anchors and aliases repeat a value."""
    sync = sync_of(folder, "properties:\n  A: &field {column: a, type: text}\n  B: *field\n")
    assert sync.properties["A"] == sync.properties["B"]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),  # noqa: DTZ001 - wall time
        ("2026-01-31T06:30", datetime(2026, 1, 31, 6, 30)),  # noqa: DTZ001 - wall time
        ("2026-01-31 06:30:15", datetime(2026, 1, 31, 6, 30, 15)),  # noqa: DTZ001 - wall time
        ("2026-01-31T06:30:00Z", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
        ("2026-01-31T06:30+01:00", datetime(2026, 1, 31, 5, 30, tzinfo=UTC)),
    ],
)
def test_starts(folder: Path, written: str, moment: datetime) -> None:
    """A start is a day, a wall time, or a moment."""
    write(folder, PROJECT, SYNC.replace("2026-01-01", written))
    assert load(folder, {}, NOW).syncs[0].start == moment


def test_places_of_keys(folder: Path) -> None:
    """Every key path has its line, for links from Dagster to the file."""
    source = load(folder, {}, NOW).sources["members"]
    assert source.path == folder / "syncs" / "members.yaml"
    assert (source.lines["frequency"], source.lines["profile.email"]) == (5, 8)


def test_a_missing_variable_of_another_connection_does_no_harm(folder: Path) -> None:
    """Variables of klaviyo and of connections are read when they are used, and then named with their line."""
    text = PROJECT + "  snow: {type: snowflake, account: {env: ACCOUNT}, user: SYNC, password: {env: PASSWORD}}\n"
    project = load(write(folder, text, SYNC), {}, NOW)
    assert isinstance(project.connections["local"].resolved({}), DuckDBConnection)
    with pytest.raises(ConfigError) as caught:
        project.connections["snow"].resolved({})
    first, second = str(caught.value).splitlines()
    assert first.endswith(
        "klaviyo_sync.yaml:6:36: connections.snow.account: the environment variable ACCOUNT is not set: set it, in the shell or in .env"
    )
    assert "PASSWORD" in second
    with pytest.raises(ConfigError, match="KLAVIYO_API_KEY is not set"):
        project.klaviyo.api_key.reveal({})


def test_secrets_are_never_shown(folder: Path) -> None:
    """No repr of the configuration holds a secret, before or after its variables are read."""
    text = PROJECT + "  snow: {type: snowflake, account: acme, user: SYNC, password: {env: PASSWORD}}\n"
    project = load(write(folder, text, SYNC), {"PASSWORD": "swordfish", "KLAVIYO_API_KEY": "pk_secret"}, NOW)
    connection = project.connections["snow"].resolved({"PASSWORD": "swordfish"})
    assert isinstance(connection, SnowflakeConnection)
    assert str(connection.password) == "swordfish"
    assert isinstance(project.klaviyo.api_key, Secret)
    assert project.klaviyo.api_key.reveal({"KLAVIYO_API_KEY": "pk_secret"}) == "pk_secret"
    assert not any(secret in repr((project, connection)) + str(connection) for secret in ("swordfish", "pk_secret"))


def test_a_variable_that_holds_the_wrong_thing(folder: Path) -> None:
    """A connection's variable is checked when it is read, and named."""
    text = PROJECT + "  snow: {type: snowflake, account: acme, user: SYNC, token: {env: T}, port: {env: PORT}}\n"
    connection = load(write(folder, text, SYNC), {}, NOW).connections["snow"]
    with pytest.raises(
        ConfigError, match=r":6:77: connections.snow.port: the environment variable PORT: found \"x\", expected a whole number"
    ):
        connection.resolved({"T": "t", "PORT": "x"})
    resolved = connection.resolved({"T": "t", "PORT": "8082"})
    assert isinstance(resolved, SnowflakeConnection)
    assert resolved.port == 8082


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    """A DuckDB path and the rejects folder lie beside klaviyo_sync.yaml, however they are given; addresses stay."""
    text = PROJECT + "  other: {type: duckdb, path: {env: OTHER}}\n  memory: {type: duckdb, path: ':memory:'}\n"
    project = load(write(folder, text, SYNC), {}, NOW)
    paths = [project.connections[name].resolved({"OTHER": "b.duckdb"}) for name in ("local", "other", "memory")]
    assert [one.path for one in paths if isinstance(one, DuckDBConnection)] == [
        *(str(folder / "warehouse.duckdb"), str(folder / "b.duckdb"), ":memory:"),
    ]
    assert project.rejects == str(folder / "rejects")
    assert load(write(folder, PROJECT + "rejects: s3://bucket/rejects\n", SYNC), {}, NOW).rejects == "s3://bucket/rejects"


@pytest.mark.parametrize("address", ["https://a.klaviyo.com/", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:2"])
def test_addresses_that_a_key_may_be_sent_to(folder: Path, address: str) -> None:
    """Https anywhere, plain http on this machine only; a variable that is not set means Klaviyo itself."""
    text = PROJECT.replace("connections:", "  base_url: {env: BASE}\nconnections:")
    write(folder, text, SYNC)
    assert load(folder, {"BASE": address}, NOW).klaviyo.base_url == address.rstrip("/")
    assert load(folder, {}, NOW).klaviyo.base_url == "https://a.klaviyo.com"


@pytest.mark.parametrize(
    "address", ["http://a.klaviyo.com", "http://127.0.0.1.example.com", "ftp://127.0.0.1", "https://", "https://u@h", "http://[", "x"]
)
def test_addresses_that_no_key_is_sent_to(folder: Path, address: str) -> None:
    """A key never leaves this machine in clear."""
    text = PROJECT.replace("connections:", "  base_url: {env: BASE}\nconnections:")
    with pytest.raises(ConfigError, match="plain http only for this machine"):
        load(write(folder, text, SYNC), {"BASE": address}, NOW)


def test_notes(folder: Path) -> None:
    """What is right and yet worth knowing is noted."""
    text = SYNC.replace("daily", "every_15_minutes").replace("2026-01-01", "2024-01-01").replace("crm.members", "a")
    write(
        folder,
        PROJECT,
        text + "  phone_number: phone\nconsent: {sms_marketing: sms, undated: resubscribe}\nproperties: {Tier: a, tier: b}\n",
    )
    notes = load(folder, {}, NOW).notes
    assert [note.partition(": ")[2].split()[0] for note in notes] == ["about", "undated:", "the"]
    assert "85,000 windows" in notes[0]
    write(folder, PROJECT, SYNC.replace("2026-01-01", "2027-01-01"))
    assert load(folder, {}, NOW).notes == ("members: starts in the future, so there is no window yet",)
