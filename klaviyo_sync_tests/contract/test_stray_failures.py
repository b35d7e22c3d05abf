"""What nobody foresaw: stray exceptions of Snowflake's and BigQuery's libraries, and answers that are not Klaviyo's."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from scripted_klaviyo import Says, quick, serving

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.klaviyo.transport import describe
from klaviyo_sync.warehouses import bigquery_failures, snowflake_failures
from klaviyo_sync.warehouses.snowflake_failures import Place

CELL = "anna@example.com"
EXPLAINED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "Snowflake": lambda: snowflake_failures.explained(Place("reader")),
    "BigQuery": lambda: bigquery_failures.explained("project"),
}


@pytest.mark.parametrize("warehouse", EXPLAINED)
@pytest.mark.parametrize(
    ("raises", "kind", "said"),
    [
        (lambda: json.loads(f"<html>{CELL}"), Unavailable, "what came back is not JSON"),
        (lambda: json.dumps({CELL}), Refused, "client library failed (TypeError at encoder.py:"),
    ],
)
def test_exceptions_of_a_library(warehouse: str, raises: Callable[[], Any], kind: type[KlaviyoSyncError], said: str) -> None:
    """A library's stray exception is one of the three kinds, by type and place; its text, which may quote a cell, stays out."""
    with pytest.raises(kind) as caught, EXPLAINED[warehouse]():
        raises()
    assert said in str(caught.value)
    assert warehouse in str(caught.value)
    assert CELL not in str(caught.value)


@pytest.mark.parametrize("warehouse", EXPLAINED)
def test_our_own_errors_pass(warehouse: str) -> None:
    """One of the three kinds goes through as it is."""
    with pytest.raises(ConfigError, match=r"^no such column$"), EXPLAINED[warehouse]():
        raise ConfigError("no such column")


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (503, Unavailable, "503, text/html instead of JSON"),
        (200, Unavailable, "200, text/html instead of JSON"),
        (407, Refused, "407, text/html"),
    ],
)
def test_what_is_not_klaviyos(status: int, kind: type[KlaviyoSyncError], said: str) -> None:
    """An answer that is no JSON is told as what it is: status and kind."""
    says = Says(status, b"<html>no such page</html>", {"Content-Type": "text/html; charset=utf-8"})
    with serving(lambda _: says) as server, quick(server.url) as (klaviyo, _), pytest.raises(kind, match=said):
        klaviyo.account()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Cannot connect to proxy. Tunnel connection failed: 407 Proxy Authentication Required",
            "the proxy that HTTPS_PROXY names answered 407",
        ),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "no TLS connection with a.klaviyo.com (WRONG_VERSION_NUMBER)"),
        (f"Read timed out. {CELL}", "no whole answer from a.klaviyo.com (OSError)"),
    ],
)
def test_why_there_was_no_answer(text: str, said: str) -> None:
    """A proxy that says no and a TLS handshake that fails are told from silence."""
    failure = describe(OSError(text), "a.klaviyo.com")
    assert said in str(failure)
    assert CELL not in str(failure)
