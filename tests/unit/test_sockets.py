import socket

import pytest

from app.server.sockets import listen, refuse_new_clients
from app.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_that_have_begun_are_served_and_new_ones_are_not_begun(host: str) -> None:
    try:
        (listener,) = listen(Settings(host=host, port=0))
    except Exception:  # noqa: BLE001
        pytest.skip(f"this machine has no {host}")
    with listener:
        listener.listen(8)
        address = listener.getsockname()[:2]
        waiting = socket.create_connection(address)
        waiting.sendall(b"request")
        refuse_new_clients([listener])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
        accepted, _ = listener.accept()
        with accepted, waiting:
            assert accepted.recv(100) == b"request"
            accepted.sendall(b"answer")
            assert waiting.recv(100) == b"answer"
            waiting.sendall(b"more")
            assert accepted.recv(100) == b"more"
        listener.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listener.accept()  # the client that gave up left nothing in the queue
