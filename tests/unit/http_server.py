"""The service's HTTP protocol on a loopback socket, with a small app and a clock that jumps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from app.api.problems import ProblemType
from app.server.connections import ConnectionLimits, ConnectionTable
from app.server.protocol import HttpProtocol

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class HttpServer:
    """A listening server, its table of connections, and the requests that it refused."""

    app: App
    table: ConnectionTable
    refusals: list[ProblemType]
    server: uvicorn.Server
    clients: list["Client"] = field(default_factory=list)
    address: tuple[str, int] = ("127.0.0.1", 0)

    async def connect(self, sent: bytes = b"") -> "Client":
        """Open a connection, and send bytes."""
        client = Client(*await asyncio.open_connection(*self.address, limit=1 << 24))
        self.clients.append(client)
        if sent:
            await client.send(sent)
        return client

    async def ask(self, sent: bytes) -> bytes:
        """Open a connection, send bytes, and return everything up to the end of the connection."""
        return await (await self.connect(sent)).rest()


@dataclass
class Client:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed the connection does not matter."""
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Return everything up to the end of the connection, also if it is reset."""
        data = b""
        with suppress(ConnectionError):
            while piece := await self.reader.read(1 << 16):
                data += piece
        return data

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of one answer that states its length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def serving(
    app: App, protocol: type[HttpProtocol] = HttpProtocol, **limits: Any
) -> AsyncIterator[HttpServer]:
    """Serve an app; all connections are closed at the end."""
    refusals: list[ProblemType] = []
    table = ConnectionTable(
        ConnectionLimits(**limits), lambda kind, _client, _request_id: refusals.append(kind)
    )
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    server = uvicorn.Server(config)
    state = server.server_state
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: protocol(table, config, state, {}), "127.0.0.1", 0)
    server.servers = [listener]
    address = listener.sockets[0].getsockname()
    http_server = HttpServer(app, table, refusals, server, address=address)
    try:
        yield http_server
    finally:
        for client in http_server.clients:
            client.writer.transport.abort()
        listener.close()
        await asyncio.sleep(0.01)  # a task that was cancelled before its start would answer nothing
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await asyncio.sleep(100)  # every deadline passes
        assert not len(table)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path and the size of the body."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    body = f"{scope['method']} {scope['path']} {size}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
