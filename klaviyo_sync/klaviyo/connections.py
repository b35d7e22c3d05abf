"""Connections that can be cut from another thread, so that a slow server outlives neither a cancelled run nor the time for an answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Timer
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse


class Connections:
    """The open connections of one client."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()
        self._severed = False

    def opened(self, connection: HTTPConnection) -> None:
        """Remembers a new connection. Raises ConnectionAbortedError, and closes it, once they are cut."""
        with self._lock:
            if not self._severed:
                self._open.add(connection)
                return
        connection.close()
        raise ConnectionAbortedError

    def sever(self) -> None:
        """Cuts all of them, and every one that is opened later."""
        with self._lock:
            self._severed = True
            wires = [connection.sock for connection in self._open]
        for wire in wires:
            cut(wire)


def cut(wire: socket.socket | None) -> None:
    """Ends a connection, also under a thread that reads from it."""
    if wire is not None:
        with suppress(OSError):
            # Not the method of an SSL socket, which takes its state away from the thread that is reading.
            socket.socket.shutdown(wire, socket.SHUT_RDWR)


@contextmanager
def headers_within(seconds: float, connection: HTTPConnection) -> Iterator[None]:
    """Cuts the connection when headers take longer: a time-out of the socket begins anew with every byte that trickles in.

    Raises:
        TimeoutError: They took longer. Headers that were cut off pass for whole ones with http.client.
    """
    late = Event()

    def end() -> None:
        late.set()
        cut(connection.sock)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError("too slow")


class Adapter(HTTPAdapter):
    """Opens connections to one host that `connections` knows of, and gives headers so many seconds; nothing is tried again here."""

    def __init__(self, connections: Connections, at_most: int, seconds: float) -> None:
        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                connections.opened(self)

            def getresponse(self) -> HTTPResponse:
                with headers_within(seconds, self):
                    return super().getresponse()

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                connections.opened(self)

            def getresponse(self) -> HTTPResponse:
                with headers_within(seconds, self):
                    return super().getresponse()

        class PlainPool(HTTPConnectionPool):
            ConnectionCls: Any = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls: Any = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__(pool_connections=1, pool_maxsize=at_most, max_retries=0)

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **settings: Any) -> PoolManager:
        manager = super().proxy_manager_for(proxy, **settings)
        manager.pool_classes_by_scheme = self._pools
        return manager
