"""The real server, with the event loop that it uses, against clients that hold connections."""

import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.service import publish
from tests.e2e.server import serving

CONNECTIONS = 20
HOST = b"Host: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
UPLOAD = b"POST /encode HTTP/1.1\r\n" + HOST + b"Content-Type: image/png\r\n"
UNREAD = b"GET /generate?n=10000&format=zip HTTP/1.1\r\n" + HOST + b"\r\n"

ATTACKS = {
    "silent": b"",
    "headers": b"GET / HTTP/1.1\r\nA: ",
    "body": UPLOAD + b"Content-Length: 100000\r\n\r\nx",
    "chunks": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    "idle": GET,
    "unread": UNREAD,
}


@dataclass(frozen=True)
class Server:
    url: str
    log: Path

    @contextmanager
    def connected(self, sent: bytes) -> Iterator[socket.socket]:
        """Open a connection with a small buffer, and send bytes."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            url = httpx.URL(self.url)
            connection.connect((url.host, url.port))
            connection.sendall(sent)
            yield connection

    def ask(self, sent: bytes) -> bytes:
        """Return everything that the server answers until it closes the connection."""
        with self.connected(sent) as connection:
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with short deadlines and few connections, behind a trusted proxy."""
    folder = tmp_path_factory.mktemp("server")
    publish(folder / "store")
    variables = {
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_MAX_CONNECTIONS": str(CONNECTIONS),
        "ZSERVE_HEAD_TIMEOUT_S": "1",
        "ZSERVE_KEEP_ALIVE_TIMEOUT_S": "1",
        "ZSERVE_RATE_WINDOW_S": "1",
        "ZSERVE_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
    }
    log = folder / "log"
    with serving(folder / "store", log, **variables) as url:
        yield Server(url, log)


@pytest.mark.parametrize("attack", ATTACKS)
def test_more_connections_than_there_are_places_lock_nobody_out(
    server: Server, attack: str
) -> None:
    with ExitStack() as held:
        for _ in range(2 * CONNECTIONS):
            held.enter_context(server.connected(ATTACKS[attack]))
        statuses = [httpx.get(f"{server.url}/healthz", timeout=20).status_code for _ in range(10)]
        if attack != "unread":  # archives are computed until the buffers are full
            assert statuses == [200] * 10
        deadline = time.monotonic() + 20
        while httpx.get(f"{server.url}/healthz", timeout=20).status_code != 200:
            assert time.monotonic() < deadline, "it still answers 503"
            time.sleep(0.1)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_connection_that_waits_for_its_client_is_closed(server: Server, attack: str) -> None:
    with server.connected(ATTACKS[attack]) as connection:
        deadline = time.monotonic() + 20
        while is_open(connection):
            assert time.monotonic() < deadline, "it is still open"
            time.sleep(0.1)


def is_open(connection: socket.socket) -> bool:
    """Look at the state of the connection without reading from it."""
    established = 1
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established


def test_a_refusal_arrives_although_the_client_is_still_sending(server: Server) -> None:
    for sent, status in (
        (b"GET /" + b"u" * 3_000_000, 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 500_000, 431),
        (b"GET / HTTP/1.1\r\n\r\n" + b"x" * 3_000_000, 400),
        (UPLOAD + b"Content-Length: 999999999\r\n\r\n" + b"x" * 3_000_000, 413),
    ):
        assert server.ask(sent).startswith(b"HTTP/1.1 %d " % status)


def test_refused_requests_are_counted_and_logged_with_their_client(server: Server) -> None:
    answer = server.ask(b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 20_000)
    match = re.search(rb"x-request-id: (\w+)", answer)
    assert match
    request_id = match[1].decode()
    metrics = httpx.get(f"{server.url}/metrics").text
    assert re.search(r'zserve_rejects_total\{reason="headers-too-large"\} [1-9]', metrics)
    deadline = time.monotonic() + 10
    while request_id not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    line = next(line for line in server.log.read_text().splitlines() if request_id in line)
    assert re.fullmatch(r"INFO:     127.0.0.1 - '-' 431 in 0.0 ms, request \w+", line)


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.2.3.4 GET '/forged' 200", "unknown"),
    ],
)
def test_the_log_has_the_client_that_a_trusted_proxy_states(
    server: Server, forwarded: str | None, client: str
) -> None:
    request_id = f"proxied-{abs(hash((forwarded, client)))}"
    headers = {"X-Request-ID": request_id}
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    httpx.get(f"{server.url}/healthz", headers=headers)
    deadline = time.monotonic() + 10
    while request_id not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    line = next(line for line in server.log.read_text().splitlines() if request_id in line)
    assert line.startswith(f"INFO:     {client} GET '/healthz' 200 in ")


def test_few_file_descriptors_lower_the_number_of_connections(tmp_path: Path) -> None:
    publish(tmp_path / "store")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))  # the server inherits it
    try:
        context = serving(tmp_path / "store", tmp_path / "log", ZSERVE_DEVICE="cpu")
        url = context.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server = Server(url, tmp_path / "log")
    try:
        with ExitStack() as held:
            for _ in range(300):
                held.enter_context(server.connected(b""))
            for _ in range(10):
                assert httpx.get(f"{url}/generate?n=1", timeout=20).status_code == 200
    finally:
        context.__exit__(None, None, None)
    assert "Too many open files" not in server.log.read_text()
