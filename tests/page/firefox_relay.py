"""Start Firefox for Playwright, and stand between the two.

    python firefox_relay.py ADDRESS_FILE firefox-esr --remote-debugging-port=0 --headless ...

Playwright speaks WebDriver BiDi with Firefox. It sets the colour scheme of every context with a command
that Debian's Firefox 153 does not have, and gives up. This program starts Firefox and prints the address
of a relay instead of Firefox's own. The relay passes every message on, except that command, to which it
answers that it is done. The colour scheme is a preference of the browser (see `browsers.py`).

Firefox names no download that a link starts, and Playwright ignores downloads without a name: the relay
names them by their address.

Playwright cannot touch in Firefox either. The relay sends a command that is posted to it, {"method": ...,
"params": ...}, and answers with the result. Its address is written to ADDRESS_FILE.
"""

import asyncio
import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, web

UNKNOWN_COMMAND = "emulation.setMediaFeaturesOverride"
_ADDRESS = re.compile(rb"(?<=WebDriver BiDi listening on )ws://\S+")
_LONGEST_LINE = 2**24
"""Bytes. Firefox writes the messages of pages to its log."""
_FIRST_OWN_ID = 2**40
"""Above the numbers that Playwright gives to its commands."""


async def main(address_file: Path, command: list[str]) -> int:
    """Run Firefox until it ends. Returns its exit status."""
    firefox = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, limit=_LONGEST_LINE
    )
    assert firefox.stderr
    async for line in firefox.stderr:
        shown = line
        if address := _ADDRESS.search(line):
            relay = await Relay(address[0].decode()).serve()
            _write(address_file, f"http://{relay}")
            shown = _ADDRESS.sub(f"ws://{relay}".encode(), line)
        sys.stderr.buffer.write(shown)
        sys.stderr.buffer.flush()
    return await firefox.wait()


class Relay:
    """The relay of one session with Firefox."""

    def __init__(self, firefox_address: str) -> None:
        self._firefox_address = firefox_address
        self._firefox: ClientWebSocketResponse | None = None
        self._ids = itertools.count(_FIRST_OWN_ID)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def serve(self) -> str:
        """Start the relay. Returns its host and port."""
        app = web.Application()
        app.add_routes([web.post("/command", self._command), web.get("/session", self._session)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        return f"{host}:{port}"

    async def _session(self, request: web.Request) -> web.WebSocketResponse:
        """Pass on the messages of Playwright."""
        playwright = web.WebSocketResponse(max_msg_size=0, compress=False)
        await playwright.prepare(request)
        async with (
            ClientSession() as client,
            client.ws_connect(f"{self._firefox_address}/session", max_msg_size=0) as self._firefox,
        ):
            answers = asyncio.create_task(self._pass_answers_on(self._firefox, playwright))
            async for message in playwright:
                command = json.loads(message.data)
                if command["method"] == UNKNOWN_COMMAND:
                    done = {"type": "success", "id": command["id"], "result": {}}
                    await playwright.send_json(done)
                else:
                    await self._firefox.send_str(message.data)
            answers.cancel()
        return playwright

    async def _pass_answers_on(
        self, firefox: ClientWebSocketResponse, playwright: web.WebSocketResponse
    ) -> None:
        async for message in firefox:
            if self._waiting and (own := self._waiting.pop(_id_of(message.data), None)):
                own.set_result(json.loads(message.data))
            else:
                await playwright.send_str(_with_download_id(message.data))
        await playwright.close()

    async def _command(self, request: web.Request) -> web.Response:
        """Send a command that was posted."""
        assert self._firefox
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._firefox.send_json({**await request.json(), "id": number})
        return web.json_response(await answer)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def _with_download_id(message: str) -> str:
    """Name a download by its address if Firefox does not; without a name, Playwright ignores it."""
    if '"browsingContext.download' not in message:
        return message
    event = json.loads(message)
    params = event.get("params", {})
    if not params.get("download") and not params.get("navigation"):
        params["download"] = params.get("url")
    return json.dumps(event)


def _id_of(message: str) -> int:
    return int(json.loads(message).get("id") or 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2:])))
