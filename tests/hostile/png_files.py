"""Build PNG files byte by byte, so that each part can be wrong."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = (b"IEND", b"")


def chunk(kind: bytes, data: bytes, crc: int | None = None, length: int | None = None) -> bytes:
    """Return a chunk; its checksum and length may be wrong."""
    checksum = zlib.crc32(kind + data) if crc is None else crc
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", checksum)


def header(width: int = 8, height: int = 8, **fields: int) -> bytes:
    """Return the data of IHDR; fields are depth, colour, compression, method and interlace."""
    others = {"depth": 8, "colour": 0, "compression": 0, "method": 0, "interlace": 0} | fields
    return struct.pack(">IIBBBBB", width, height, *others.values())


def rows(width: int = 8, height: int = 8, filter_type: int = 0) -> bytes:
    """Return the rows of a grey ramp, each behind its filter type."""
    return b"".join(
        bytes([filter_type]) + bytes((x * 255 // width + y) % 256 for x in range(width))
        for y in range(height)
    )


def png(*parts: bytes | tuple[bytes, bytes]) -> bytes:
    """Return a file of these chunks; pairs of kind and data get the right length and checksum."""
    return SIGNATURE + b"".join(part if isinstance(part, bytes) else chunk(*part) for part in parts)


def usual(
    *extra: bytes | tuple[bytes, bytes], ihdr: bytes | None = None, data: bytes | None = None
) -> bytes:
    """Return a PNG of a grey ramp, with other chunks between header and data."""
    pixels = zlib.compress(rows()) if data is None else data
    return png((b"IHDR", header() if ihdr is None else ihdr), *extra, (b"IDAT", pixels), END)
