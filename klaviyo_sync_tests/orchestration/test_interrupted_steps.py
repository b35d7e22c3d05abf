"""An interrupt ends a step also where Python would ignore it while Dagster itself is at work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from klaviyo_sync.config import Project
from klaviyo_sync.orchestration.resources import KLAVIYO, klaviyo


class InterruptedWhenCollected:
    """Something in whose destructor an interrupt arrives, as it does in SQLAlchemy's callbacks."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)


@dg.asset(required_resource_keys={KLAVIYO})
def interrupted() -> None:
    """A step that none of our code runs in, yet with the resource that each of our steps has."""
    InterruptedWhenCollected()
    time.sleep(30)


def test_an_interrupt_in_a_destructor_ends_the_step(project_of: Callable[..., Project]) -> None:
    """From the start of a step to its end, whoever's code is at work."""
    resource = klaviyo(project_of(people={}).klaviyo, {})
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(DagsterExecutionInterruptedError):
        dg.materialize([interrupted], resources={KLAVIYO: resource}, instance=instance)
