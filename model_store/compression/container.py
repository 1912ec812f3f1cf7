"""The format of a file of compressed images.

    magic           6 bytes    89 5A 53 42 42 0A
    format version  1 byte     1
    arithmetic      1 byte length, ASCII: the arithmetic that computed every probability
    model           1 byte length, ASCII: name@version
    network         8 bytes    first bytes of SHA-256 (SHA-256 of exact.safetensors,
                               SHA-256 of the pixel table)
    images          4 bytes
    channels        1 byte
    height, width   2 bytes each
    states          8 bytes each; their number follows from the number of images
    words           4 bytes each, the last one on top
    CRC-32          4 bytes, of everything before

Integers are unsigned and little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from model_store.compression.ans import LOWEST_HEAD, Heads, Words
from model_store.errors import DamagedFileError, ForeignFileError

MAGIC = b"\x89ZSBB\n"
FORMAT_VERSION = 1
NETWORK_BYTES = 8
MOST_LANES = 256
IMAGES_PER_LANE = 8
"""Images per lane in large files; a lane costs about six bytes, so small files have few lanes."""

_SIZES = struct.Struct("<IBHH")
_CRC = struct.Struct("<I")
_TOO_SHORT = "the file ends before its data"


@dataclass(frozen=True)
class Header:
    """The header of a file; `network` (8 bytes) identifies the exact network and the pixel table."""

    arithmetic: str
    model: str
    network: bytes
    images: int
    shape: tuple[int, int, int]
    """(channels, height, width) of one image."""

    @property
    def lanes(self) -> int:
        """Number of lanes, each of which has one state in the file."""
        return max(1, min(MOST_LANES, self.images // IMAGES_PER_LANE))

    def to_bytes(self) -> bytes:
        """Serialise the header: all bytes before the states."""
        texts = [text.encode("ascii") for text in (self.arithmetic, self.model)]
        start = MAGIC + bytes([FORMAT_VERSION])
        middle = b"".join(bytes([len(text)]) + text for text in texts)
        return start + middle + self.network + _SIZES.pack(self.images, *self.shape)


def write(header: Header, heads: Heads, words: Words) -> bytes:
    """Return the bytes of a file; heads (lanes,), words (words,)."""
    body = header.to_bytes() + heads.astype("<u8").tobytes() + words.astype("<u4").tobytes()
    return body + _CRC.pack(zlib.crc32(body))


def read_header(content: bytes) -> Header:
    """Read only the header; raises ForeignFileError, DamagedFileError."""
    return _parse_header(content)[0]


def read(content: bytes) -> tuple[Header, Heads, Words]:
    """Return header, states and words; raises ForeignFileError, DamagedFileError."""
    header, begin = _parse_header(content)
    body, crc = content[: -_CRC.size], content[-_CRC.size :]
    middle = begin + 8 * header.lanes
    if len(body) < middle or (len(body) - middle) % 4:
        raise DamagedFileError(_TOO_SHORT)
    if zlib.crc32(body) != _CRC.unpack(crc)[0]:
        raise DamagedFileError("the file's checksum does not fit: it was changed or cut off")
    heads = np.frombuffer(body, "<u8", header.lanes, begin).astype(np.uint64)
    words = np.frombuffer(body, "<u4", offset=middle).astype(np.uint32)
    if (heads < LOWEST_HEAD).any():
        raise DamagedFileError("a state is out of range")
    return header, heads, words


def _parse_header(content: bytes) -> tuple[Header, int]:
    """Return the header and its length in bytes."""
    if not content.startswith(MAGIC):
        raise ForeignFileError("this is not a file of images compressed by a model")
    version = content[len(MAGIC) : len(MAGIC) + 1]
    if version and version[0] != FORMAT_VERSION:
        raise ForeignFileError(
            f"format version {version[0]} is not supported; expected {FORMAT_VERSION}"
        )
    try:
        arithmetic, place = _text(content, len(MAGIC) + 1)
        model, place = _text(content, place)
        network = content[place : place + NETWORK_BYTES]
        images, *shape = _SIZES.unpack_from(content, place + NETWORK_BYTES)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise DamagedFileError(_TOO_SHORT) from error
    if not images or not all(shape):
        raise DamagedFileError("the header counts no images")
    header = Header(arithmetic, model, network, images, (shape[0], shape[1], shape[2]))
    return header, place + NETWORK_BYTES + _SIZES.size


def _text(content: bytes, place: int) -> tuple[str, int]:
    """Return the text at an offset in bytes, and the offset behind it."""
    end = place + 1 + content[place]
    return content[place + 1 : end].decode("ascii"), end
