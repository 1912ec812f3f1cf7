"""Answer HEAD for every path that answers GET."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _AnswerCompleteError(OSError):
    """Stop a streaming answer after its headers.

    An OSError, because servers raise one in `send` after a client has disconnected, and starlette
    then stops streaming.
    """


class HeadMiddleware:
    """Answer HEAD as GET without the body, RFC 9110 section 9.3.2.

    A streaming answer is stopped after its headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["state"]["method"] = "HEAD"
        get: Scope = {**scope, "method": "GET"}
        answered = False

        async def send_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                await send(message)
            elif not answered:
                answered = True
                await send({"type": "http.response.body", "body": b""})
                if message.get("more_body", False):
                    raise _AnswerCompleteError

        try:
            await self._app(get, receive, send_headers)
        except (_AnswerCompleteError, ClientDisconnect):
            if not answered:
                raise
        finally:
            if "route" in get:
                scope["route"] = get["route"]
