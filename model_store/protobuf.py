"""The wire format of protobuf, as far as ONNX files need it: https://protobuf.dev/programming-guides/encoding/.

A field is a tag, which holds its number and its wire type, and a value.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""
_VARINT_BITS = 64
_LOW_BITS = 0x7F
_MORE = 0x80


class WireError(ValueError):
    """Bytes that are not in the wire format."""


# --- writing -----------------------------------------------------------------------------------


def integer(number: int, value: int) -> bytes:
    """Return a field that holds an integer; a negative one takes ten bytes."""
    return tag(number, VARINT) + varint(value & (2**_VARINT_BITS - 1))


def float32(number: int, value: float) -> bytes:
    """Return a field that holds a float."""
    return tag(number, FIXED32) + struct.pack("<f", value)


def text(number: int, value: str) -> bytes:
    """Return a field that holds a string."""
    return content(number, value.encode())


def content(number: int, value: bytes) -> bytes:
    """Return a field that holds bytes or a message."""
    return tag(number, BYTES) + varint(len(value)) + value


def tag(number: int, wire_type: int) -> bytes:
    """Return the tag before a field's value."""
    return varint(number << 3 | wire_type)


def varint(value: int) -> bytes:
    """Return an integer >= 0 in as many bytes as it needs."""
    encoded = bytearray()
    while value > _LOW_BITS:
        encoded.append(value & _LOW_BITS | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


# --- reading -----------------------------------------------------------------------------------


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of each field; raises WireError.

    A value is an integer, or the bytes of a fixed-size or length-prefixed field. Groups, which are
    not used since 2008, are refused.
    """
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise WireError("a field has the number 0")
        if wire_type == VARINT:
            value, place = _read_varint(message, place)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            size, place = _read_varint(message, place)
        elif wire_type in {FIXED32, FIXED64}:
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise WireError(f"field {number} has wire type {wire_type}")
        if size > len(message) - place:
            raise WireError(f"field {number} has {size} bytes, {len(message) - place} are left")
        yield number, wire_type, message[place : place + size]
        place += size


def signed(value: int) -> int:
    """Return the signed 64-bit integer that a varint stands for."""
    return value - 2**_VARINT_BITS if value >= 2 ** (_VARINT_BITS - 1) else value


def varints(packed: memoryview) -> Iterator[int]:
    """Yield the signed integers of a packed field; raises WireError."""
    place = 0
    while place < len(packed):
        value, place = _read_varint(packed, place)
        yield signed(value)


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return an integer and the place behind it."""
    value = 0
    for shift in range(0, _VARINT_BITS + 6, 7):
        if place >= len(message):
            raise WireError("the file ends within an integer")
        byte = message[place]
        place += 1
        value |= (byte & _LOW_BITS) << shift
        if not byte & _MORE:
            if value >= 2**_VARINT_BITS:
                raise WireError("an integer has more than 64 bits")
            return value, place
    raise WireError("an integer has more than ten bytes")
