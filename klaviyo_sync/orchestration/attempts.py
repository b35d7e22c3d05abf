"""One attempt of a run: tried again when that may help, and ended at once when it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from klaviyo_sync.orchestration.dagster_private import report_canceling


@contextmanager
def attempt(context: dg.AssetExecutionContext, retries: dg.RetryPolicy) -> Iterator[None]:
    """Turns the errors of the block into what Dagster makes another attempt of, or not.

    The policy is kept from Dagster itself, which would also try again what somebody cancelled, and which sleeps between two attempts
    without heeding a cancellation. So the pause is made here, at the beginning of the next attempt.
    """
    try:
        if number := context.op_execution_context.retry_number:
            seconds = retries.calculate_delay(number)
            context.log.info("Attempt %d of %d begins in %.0f s.", number + 1, retries.max_retries + 1, seconds)
            time.sleep(seconds)
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        report_canceling(context.instance, context.run.run_id)
        raise
    except dg.DagsterError:
        raise
    except Exception as error:
        if isinstance(error, dg.Failure) and not error.allow_retries:
            raise
        raise dg.RetryRequested(max_retries=retries.max_retries, seconds_to_wait=0) from error
