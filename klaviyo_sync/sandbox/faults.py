"""Faults on demand: what goes wrong, how often, and where. Three catalogues: requests, rows, import jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson

from klaviyo_sync.sandbox.answers import HTML, Answer, problem
from klaviyo_sync.sandbox.checks import DEGREES, PLACES, TEXTS

_GATEWAY_PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center><hr><center>sandbox</center></body></html>"


def _json(code: str, detail: str) -> Answer:
    body = problem(code, detail)
    return Answer(body["status"], orjson.dumps({"errors": [body]}))


def _html(status: int) -> Answer:
    return Answer(status, _GATEWAY_PAGE % (status, status), content_type=HTML)


REQUEST_FAULTS: dict[str, Answer | None] = {
    "400": _json("invalid", "Invalid input."),
    "413": _json("payload_too_large", "Payload too large."),
    "429": _json("throttled", "Request was throttled. Expected available in 1 second."),
    "500": _json("error", "A server error occurred."),
    "502": _html(502),
    "503": _json("service_unavailable", "Service temporarily unavailable, try again later."),
    "504": _html(504),
    "524": _html(524),
    "401": _json("authentication_failed", "Incorrect authentication credentials."),
    "403": _json("permission_denied", "You do not have permission to perform this action."),
    "403_html": _html(403),
    "reset": Answer(0, damage="reset"),
    "outage": Answer(0, damage="outage"),
    # These take the real answer and spoil it, so that the request has always been carried out.
    "truncated": None,
    "garbage": None,
    "slow": None,
    # This changes the account before the request is carried out.
    "lists_gone": None,
}
"""What a request can meet: the answer it gets, or None for a real answer."""

SPOILS: dict[str, dict[str, Any]] = {"truncated": {"damage": "truncated"}, "garbage": {"body": b"\x00{]garbage"}}
"""What is done to a real answer on its way back."""

JobFate = Literal["complete", "cancelled", "stuck_queued", "stuck_processing", "vanished"]
JOB_FAULTS: dict[str, JobFate] = {
    "job_cancelled": "cancelled",
    "job_stuck_queued": "stuck_queued",
    "job_stuck_processing": "stuck_processing",
    "job_vanished": "vanished",
}


@dataclass(frozen=True)
class RequestFault:
    """The next `times` requests (0: all of them) fail as `kind`, after `skip` that do not.

    `endpoint` narrows it to one operation, such as "bulk_import_profiles", `containing` to requests with this text in their
    body. `retry_after` is the header of a 429, in
    whole seconds; None leaves the header out. `carried_out`: the request takes effect although its answer says otherwise.
    `seconds` is how long "slow" waits and an "outage" lasts, in real time.
    """

    kind: str
    endpoint: str | None = None
    times: int = 1
    skip: int = 0
    retry_after: int | None = 1
    carried_out: bool = False
    seconds: float = 1.0
    containing: str | None = None

    def concerns(self, operation: str, read: Callable[[], bytes]) -> bool:
        """Whether a request to this operation is one of those that may fail."""
        return self.endpoint in (None, operation) and (self.containing is None or self.containing.encode() in read())

    def spoil(self, answer: Answer) -> Answer:
        """What the client gets in place of the real answer."""
        failed = REQUEST_FAULTS[self.kind]
        given = replace(answer, **SPOILS.get(self.kind, {})) if failed is None else failed
        if self.kind in ("slow", "outage"):
            return replace(given, delay=self.seconds)
        if self.kind == "429" and self.retry_after is not None:
            return replace(given, headers={"Retry-After": str(self.retry_after)})
        return given

    @property
    def blocks(self) -> bool:
        """Whether the request is not carried out."""
        return REQUEST_FAULTS[self.kind] is not None and not self.carried_out


_ATTRIBUTES = "/data/attributes"


def _holds(profile: Mapping[str, Any], cell: str) -> bool:
    """Whether a profile has a value in this cell."""
    if cell == "id":
        return profile.get("id") is not None
    attributes = profile.get("attributes")
    name, _, inner = cell.partition(".")
    value = attributes.get(name) if isinstance(attributes, dict) else None
    return (value.get(inner) if inner and isinstance(value, dict) else value) is not None


def _exists(cell: str) -> bool:
    """Whether profiles can have this cell."""
    name, _, inner = cell.partition(".")
    return cell in TEXTS | {"id"} or (name == "properties" and inner != "") or (name == "location" and inner in PLACES | DEGREES)


@dataclass(frozen=True)
class RowFault:
    """Rows that fail: those whose identifiers contain a text, or every k-th.

    They pass the request and fail in the job; with `early`, they refuse the request, which names them by their places. With
    `cell`, such as "title", "location.city" or "properties.Points", only rows fail that hold this cell, all of them if nothing
    else is said, and the error points at it.
    """

    kind: str = "row"
    containing: str | None = None
    every: int = 0
    code: str = "invalid"
    title: str = "Invalid input."
    detail: str = "The profile could not be imported."
    pointer: str | None = _ATTRIBUTES
    early: bool = False
    cell: str | None = None

    @property
    def place(self) -> str | None:
        """The JSON pointer of the error, from the profile on."""
        if self.cell is None or self.pointer != _ATTRIBUTES:
            return self.pointer
        return "/data/id" if self.cell == "id" else f"{_ATTRIBUTES}/{self.cell.replace('.', '/', 1)}"

    def hits(self, profile: Mapping[str, Any], count: int) -> bool:
        """Whether this profile, the `count`-th that the sandbox imports (`early`: of the request), fails."""
        attributes = profile["attributes"] if isinstance(profile.get("attributes"), dict) else {}
        identifiers = (attributes.get("email"), attributes.get("external_id"), attributes.get("phone_number"), profile.get("id"))
        if self.cell is not None:
            if not _holds(profile, self.cell):
                return False
            if self.every == 0 and self.containing is None:
                return True
        return (self.every > 0 and count % self.every == 0) or (
            self.containing is not None and any(self.containing in value for value in identifiers if isinstance(value, str))
        )


@dataclass(frozen=True)
class JobFault:
    """The next `times` import jobs (0: all of them) end as `kind` says, after `skip` that do not.

    `containing` narrows it to jobs with this text in one of their profiles.
    """

    kind: str
    times: int = 1
    skip: int = 0
    containing: str | None = None

    def concerns(self, profiles: Iterable[bytes]) -> bool:
        """Whether a job of these profiles is one of those that may end so."""
        return self.containing is None or any(self.containing.encode() in profile for profile in profiles)


Passing = RequestFault | JobFault
"""Faults that are used up."""


def fault(kind: str, **options: Any) -> Passing | RowFault:
    """The fault of this kind. Raises ValueError that names what does not exist: the kind, an option, or the endpoint."""
    from klaviyo_sync.sandbox.endpoints import ROUTES  # noqa: PLC0415 - the endpoints are built on the state, which holds faults

    made = RowFault if kind == "row" else JobFault if kind in JOB_FAULTS else RequestFault if kind in REQUEST_FAULTS else None
    if made is None:
        raise ValueError(f"{kind!r} is not a fault. Kinds: {', '.join([*REQUEST_FAULTS, *JOB_FAULTS, 'row'])}.")
    try:
        one = made(kind=kind, **options)
    except TypeError as error:
        raise ValueError(f"{kind!r}: {str(error).partition('() ')[2]}.") from None
    operations = [route.operation for route in ROUTES.routes]
    if isinstance(one, RequestFault) and one.endpoint not in (None, *operations):
        raise ValueError(f"{one.endpoint!r} is not an endpoint. Endpoints: {', '.join(operations)}.")
    if isinstance(one, RowFault) and one.cell is not None and not _exists(one.cell):
        raise ValueError(f"{one.cell!r} is not a cell of a profile. Cells: id, {', '.join(sorted(TEXTS))}, location.city, properties.Name.")
    return one


class Faults:
    """The faults that are waiting. `add` and `clear` may be called while the server runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passing: list[Passing] = []
        self._rows: list[RowFault] = []

    def add(self, kind: str, **options: Any) -> None:
        """Adds a fault: `add("503", endpoint="bulk_import_profiles", times=2)`. Options: the fields of its class."""
        made = fault(kind, **options)
        with self._lock:
            if isinstance(made, RowFault):
                self._rows.append(made)
            else:
                self._passing.append(made)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._passing.clear()
            self._rows.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """What is still to go wrong, as it was added."""
        with self._lock:
            return [asdict(one) for one in (*self._passing, *self._rows)]

    def for_request(self, operation: str, read: Callable[[], bytes]) -> RequestFault | None:
        """The fault that this request meets, used up by it. Its body is read only when a fault asks for it."""
        found = self._next(lambda one: isinstance(one, RequestFault) and one.concerns(operation, read))
        return found if isinstance(found, RequestFault) else None

    def for_job(self, profiles: Sequence[bytes]) -> JobFate:
        """How the next import job, of these profiles, ends."""
        found = self._next(lambda one: isinstance(one, JobFault) and one.concerns(profiles))
        return JOB_FAULTS[found.kind] if found else "complete"

    def for_rows(self, *, early: bool) -> list[RowFault]:
        """The row faults of a request (`early`) or of a job; they stay until they are cleared."""
        with self._lock:
            return [one for one in self._rows if one.early == early]

    def _next(self, concerns: Callable[[Passing], bool]) -> Passing | None:
        with self._lock:
            for index, one in enumerate(self._passing):
                if not concerns(one):
                    continue
                if one.skip > 0:
                    self._passing[index] = replace(one, skip=one.skip - 1)
                    continue
                if one.times == 1:
                    del self._passing[index]
                elif one.times > 1:
                    self._passing[index] = replace(one, times=one.times - 1)
                return one
            return None
