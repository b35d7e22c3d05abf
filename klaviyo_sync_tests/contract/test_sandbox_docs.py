"""docs/sandbox.md tells of everything that the sandbox has."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path

import pytest

from klaviyo_sync.sandbox import Readings, Sandbox
from klaviyo_sync.sandbox.control import CONTROLS
from klaviyo_sync.sandbox.endpoints import ROUTES
from klaviyo_sync.sandbox.faults import JOB_FAULTS, REQUEST_FAULTS
from klaviyo_sync.sandbox.routes import Route

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*inspect.signature(Sandbox).parameters, *REQUEST_FAULTS, *JOB_FAULTS, "row"])
def test_arguments_and_faults_are_documented(name: str) -> None:
    """Every argument of the sandbox and every kind of fault stands there as code."""
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize(("name", "default"), asdict(Readings()).items())
def test_readings_are_documented_with_their_defaults(name: str, default: str) -> None:
    """Every switch has a line, whose first value is the default."""
    assert f"| `{name}` | `{default}`" in TEXT or f"| `{name}` | the same" in TEXT


@pytest.mark.parametrize("route", ROUTES.routes, ids=lambda route: route.operation)
def test_endpoints_are_documented(route: Route) -> None:
    """Every operation has a line, with its limits."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{route.operation}` |")]

    assert f"| {route.tier.burst}, {route.tier.steady}" in line


@pytest.mark.parametrize(("method", "path"), CONTROLS)
def test_controls_are_documented(method: str, path: str) -> None:
    """Every address of the sandbox's own stands there."""
    assert f"`{method} {path.replace('*', '{id}')}`" in TEXT
