"""The server on a loopback port, and what a client needs to reach it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from snowflake_server import logins, querying
from snowflake_server.failing import GONE, Answer
from snowflake_server.state import DATABASE, ROLE, SCHEMA, WAREHOUSE, State

ASKED = {"/session/v1/login-request": "login", "/queries/v1/query-request": "query", "/session/token-request": "renewal"}
TOKEN = 'Snowflake Token="'


class HttpServer(ThreadingHTTPServer):
    """Threads that die with the process; dropped connections are what tests ask for."""

    daemon_threads, request_queue_size = True, 64
    state: State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is printed."""


class Handler(BaseHTTPRequestHandler):
    """The few addresses that the driver asks."""

    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> State:
        """The server's state."""
        return cast("HttpServer", self.server).state

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Nothing is printed."""

    def do_GET(self) -> None:
        """A chunk, or the result of an earlier query."""
        path = urlsplit(self.path).path
        if path.startswith("/chunks/"):
            self.chunk(path.rpartition("/")[2])
            return
        failure = self.state.failing("result")
        found = self.state.results.get(path.split("/")[2])
        self.send({"data": found, "success": True} if found and not failure else failure or GONE)

    def do_POST(self) -> None:
        """Logins, queries, and the end of a session."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        what = {"/session/v1/login-request": "login", "/queries/v1/query-request": "query", "/session/token-request": "renewal"}.get(
            url.path
        )
        if what is None:
            if url.path == "/session" and "delete=true" in url.query:
                self.state.asked["logout"] += 1
                self.state.sessions.pop(self.token(), None)
            self.send({"data": None, "code": None, "message": None, "success": True})
            return
        failure = self.state.failing(what)
        try:
            found = failure or getattr(self, what)(json.loads(body), dict(parse_qsl(url.query)))
        except Exception as error:  # noqa: BLE001 - what is wrong with the server itself is for the test to see
            self.state.broken.append(error)
            found = Answer(code="261000", message=repr(error))
        self.send(found)

    def login(self, body: dict[str, Any], place: dict[str, str]) -> dict[str, Any] | Answer:
        """A new session."""
        return logins.log_in(self.state, body["data"], place)

    def query(self, body: dict[str, Any], _: dict[str, str]) -> dict[str, Any] | Answer:
        """The result of a query."""
        session = self.state.sessions.get(self.token())
        return GONE if session is None else querying.answer(self.state, session, body, f"http://{self.headers['Host']}")

    def renewal(self, body: dict[str, Any], _: dict[str, str]) -> dict[str, Any] | Answer:
        """A new token for a session."""
        session = self.state.sessions.pop(body["oldSessionToken"], None)
        if session is None:
            return GONE
        token = self.state.log_in(session)
        data = {"sessionToken": token, "masterToken": token, "validityInSecondsST": 3600, "validityInSecondsMT": 14400}
        return {"data": data, "success": True}

    def token(self) -> str:
        """The token of the session that asks."""
        return self.headers.get("Authorization", "").removeprefix(TOKEN).rstrip('"')

    def chunk(self, key: str) -> None:
        """A piece of a result."""
        failure = self.state.failing("chunk")
        if failure is not None:
            self.send(failure)
            return
        self.reply(200, self.state.chunks[key], {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"})

    def send(self, answer: dict[str, Any] | Answer) -> None:
        """A JSON answer, or a failure."""
        if isinstance(answer, Answer) and not answer.status:
            self.close_connection = True
            self.connection.close()
            return
        body = answer.body() if isinstance(answer, Answer) else answer
        status = answer.status if isinstance(answer, Answer) else 200
        self.reply(status, json.dumps(body).encode() if body is not None else b"", {"Content-Type": "application/json"})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Bytes over the wire."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@dataclass(frozen=True)
class Server:
    """A running server."""

    state: State
    port: int

    def connection(self, **changes: Any) -> dict[str, Any]:
        """The keys of a connection in klaviyo_sync.yaml, less the way to log in; None leaves a key out."""
        keys = {
            "type": "snowflake", "account": "local", "user": "reader", "role": ROLE, "warehouse": WAREHOUSE, "database": DATABASE,
            "schema": SCHEMA, "host": "127.0.0.1", "port": self.port, "protocol": "http",
        }  # fmt: skip
        return {key: value for key, value in {**keys, **changes}.items() if value is not None}


@contextmanager
def serve(state: State | None = None) -> Iterator[Server]:
    """A server until the end of the block."""
    http = HttpServer(("127.0.0.1", 0), Handler)
    http.state = State() if state is None else state
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Server(http.state, http.server_address[1])
    finally:
        http.shutdown()
        http.server_close()
        http.state.engine.duck_conn.close()
