"""A small HTTP server that answers what a test says, for answers that no well-meaning Klaviyo gives; and what tests share."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import orjson
import pyarrow as pa

from klaviyo_sync.core.packing import Batch, import_envelope
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS

KEY = "pk_key_that_opens_nothing"
JOBS = "/api/profile-bulk-import-jobs"
IDENTIFIERS = ("email", "phone_number", "external_id", "id")


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The profiles of an import."""
        return orjson.loads(self.body)["data"]["attributes"]["profiles"]["data"]


@dataclass(frozen=True)
class Says:
    """One answer. `how`: whole, broken off (`truncated`), no answer at all (`reset`), or byte by byte (`drip`)."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    how: Literal["whole", "truncated", "reset", "drip"] = "whole"
    wait: float = 0.0


@dataclass
class Scripted:
    """A running server, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    def bodies(self, path: str = JOBS) -> list[Asked]:
        """The POST requests to a path."""
        return [one for one in self.asked if one.method == "POST" and one.path == path]


@contextmanager
def serving(script: Callable[[Asked], Says]) -> Iterator[Scripted]:
    """A server that answers by the script, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            """Nothing: tests are quiet."""

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, parts.path.rstrip("/"), dict(parse_qsl(parts.query)), dict(self.headers), body, time.monotonic())
            server.asked.append(asked)
            says = script(asked)
            time.sleep(says.wait)
            if says.how == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
                self.close_connection = True
                return
            content = says.body if isinstance(says.body, bytes) else orjson.dumps(says.body)
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.send_content(content, says.how)

        def send_content(self, content: bytes, how: str) -> None:
            try:
                if how == "drip":
                    for byte in content:
                        self.wfile.write(bytes((byte,)))
                        time.sleep(0.02)
                else:
                    self.wfile.write(content if how == "whole" else content[: len(content) // 2])
            except OSError:
                return
            self.close_connection = self.close_connection or how == "truncated"

        do_GET = do_POST = answer  # noqa: N815 (the library's names)

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: connections that tests break are no news."""

    with Server(("127.0.0.1", 0), Handler) as http:
        server = Scripted(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class FastTime:
    """A clock that only sleeping moves, shared by threads: waits cost no time, and are written down."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._lock = threading.Lock()
        self.slept = 0.0

    def clock(self) -> float:
        """The moment, in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Moves the clock; gives other threads a turn."""
        with self._lock:
            self._now += seconds
            self.slept += seconds
        time.sleep(0.0002)


@contextmanager
def quick(url: str, **options: Any) -> Iterator[tuple[Klaviyo, FastTime]]:
    """A client without pace, whose waits cost no time."""
    passing = FastTime()
    given = {"limits": LIMITS.scaled(1e6), "clock": passing.clock, "sleep": passing.sleep, "jitter": lambda: 1.0, **options}
    with Klaviyo(KEY, url, **given) as klaviyo:
        yield klaviyo, passing


def batch(profiles: int | list[dict[str, Any]], start: int = 0, list_id: str | None = None, pad: int = 0) -> Batch:
    """A batch of so many profiles `person<n>@shop.example`, or of these."""
    if isinstance(profiles, int):
        numbers = range(start, start + profiles)
        profiles = [{"email": f"person{n}@shop.example", "external_id": f"c{n}", **({"title": "x" * pad} if pad else {})} for n in numbers]
    texts = [(orjson.dumps({"type": "profile", "attributes": profile}) + b",").decode() for profile in profiles]
    columns: dict[str, pa.Array] = {
        "window": pa.array([0] * len(profiles), pa.int32()),
        "key": pa.array([f"row {start + n}" for n in range(len(profiles))]),
    }
    columns |= {name: pa.array([profile.get(name) for profile in profiles], pa.string()) for name in IDENTIFIERS}
    return Batch(import_envelope(list_id), pa.chunked_array([pa.array(texts, pa.large_string())]), pa.table(columns))


def errors(*items: tuple[str | None, str], code: str = "invalid") -> dict[str, Any]:
    """An error answer of (pointer, detail)."""
    return {
        "errors": [
            {"id": "e", "status": 400, "code": code, "title": "Invalid input.", "detail": detail, "source": {"pointer": pointer}}
            for pointer, detail in items
        ]
    }


def bad_rows(*positions: int, leaf: str = "email") -> dict[str, Any]:
    """A 400 that names these rows, for a reason that no other profile of theirs would mend."""
    named = ((f"/data/attributes/profiles/data/{n}/attributes/{leaf}", "This person may not be imported.") for n in positions)
    return errors(*named, code="not_allowed")


def import_error(pointer: str | None = "/data", payload: object = None, detail: str = "Could not be written.") -> dict[str, Any]:
    """One error of an import job."""
    return {
        "type": "import-error",
        "id": "e",
        "attributes": {
            "code": "invalid",
            "title": "Invalid input.",
            "detail": detail,
            "source": {"pointer": pointer},
            "original_payload": payload,
        },
    }


@dataclass
class Importing:
    """A script that runs import jobs. Each hook sees one request or one job and may answer instead.

    judge: (profiles) -> an answer instead of 202, or None. look: (job number, looks so far, size) -> the attributes of the
    job, or None when it is not known. pages: (job number, page) -> (errors, address of the next page).
    """

    judge: Callable[[list[dict[str, Any]]], Says | None] = lambda _: None
    look: Callable[[int, int, int], Mapping[str, Any] | None] = lambda _number, _looks, size: complete(size)
    pages: Callable[[int, int], tuple[list[dict[str, Any]], str | None] | Says] = lambda _number, _page: ([], None)
    jobs: list[list[dict[str, Any]]] = field(default_factory=list)
    looks: dict[int, int] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        if asked.method == "POST":
            profiles = asked.profiles
            if said := self.judge(profiles):
                return said
            self.jobs.append(profiles)
            return Says(202, {"data": {"type": "profile-bulk-import-job", "id": f"job{len(self.jobs) - 1}", "attributes": {}}})
        if asked.path == JOBS:
            states = {number: self._state(number) for number in range(len(self.jobs))}
            return Says(200, {"data": [self._job(n, state) for n, state in states.items() if state is not None], "links": {"next": None}})
        number = int(asked.path.split("/")[3].removeprefix("job"))
        if asked.path.endswith("/import-errors"):
            said = self.pages(number, int(asked.query.get("page[cursor]", 0)))
            return said if isinstance(said, Says) else Says(200, {"data": said[0], "links": {"next": said[1]}})
        state = self._state(number)
        return (
            Says(404, errors(("/data/", "No such job."), code="not_found"))
            if state is None
            else Says(200, {"data": self._job(number, state)})
        )

    def _state(self, number: int) -> Mapping[str, Any] | None:
        self.looks[number] = self.looks.get(number, 0) + 1
        return self.look(number, self.looks[number], len(self.jobs[number]))

    def _job(self, number: int, state: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": "profile-bulk-import-job", "id": f"job{number}", "attributes": state}


def complete(size: int, failed: int = 0, **others: Any) -> dict[str, Any]:
    """The attributes of a complete job."""
    return {"status": "complete", "total_count": size, "completed_count": size - failed, "failed_count": failed, **others}
