"""Choose format and content coding of an answer from the query, Accept and Accept-Encoding."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.requests import Request

from app.api.content_coding import choose_coding
from app.api.queries import OutputQuery, PictureQuery
from app.api.render import FORMATS
from app.api.result import OutputOptions
from app.errors import NotAcceptableError

_LONGEST_CACHED = 400
"""Characters of the longest Accept header that is cached. It bounds the memory of the cache."""
_MAX_RANGES = 100
"""Number of media ranges of a header that are read; browsers send fewer than ten."""


def choose_output(request: Request, query: OutputQuery) -> OutputOptions:
    """Return the output options of a request; raises NotAcceptableError."""
    name = choose_format(request, query.format, query.FORMATS)
    if isinstance(query, PictureQuery):
        return OutputOptions(name, query.scale, query.pixels, query.metadata)
    return OutputOptions(name, metadata=query.metadata)


def choose_format(request: Request, requested: str | None, offered: Sequence[str]) -> str:
    """Return the requested format, or else the offered one that the Accept header prefers.

    Of equally preferred formats the first offered wins. Raises NotAcceptableError.
    """
    if requested is not None:
        return requested
    accept = request.headers.get("accept") or "*/*"
    best = (_cached if len(accept) <= _LONGEST_CACHED else _best)(accept, tuple(offered))
    if best is None:
        raise NotAcceptableError(
            f"the Accept header allows none of {', '.join(offered)}",
            remedy=f"accept {FORMATS[offered[0]].media_type}, or set format=",
        )
    return best


def accepted_coding(request: Request) -> str | None:
    """Return the content coding of the answer, as Accept-Encoding prefers it; None for none."""
    return choose_coding(qualities(",".join(request.headers.getlist("accept-encoding"))))


def _best(accept: str, offered: tuple[str, ...]) -> str | None:
    """Return the offered format that the header prefers, or None if it accepts none."""
    accepted = qualities(accept)
    best = max(offered, key=lambda name: _quality(FORMATS[name].media_type, accepted))
    return best if _quality(FORMATS[best].media_type, accepted) > 0 else None


_cached = lru_cache(maxsize=256)(_best)


def qualities(header: str) -> dict[str, float]:
    """Parse an Accept header to media range -> quality, RFC 9110 section 12.5.1.

    Accept-Encoding has the same form, with content codings instead of media ranges. A quality that
    cannot be parsed counts as 1.
    """
    ranges = {}
    for item in header.lower().split(",")[:_MAX_RANGES]:
        media_range, *options = (part.strip() for part in item.split(";"))
        quality = next((o[2:] for o in options if o.startswith("q=")), "1")
        try:
            ranges[media_range] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            ranges[media_range] = 1.0
    return ranges


def _quality(media_type: str, accepted: Mapping[str, float]) -> float:
    """Return the quality of a media type, which the most specific matching range decides."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((accepted[name] for name in ranges if name in accepted), 0.0)
