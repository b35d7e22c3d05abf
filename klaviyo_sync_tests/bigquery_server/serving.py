"""Both servers on loopback ports, and what a client needs to reach them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

from bigquery_server.rest import Handler
from bigquery_server.state import Account, State
from bigquery_server.storage import MESSAGE_ROWS, Reading, start


class HttpServer(ThreadingHTTPServer):
    """Threads that die with the process; dropped connections are what tests ask for."""

    daemon_threads, request_queue_size = True, 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is printed."""


@dataclass(frozen=True)
class Server:
    """A running server. `url` is REST's address, `storage` the host:port of the Storage Read API."""

    state: State
    url: str
    storage: str

    def connection(self, *, rest: bool = False) -> dict[str, Any]:
        """The keys of a connection in klaviyo_sync.yaml; `rest` leaves the Storage Read API out."""
        keys = {"type": "bigquery", "project": self.state.project, "location": self.state.location, "api_endpoint": self.url}
        return keys if rest else {**keys, "storage_endpoint": self.storage}

    def key(self, account: Account) -> str:
        """The JSON of a service account's key, whose logins come here."""
        return self.state.key(account, f"{self.url}/token")


@contextmanager
def serve(state: State | None = None, message_rows: int = MESSAGE_ROWS) -> Iterator[Server]:
    """A server until the end of the block."""
    held = State() if state is None else state
    handler = type("BoundHandler", (Handler,), {"state": held})
    http = HttpServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    rows, port = start(Reading(held, message_rows))
    try:
        yield Server(held, f"http://127.0.0.1:{http.server_address[1]}", f"127.0.0.1:{port}")
    finally:
        rows.stop(0)
        http.shutdown()
        http.server_close()
        held.connection.close()
