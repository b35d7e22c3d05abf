"""The HTTP server over a sandbox: one thread for each connection, connections kept alive."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.sandbox import door
from klaviyo_sync.sandbox.answers import Answer
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.state import Sandbox

KEPT_BYTES = 6_000_000
"""How much of a body is kept: enough to see that it is too large."""

_CLOSE_AT_ONCE = struct.pack("ii", 1, 0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    outage = 0.0
    """Seconds for which nothing is to listen any more."""

    def go_away(self, seconds: float) -> None:
        """Takes no new connection for so many seconds; the open ones are reset by their own threads."""
        self.outage = seconds
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing about a client that hung up; anything else is a mistake of the sandbox, and is shown."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "KlaviyoSandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    wbufsize = 1 << 16

    def __init__(self, *args: Any, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        super().__init__(*args)

    @property
    def _server(self) -> _Server:
        assert isinstance(self.server, _Server)
        return self.server

    def _answer(self) -> None:
        body: bytes | None = None

        def read() -> bytes:
            nonlocal body
            if body is None:
                body = self._read()
            return body

        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = door.answer(self.sandbox, Request(self.command, self.path, headers, f"http://{headers.get('host', '')}", read))
        if answer.damage == "outage":
            self._server.go_away(answer.delay)
        elif answer.delay:
            time.sleep(answer.delay)
        if answer.damage in ("reset", "outage") or self._server.outage:
            self._reset()
            return
        read()
        self._write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - names that the base class looks for

    def _read(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(chunks)
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, KEPT_BYTES))
        left = length - len(body)
        while left > 0 and (thrown_away := self.rfile.read(min(left, KEPT_BYTES))):
            left -= len(thrown_away)
        return body

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.body:
            self.send_header("Content-Type", answer.content_type)
        if answer.status != 204:  # noqa: PLR2004 - No Content has no length either
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.damage == "truncated" else answer.body)
        self.wfile.flush()
        if answer.damage == "truncated":
            self.close_connection = True

    def _reset(self) -> None:
        """Ends the connection with a TCP reset, whatever is still on its way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_AT_ONCE)
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Nothing: requests are counted, never written down."""


@dataclass(frozen=True)
class Server:
    """A running sandbox server. `end_outage` lets it listen again at once."""

    url: str
    sandbox: Sandbox
    end_outage: Callable[[], None]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _url(server: _Server) -> str:
    host, port = server.server_address[:2]
    return f"http://{host!s}:{port}"


class _Open:
    """A server that comes back after an outage, at the same address."""

    def __init__(self, host: str, port: int, sandbox: Sandbox) -> None:
        self.host = host
        self.handler = partial(_Handler, sandbox=sandbox)
        self.server = _Server((host, port), self.handler)
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.back = threading.Event()

    def run(self) -> None:
        """Serves until `close`."""
        while True:
            self.server.serve_forever(poll_interval=0.05)
            self.server.server_close()
            self.back.wait(self.server.outage)
            with self.lock:
                if self.closing.is_set():
                    return
                self.back.clear()
                self.server = _Server((self.host, self.server.server_address[1]), self.handler)

    def close(self) -> None:
        """Ends it, in an outage as well."""
        with self.lock:
            self.closing.set()
            self.back.set()
        self.server.shutdown()


@contextmanager
def serve(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0, *, anywhere: bool = False) -> Iterator[Server]:
    """A running server over the sandbox, with its `url`; port 0 takes a free one. It stops when the block ends.

    Raises ConfigError for an address that is not a loopback address, unless `anywhere`; OSError for a port that is taken.
    """
    if not anywhere and host != "localhost" and not _is_loopback(host):
        raise ConfigError(f"The sandbox does not listen on {host}: it has no protection. Use 127.0.0.1, or say anywhere=True.")
    open_ = _Open(host, port, sandbox)
    thread = threading.Thread(target=open_.run, name="klaviyo-sandbox", daemon=True)
    thread.start()
    try:
        yield Server(_url(open_.server), sandbox, open_.back.set)
    finally:
        open_.close()
        thread.join()
