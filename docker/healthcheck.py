"""Ask the service if it is alive: exit status 0 if GET /healthz is answered with 200, otherwise 1.

    python -I -S healthcheck.py

HEALTHCHECK runs this every few seconds, so it imports nothing but two modules that are compiled into
Python, and takes a tenth of the time of `urllib.request`.
"""

import _socket
import posix

TIMEOUT_S = 2.0
ALL_ADDRESSES = {b"", b"0.0.0.0"}


def is_alive(host: bytes, port: bytes) -> bool:
    """Return True if the service on this address answers that it lives."""
    family = _socket.AF_INET6 if b":" in host else _socket.AF_INET
    connection = _socket.socket(family, _socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    try:
        connection.connect((host.decode(), int(port)))
        connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        return connection.recv(64).split(b" ")[1] == b"200"
    except (OSError, IndexError, ValueError):
        return False
    finally:
        connection.close()


def main() -> int:
    """Return the exit status."""
    host = posix.environ.get(b"ZSERVE_HOST", b"")
    if host in ALL_ADDRESSES:
        host = b"127.0.0.1"
    elif host == b"::":
        host = b"::1"
    return 0 if is_alive(host, posix.environ.get(b"ZSERVE_PORT", b"8000")) else 1


if __name__ == "__main__":
    raise SystemExit(main())
