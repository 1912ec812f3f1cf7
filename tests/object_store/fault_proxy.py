"""A proxy between a client and an S3 server that fails as networks and servers do."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fault(Enum):
    """A fault of the network or of the server during one request."""

    DROPPED = auto()
    """The connection is closed, and the server never sees the request."""
    LOST_ANSWER = auto()
    """The server does what the request asks for, and the connection is closed without an answer."""
    BUSY = auto()
    """The answer is 503, and the server never sees the request."""
    BROKEN_OFF = auto()
    """The connection is closed in the middle of the answer's body."""
    CUT = auto()
    """The body of the answer lacks its second half, and its length says that this is all."""
    STALLED = auto()
    """No answer comes until the client gives up."""
    DELAYED = auto()
    """The answer comes half a second late."""


@dataclass(frozen=True)
class Asked:
    """A request that the proxy has received."""

    number: int
    """Count of requests, from 0."""
    method: str
    path: str
    """Path and query as the client has sent them."""


Plan = Callable[[Asked], Fault | None]


class FaultProxy:
    """Decides by `plan` what happens to a request; records every request.

    Attributes:
        port: Port on loopback.
        plan: Returns the fault of a request, or None. May also do something, such as kill a client.
        away: True closes every connection at once.
        asked: All requests so far.
    """

    def __init__(self, server_port: int) -> None:
        self.plan: Plan = lambda _: None
        self.away = False
        self.asked: list[Asked] = []
        self.server_port = server_port
        self.closing = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def record(self, method: str, path: str) -> Asked:
        with self._lock:
            asked = Asked(len(self.asked), method, path)
            self.asked.append(asked)
        return asked

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def fault_proxy(server_port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        if self.proxy.away:
            self._drop()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fault = self.proxy.plan(self.proxy.record(self.command, self.path))
        if fault is Fault.DROPPED:
            self._drop()
        elif fault is Fault.BUSY:
            self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
        elif fault is Fault.STALLED:
            self.proxy.closing.wait(60)
            self._drop()
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815 - called by these names

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.server_port, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault is Fault.LOST_ANSWER:
            self._drop()
            return
        if fault is Fault.DELAYED:
            self.proxy.closing.wait(0.5)
        headers = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}
        ]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        half = content[: len(content) // 2]
        if fault is Fault.BROKEN_OFF:
            self._answer(answer.status, headers, half, length=str(len(content)))
            self._drop()
        else:
            sent = half if fault is Fault.CUT else content
            self._answer(answer.status, headers, sent, length=length)

    def _answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        *,
        length: str | None = None,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
