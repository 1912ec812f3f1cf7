"""Close a connection only if no request is under way on it."""

import asyncio
import contextlib
import os
import socket


def end_if_silent(transport: asyncio.Transport) -> bool:
    """End the sending half of a connection, unless bytes of its client have arrived unread.

    Return True if the connection may be closed. A connection that is closed with unread bytes is
    reset, and the request in them is lost. The event loop closes connections a moment later; a
    client that looks before it sends its next request sees the end from now on.
    """
    fd = transport.get_extra_info("socket").fileno()
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as connection:
        try:
            connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            if not transport.get_write_buffer_size():
                connection.shutdown(socket.SHUT_WR)
        else:
            return False
    return True
