"""`klaviyo-sync preview` against a running Klaviyo: who would be new, and what would become of consent. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from klaviyo_sync.cli import main
from klaviyo_sync.sandbox import Sandbox, serve

PROJECT = """
klaviyo:
  api_key: {env: KLAVIYO_API_KEY}
  base_url: {env: KLAVIYO_BASE_URL}
connections:
  local: {type: duckdb, path: warehouse.duckdb}
"""
SYNC = """
connection: local
dataset: members
modified_at: updated_at
frequency: daily
start: 2026-01-01
profile: {external_id: id, email: email, phone_number: phone}
consent:
  email_marketing: {column: word, timestamp: said_at}
  sms_marketing: texts
  list: Y6nRLr
"""
ROWS = """
CREATE TABLE members (id VARCHAR, email VARCHAR, phone VARCHAR, word VARCHAR, said_at TIMESTAMPTZ, texts VARCHAR, updated_at TIMESTAMPTZ);
INSERT INTO members VALUES
    ('1', 'new@example.com', '+4915112345671', 'Subscribe', NULL, 'Subscribe', '2026-01-01 10:00Z'),
    ('2', 'there@example.com', NULL, 'Subscribe', NULL, NULL, '2026-01-01 10:00Z'),
    ('3', 'gone@example.com', NULL, 'Subscribe', NULL, NULL, '2026-01-01 10:00Z'),
    ('4', 'gone.later@example.com', NULL, 'Subscribe', '2020-01-01 00:00Z', NULL, '2026-01-01 10:00Z'),
    ('5', 'leaving@example.com', NULL, 'Unsubscribed', NULL, NULL, '2026-01-01 10:00Z'),
    ('6', NULL, '+4915112345672', NULL, NULL, NULL, '2026-01-01 10:00Z'),
    ('7', 'odd@example.com', NULL, 'true', NULL, NULL, '2026-01-01 10:00Z');
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A Klaviyo that knows some of the warehouse's people, one of them by the phone number alone."""
    (tmp_path / "klaviyo_sync.yaml").write_text(PROJECT, encoding="utf-8")
    (tmp_path / "syncs").mkdir()
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute(ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KLAVIYO_SYNC_CONFIG", raising=False)
    box = Sandbox(limits=False)
    box.opt_in("there@example.com", "email_marketing")
    box.opt_out("gone@example.com", "email_marketing")
    box.opt_out("gone.later@example.com", "email_marketing")
    box.person("+4915112345672")
    with serve(box) as server:
        monkeypatch.setenv("KLAVIYO_API_KEY", "pk_test")
        monkeypatch.setenv("KLAVIYO_BASE_URL", server.url)
        yield box


def preview(*options: str) -> Result:
    """The command over the first window."""
    return CliRunner().invoke(main, ["preview", "members", "--window", "2026-01-01", *options])


def words(result: Result) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in result.stdout.splitlines()]


def test_what_would_become_of_everybody(box: Sandbox) -> None:
    """It says how many profiles would be new, and how many would be subscribed, unsubscribed, guarded and skipped, and why."""
    before = [box.profiles.attributes(number) for number in range(len(box.profiles))]
    result = preview()
    assert result.exit_code == 0, result.output
    lines = words(result)
    assert ["new", "profiles", "among", "them", "3"] in lines
    assert ["email_marketing", "6", "1", "1", "1", "1", "1", "0", "1"] in lines
    assert ["sms_marketing", "1", "1", "0", "0", "0", "0", "0", "0"] in lines
    assert "double opt-in, Klaviyo asks each person to confirm" in result.stdout
    for code in ("consent_guarded", "consent_older", "unknown_consent_word"):
        assert code in result.stdout
    assert [box.profiles.attributes(number) for number in range(len(box.profiles))] == before


def test_statements_of_superseded_rows(box: Sandbox) -> None:
    """Of several statements about an address one counts, also where its row is superseded; others, and lost ones, are told."""
    del box
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute("DELETE FROM members")
        connection.execute(
            "INSERT INTO members VALUES ('1', 'ada@example.com', NULL, 'Unsubscribed', NULL, NULL, '2026-01-01 10:00Z'),"
            "('1', 'ada@example.com', NULL, 'Unsubscribed', NULL, NULL, '2026-01-01 11:00Z'),"
            "('1', 'sales/eu@example.com', NULL, 'Unsubscribed', NULL, NULL, '2026-01-01 12:00Z'),"
            "('1', 'ada@example.com', NULL, NULL, NULL, NULL, '2026-01-01 13:00Z')"
        )
    result = preview()
    lines = words(result)
    assert ["email_marketing", "unsubscribe", "1"] in lines
    assert ["email_marketing", "3", "0", "1", "0", "0", "1", "0", "1"] in lines
    assert {"consent_outweighed", "opt_out_without_identifier"} <= {word for line in lines for word in line}
    assert ["opt-outs", "that", "go", "out,", "before", "the", "imports", "where", "Klaviyo", "has", "the", "address", "1"] in lines
    assert ["requests", "that", "read", "consent", "before", "and", "after", "it", "is", "sent,", "about", "2"] in lines


def test_only_so_many_are_asked_about(box: Sandbox) -> None:
    """With --ask, the figures are of the first profiles, and say so; with 0 Klaviyo hears nothing at all."""
    assert "new profiles among the first 2" in preview("--ask", "2").stdout
    heard = box.requests.total()
    result = preview("--ask", "0")
    assert (result.exit_code, "new profiles" in result.stdout) == (0, False)
    assert box.requests.total() == heard


def test_without_a_key(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the key it names the variable, and the way to do without."""
    del box
    monkeypatch.delenv("KLAVIYO_API_KEY")
    result = preview()
    assert result.exit_code == 1
    assert "KLAVIYO_API_KEY" in result.stderr
    assert "--ask 0" in result.stderr


@pytest.mark.usefixtures("box")
def test_without_a_window_it_is_the_newest_that_has_closed() -> None:
    """`preview SYNC` shows the window that the schedule would import next; where none has closed yet it says so."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert f"members, window {yesterday}: rows from {yesterday}T00:00:00" in newest().stdout
    sync = Path("syncs/members.yaml")
    sync.write_text(sync.read_text(encoding="utf-8").replace("start: 2026-01-01", "start: 2190-01-01"), encoding="utf-8")
    result = newest()
    assert (result.exit_code, "its first, 2190-01-01, ends at 2190-01-02" in result.stderr) == (1, True), result.output


def newest() -> Result:
    """What `preview` prints when it is given a sync alone."""
    return CliRunner().invoke(main, ["preview", "members"])
