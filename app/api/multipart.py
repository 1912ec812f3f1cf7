"""Parse multipart forms, also those whose files have no parameter `filename`."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.formparsers import MultiPartParser

_FILE_TYPES = ("image/", "application/")
"""Beginnings of the content types that parts have only if they are files."""

_PIECE = 4 * 1024
"""Bytes that are parsed without a pause; the most expensive ones, line ends, take 16 ms."""


async def in_pieces(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield a body in pieces, and let the event loop run between those of one message.

    The parser is written in Python. It takes a microsecond for each byte that might begin a boundary.
    """
    async for message in stream:
        for start in range(0, max(len(message), 1), _PIECE):
            if start:
                await asyncio.sleep(0)
            yield message[start : start + _PIECE]


class UploadParser(MultiPartParser):
    """Parse a multipart form; a part is a file if any of its headers tells so.

    starlette asks for the parameter `filename`. Some clients send only `filename*`, RFC 5987, and
    others only the content type of an image. Files stay in memory, which is limited, and are never
    written to the disk, which a container may not have.
    """

    spool_max_size = sys.maxsize

    def on_headers_finished(self) -> None:
        """Decide if a part is a file, and start to read it."""
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if part.content_disposition and b"filename" not in options and self._is_file():
            part.content_disposition += b'; filename="upload"'
        super().on_headers_finished()

    def _is_file(self) -> bool:
        disposition = (self._current_part.content_disposition or b"").lower()
        content_type = dict(self._current_part.item_headers).get(b"content-type", b"")
        media_type = content_type.strip().lower().decode("latin-1")
        return b"filename*=" in disposition.replace(b" ", b"") or media_type.startswith(_FILE_TYPES)
