"""A server that sends the headers of its answer byte by byte: the time for a whole answer counts from the request on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest
from scripted_klaviyo import KEY

from klaviyo_sync.klaviyo.transport import Timeouts, Transport, UnreachableError

HEAD = b"HTTP/1.1 202 Accepted\r\nX-Padding: "


@contextmanager
def trickling() -> Iterator[str]:
    """The address of a server that begins an answer and then sends a byte of one header again and again, without an end."""
    done = Event()

    def answer(wire: socket.socket) -> None:
        with wire, suppress(OSError):
            wire.recv(65_536)
            wire.sendall(HEAD)
            while not done.wait(0.01):
                wire.sendall(b"x")

    def serve() -> None:
        with suppress(OSError):
            while True:
                wire, _ = listening.accept()
                threads.append(Thread(target=answer, args=(wire,)))
                threads[-1].start()

    threads: list[Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            done.set()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (server, *threads):
                thread.join()


def test_headers_without_end_are_cut() -> None:
    """Headers that never end, and never pause for long, are no answer; without a bound this test would not end."""
    with trickling() as url:
        transport = Transport(KEY, url, Timeouts(connect=5.0, read=5.0, whole=0.3))
        with pytest.raises(UnreachableError):
            transport.exchange("GET", f"{url}/api/accounts", None, None, 1_000_000)
        transport.close()
