"""Close a connection only if no request is under way on it."""

import asyncio
import contextlib
import os
import socket


def end_if_silent(transport: asyncio.Transport) -> bool:
    """End the sending half of a connection, unless bytes of its client have arrived unread.

    Return True if the connection may be closed. If a connection is closed while bytes of a request are
    unread, the kernel resets it, and the request is lost. The sending half is ended at once, because the
    event loop closes a connection only a moment after `close`: a client that checks its connection
    before it sends the next request then finds that it has ended.
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
