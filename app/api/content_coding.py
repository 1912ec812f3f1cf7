"""Content codings of bodies, RFC 9110 section 8.4.1: gzip and deflate (zlib).

Compressing and decompressing work in pieces during which zlib lets other threads run.
"""

import zlib
from collections.abc import Iterator, Mapping

from app.errors import BodyTooLargeError, MalformedBodyError, UnsupportedBodyError

CODINGS = ("gzip", "deflate")
"""The supported codings, the preferred one first."""
MIN_BYTES = 1024
"""Bytes of the shortest answer that is compressed."""

_AUTOMATIC = 32 + zlib.MAX_WBITS
"""Lets zlib recognise gzip and zlib streams by their header."""
_WBITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_LEVEL = 1
_PIECE = 262_144
"""Bytes that are compressed or decompressed at once."""


def choose_coding(accepted: Mapping[str, float]) -> str | None:
    """Return the coding that a client prefers (qualities by coding), None to send content as it is.

    `*` stands for each coding that the header does not name, RFC 9110 section 12.5.3.
    """
    others = accepted.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: accepted.get(coding, others))
    quality = accepted.get(best, others)
    return best if quality > 0 and quality >= accepted.get("identity", 0.0) else None


def coded_tag(tag: str, coding: str | None) -> str:
    """Return the ETag of an answer in this coding, from that of the answer as it is."""
    return tag if coding is None else f'{tag[:-1]}-{coding}"'


def check_coding(coding: str) -> None:
    """Raise UnsupportedBodyError unless bodies in this coding can be read."""
    if coding not in {*CODINGS, "identity"}:
        raise UnsupportedBodyError(
            f"the body has the content coding {coding[:40]!r}",
            remedy=f"send it uncompressed, or in one of {', '.join(CODINGS)}",
        )


def decompress(body: bytes, *, limit: int) -> bytes:
    """Return the content of a gzip or zlib stream of at most `limit` bytes.

    Raises BodyTooLargeError, and MalformedBodyError for a stream that is damaged, incomplete or
    followed by other bytes.
    """
    stream = zlib.decompressobj(_AUTOMATIC)
    content = bytearray()
    rest = body
    try:
        while not stream.eof:
            piece = stream.decompress(rest, _PIECE)
            rest = stream.unconsumed_tail
            if not piece and not rest and not stream.eof:
                break
            content += piece
            if len(content) > limit:
                raise BodyTooLargeError(
                    f"the body has more than {limit} bytes after decompression",
                    limit=limit,
                    remedy="send fewer images",
                )
    except zlib.error as error:
        raise MalformedBodyError(
            f"the compressed body is damaged: {error}", remedy="send it uncompressed"
        ) from error
    if not stream.eof or stream.unused_data:
        raise MalformedBodyError(
            "the compressed body is incomplete, or more follows after its end",
            remedy="send one gzip or zlib stream",
        )
    return bytes(content)


def compress(content: bytes, coding: str) -> bytes:
    """Return content as a gzip or zlib stream."""
    return b"".join(_compressed(content, coding))


def _compressed(content: bytes, coding: str) -> Iterator[bytes]:
    stream = zlib.compressobj(_LEVEL, wbits=_WBITS[coding])
    view = memoryview(content)
    for start in range(0, len(content), _PIECE):
        yield stream.compress(view[start : start + _PIECE])
    yield stream.flush()
