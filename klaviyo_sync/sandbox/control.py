"""The sandbox's own addresses, under /sandbox: state, faults, lists, reset. Klaviyo has none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from klaviyo_sync.sandbox.answers import Answer, ApiError
from klaviyo_sync.sandbox.control_consent import CONSENT_CONTROLS, plain
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.state import Sandbox, SandboxList


def state(sandbox: Sandbox) -> dict[str, Any]:
    """Counts of everything: profiles, members by list, jobs by status, requests by operation and status."""
    with sandbox.lock:
        sandbox.settle()
        requests: dict[str, dict[str, int]] = {}
        for (operation, status), count in sorted(sandbox.requests.items()):
            requests.setdefault(operation, {})[str(status)] = count
        at = sandbox.elapsed()
        return {
            "profiles": len(sandbox.profiles),
            "lists": {one.id: len(one.members) for one in sandbox.lists.values()},
            "jobs": Counter(job.status(at) for job in sandbox.jobs.all(sandbox.now(), lambda _: True)),
            "requests": requests,
            "faults": sandbox.faults.waiting(),
        }


def _get_state(sandbox: Sandbox, request: Request) -> Answer:
    del request
    return plain(200, state(sandbox))


def _reset(sandbox: Sandbox, request: Request) -> Answer:
    del request
    sandbox.reset()
    return Answer(204)


def _add_fault(sandbox: Sandbox, request: Request) -> Answer:
    options = request.json()
    if not isinstance(options, dict) or not isinstance(options.get("kind"), str):
        raise ValueError('A fault is an object with a "kind".')  # noqa: TRY004 - answered as a 400
    sandbox.faults.add(**options)
    return plain(201, sandbox.faults.waiting())


def _clear_faults(sandbox: Sandbox, request: Request) -> Answer:
    del request
    sandbox.faults.clear()
    return Answer(204)


def _add_list(sandbox: Sandbox, request: Request) -> Answer:
    options = request.json()
    if not isinstance(options, dict):
        raise ValueError('A list is an object with "id", "name" and "opt_in_process".')  # noqa: TRY004 - answered as a 400
    with sandbox.lock:
        try:
            made = SandboxList(**{"created": sandbox.now(), **options})
        except TypeError:
            raise ValueError('A list is an object with "id", "name" and "opt_in_process".') from None
        sandbox.lists[made.id] = made
    return Answer(201)


def _remove_list(sandbox: Sandbox, request: Request) -> Answer:
    with sandbox.lock:
        gone = sandbox.lists.pop(request.path.rpartition("/")[2], None)
    return Answer(404 if gone is None else 204)


def _get_readings(sandbox: Sandbox, request: Request) -> Answer:
    del request
    return plain(200, asdict(sandbox.readings))


def _change_readings(sandbox: Sandbox, request: Request) -> Answer:
    options = request.json()
    if not isinstance(options, dict):
        raise ValueError(f"Readings are an object with some of: {', '.join(asdict(sandbox.readings))}.")  # noqa: TRY004 - answered as a 400
    with sandbox.lock:
        sandbox.settle()
        sandbox.readings = sandbox.readings.changed(options)
    return plain(200, asdict(sandbox.readings))


def _restore_readings(sandbox: Sandbox, request: Request) -> Answer:
    del request
    sandbox.restore_readings()
    return Answer(204)


CONTROLS: dict[tuple[str, str], Callable[[Sandbox, Request], Answer]] = {
    ("GET", "/sandbox/state"): _get_state,
    ("POST", "/sandbox/reset"): _reset,
    ("POST", "/sandbox/faults"): _add_fault,
    ("DELETE", "/sandbox/faults"): _clear_faults,
    ("POST", "/sandbox/lists"): _add_list,
    ("DELETE", "/sandbox/lists/*"): _remove_list,
    ("GET", "/sandbox/readings"): _get_readings,
    ("POST", "/sandbox/readings"): _change_readings,
    ("DELETE", "/sandbox/readings"): _restore_readings,
    **CONSENT_CONTROLS,
}


def answer(sandbox: Sandbox, request: Request) -> Answer:
    """The answer to a request under /sandbox; what it cannot read is a 400 that says why."""
    path = request.path
    control = CONTROLS.get((request.method, path)) or CONTROLS.get((request.method, f"{path.rpartition('/')[0]}/*"))
    if control is None:
        return plain(404, {"detail": "Here are: " + ", ".join(" ".join(name) for name in CONTROLS)})
    try:
        return control(sandbox, request)
    except ValueError as error:
        return plain(400, {"detail": str(error)})
    except ApiError as error:
        return error.answer
