"""/mcp: the tools of the Model Context Protocol, by its streamable HTTP transport."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.api.json_numbers import has_more_values
from app.api.openapi import problems
from app.errors import LimitError

MCP = "/mcp"

_MOST_VALUES = 4096
"""Values of the largest message that is parsed; the tools take less than twenty."""
_LONG_NUMBER = b"0" * 100
"""Digits of a number that no tool takes. Python takes 1 ms to read one of 4,300 digits."""
_ZEROS = bytes(ord("0") if chr(byte) in "0123456789" else byte for byte in range(256))
"""Table that replaces each digit by 0."""


class _Passed(APIRoute):
    """Pass each request on to the session manager of the app, which answers it itself."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            body = await Request(scope, receive).body()
            _check(body)
            await scope["app"].state.mcp.handle_request(scope, _replay(body, receive), send)

        self.app = app


def _check(body: bytes) -> None:
    """Refuse a message whose parsing would hold the event loop, before anything parses it."""
    if has_more_values(body, _MOST_VALUES):
        raise LimitError(
            f"the message has more than {_MOST_VALUES} values",
            limit=_MOST_VALUES,
            remedy="call one tool at a time",
        )
    if _LONG_NUMBER in body.translate(_ZEROS):
        raise LimitError(
            f"the message has a number of {len(_LONG_NUMBER)} digits or more",
            limit=len(_LONG_NUMBER),
            remedy="send numbers within the limits of the tools",
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives a body that was read already, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


router = APIRouter(tags=["mcp"], route_class=_Passed)

_MESSAGE = {"type": "object", "description": "A message of JSON-RPC 2.0."}


@router.post(
    MCP,
    summary="Call tools, by the Model Context Protocol",
    operation_id="mcp",
    response_class=Response,
    responses={
        200: {
            "description": "The answer to the message.",
            "content": {"application/json": {"schema": _MESSAGE}},
        },
        **problems(400, 413, 422),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _MESSAGE}}}
    },
)
async def mcp() -> None:
    """Answer a message of a client of the Model Context Protocol.

    The tools show models, generate and reconstruct images, interpolate between them and traverse
    their latent dimensions. Clients are told the address of this path.
    """
