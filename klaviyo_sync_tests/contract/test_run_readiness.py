"""Before the first batch: key, lists and other imports are looked at, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scripted_klaviyo import Asked, Says, quick, serving

from klaviyo_sync.core.errors import ConfigError, Unavailable
from klaviyo_sync.klaviyo.jobs import prepare

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def prepared(*open_jobs: dict[str, Any], ends_after: int = 10**9) -> Any:
    """A script of an account with these open jobs, gone after so many looks."""
    looks = [0]

    def script(asked: Asked) -> Says:
        if asked.path == "/api/accounts":
            return Says(200, {"data": [{"type": "account", "id": "AbC123", "attributes": {}}]})
        if asked.path.startswith("/api/lists/"):
            return Says(200, {"data": {"type": "list", "id": "Y6nRLr", "attributes": {}}}) if asked.path.endswith("Y6nRLr") else Says(404)
        assert asked.query["filter"] == 'any(status,["queued","processing"])'
        looks[0] += 1
        found = open_jobs if looks[0] <= ends_after else ()
        return Says(200, {"data": [{"type": "profile-bulk-import-job", "id": "other", "attributes": job} for job in found]})

    return script


OPEN = {"status": "processing", "created_at": (NOW - timedelta(minutes=3)).isoformat()}


def test_a_run_may_start() -> None:
    """A good key, lists that exist and no other import: nothing stands in the way."""
    with serving(prepared()) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, ["Y6nRLr", "Y6nRLr"], now=lambda: NOW)
        assert passing.slept == 0
    assert [asked.path for asked in server.asked] == ["/api/accounts", "/api/lists/Y6nRLr", "/api/profile-bulk-import-jobs"]


def test_a_list_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    """The error names the list."""
    with serving(prepared()) as server, quick(server.url) as (klaviyo, _), pytest.raises(ConfigError, match="'NOPE01'"):
        prepare(klaviyo, ["NOPE01"], now=lambda: NOW)


def test_other_imports_are_waited_for() -> None:
    """An import that is still running is waited for until it ends."""
    with serving(prepared(OPEN, ends_after=4)) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, now=lambda: NOW)
        assert passing.slept > 1


@pytest.mark.parametrize("job", [OPEN, {"status": "queued"}, {"status": "queued", "created_at": "soon"}])
def test_other_imports_that_do_not_end_are_unavailable(job: dict[str, Any]) -> None:
    """Waiting has an end; the error says what stands in the way."""
    with serving(prepared(job)) as server, quick(server.url) as (klaviyo, passing), pytest.raises(Unavailable, match="1 other import job"):
        prepare(klaviyo, now=lambda: NOW)
    assert passing.slept == pytest.approx(600, abs=31)


def test_dead_imports_do_not_stop_everything() -> None:
    """A job that has been open for hours is dead, and is not waited for until Klaviyo forgets it after seven days."""
    dead = {"status": "processing", "created_at": (NOW - timedelta(hours=7)).isoformat().replace("+00:00", "Z")}
    with serving(prepared(dead)) as server, quick(server.url) as (klaviyo, passing):
        prepare(klaviyo, now=lambda: NOW)
        assert passing.slept == 0
