import asyncio
import contextlib
import socket

import uvloop

from app.server.accepting import ACCEPTED_PER_PASS, accepting_more

WAITING = 3 * ACCEPTED_PER_PASS


def test_several_connections_are_accepted_in_one_pass_of_the_event_loop() -> None:
    accepted: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    async def run(listener: socket.socket) -> list[int]:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(Protocol, sock=each) for each in accepting_more([listener])
        ]
        after_each_pass = []
        while len(accepted) < WAITING:
            await asyncio.sleep(0)
            after_each_pass.append(len(accepted))
        for transport in accepted:
            transport.close()
        for server in servers:
            server.close()
        return after_each_pass

    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(WAITING)
        listener.setblocking(False)
        for _ in range(WAITING):
            clients.enter_context(socket.create_connection(listener.getsockname()))
        after_each_pass = uvloop.run(run(listener))
    assert ACCEPTED_PER_PASS in after_each_pass
    assert len(after_each_pass) <= 5
