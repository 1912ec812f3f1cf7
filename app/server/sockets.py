"""Open the listening sockets, so that an address in use is found before anything is loaded."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Any

from app.errors import SettingsError
from app.settings import PREFIX, Settings

_FAMILY_UNAVAILABLE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""errno values that mean "this machine lacks the address family".

`localhost` may resolve to ::1 on a machine without IPv6; that address is left out.
"""
_SO_ATTACH_FILTER = 26
"""Linux' option SO_ATTACH_FILTER, which Python's socket module does not name."""
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of the TCP header that holds the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 1, 0, 0x02),  # if only SYN is set, skip the next instruction
    (0x06, 0, 0, 0xFFFFFFFF),  # accept the packet
    (0x06, 0, 0, 0),  # drop the packet
)
"""Program of the kernel's classic packet filter: operation, jumps if true and false, operand."""


_UNSENT_BYTES = 128 * 1024
"""Bytes of an answer that the kernel takes before it has sent those before.

Otherwise it takes megabytes, and an archive is computed for a client that does not read it.
"""


def listen(settings: Settings) -> list[socket.socket]:
    """Bind a socket to each address of the host, all with the same port.

    Raises SettingsError if the host has no address or one of them cannot be bound.
    """
    host_and_port = f"{settings.host[:80]}:{settings.port}"
    advice = f"choose another with --host and --port, or {PREFIX}HOST and {PREFIX}PORT"
    try:
        addresses = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{host_and_port} is not an address to listen on; {advice}") from error
    listeners: list[socket.socket] = []
    reason = "this machine has no such address"
    for family, _, _, _, address in dict.fromkeys(addresses):
        port = listeners[0].getsockname()[1] if listeners else settings.port
        try:
            listeners.append(_bind(family, (address[0], port, *address[2:])))
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno not in _FAMILY_UNAVAILABLE:
                break
    else:
        if listeners:
            return listeners
    for listener in listeners:
        listener.close()
    raise SettingsError(f"cannot listen on {host_and_port}: {reason}; {advice}")


def _bind(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(AttributeError, OSError):  # not every system has the option
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def refuse_new_clients(listeners: Iterable[socket.socket]) -> None:
    """Let no client begin to connect, while connections that have begun can still be accepted.

    Closing a listening socket resets the connections in its queue, with requests that clients may
    have sent. A filter in the kernel drops the first packet (SYN) of new connections instead. Their
    clients send it again after a second, and are refused if the socket is closed by then. The
    filter works on the socket itself, which forked processes share. Without such filters (other
    systems than Linux) new clients can connect until the last moment.
    """
    program = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in _DROP_SYN)
    )
    filter_program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(program))
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)
