import gzip
import zlib

import pytest

from app.api.content_coding import choose_coding, compress, decompress
from app.errors import BodyTooLargeError, MalformedBodyError

CONTENT = b"".join(b"%d," % (i * i) for i in range(200_000))


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_other_libraries_read_what_is_compressed(content: bytes) -> None:
    assert gzip.decompress(compress(content, "gzip")) == content
    assert zlib.decompress(compress(content, "deflate")) == content


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, b"\0" * 3_000_000])
@pytest.mark.parametrize("make", [gzip.compress, zlib.compress])
def test_streams_of_other_libraries_are_read(make: object, content: bytes) -> None:
    assert callable(make)
    assert decompress(make(content), limit=len(content)) == content


def test_a_stream_that_grows_beyond_the_limit_is_refused_before_its_end() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(BodyTooLargeError, match="more than 1000000 bytes"):
        decompress(bomb, limit=1_000_000)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"not compressed",
        gzip.compress(CONTENT)[:-1],
        gzip.compress(CONTENT)[:1000],
        gzip.compress(CONTENT) + b"more",
        zlib.compress(CONTENT)[:-4] + b"\0\0\0\0",
    ],
)
def test_a_damaged_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decompress(stream, limit=10**8)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ({}, None),
        ({"gzip": 1.0}, "gzip"),
        ({"deflate": 1.0}, "deflate"),
        ({"gzip": 0.5, "deflate": 1.0}, "deflate"),
        ({"gzip": 0.0}, None),
        ({"*": 1.0, "br": 1.0}, "gzip"),
        ({"*": 1.0, "gzip": 0.0}, "deflate"),
        ({"*": 1.0, "gzip": 0.0, "deflate": 0.0}, None),
        ({"*": 0.0, "deflate": 0.1}, "deflate"),
        ({"*": 0.0}, None),
        ({"identity": 1.0, "gzip": 0.5}, None),
        ({"identity": 0.5, "gzip": 0.5}, "gzip"),
        ({"identity": 0.0, "*": 0.5}, "gzip"),
        ({"gzip": float("nan")}, None),
    ],
)
def test_the_client_chooses_the_coding(accepted: dict[str, float], coding: str | None) -> None:
    assert choose_coding(accepted) == coding
