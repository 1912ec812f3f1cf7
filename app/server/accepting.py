"""Accept several connections in one pass of the event loop.

libuv, and so uvloop, accepts one connection per listening socket and pass. A pass may compute a batch,
which takes milliseconds, so an overloaded service would accept only some hundred connections per
second, and all others would wait in the kernel, where they are neither answered nor refused. Each
further descriptor of a listening socket accepts one more.
"""

import socket
from collections.abc import Sequence

ACCEPTED_PER_PASS = 8


def accepting_more(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    """Return listening sockets, and copies of them, that together accept ACCEPTED_PER_PASS.

    Use it with a single worker only: of several, the one that wakes up first would accept up to
    ACCEPTED_PER_PASS connections, and the other workers would get too few.
    """
    copies = [each.dup() for _ in range(ACCEPTED_PER_PASS - 1) for each in listeners]
    return [*listeners, *copies]
