"""Change bytes at random, the same for the same seed."""

import random
from collections.abc import Sequence

_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255)


def mutated(generator: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Return one of the seeds after one to eight random changes."""
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.choice((1, 1, 2, 4, 8))):
        generator.choice(_CHANGES)(generator, data, seeds, words)
    return bytes(data)


def _span(generator: random.Random, data: bytearray) -> slice:
    start = generator.randrange(len(data) + 1)
    return slice(start, min(len(data), start + generator.choice((1, 2, 4, 8, 64))))


def _flip(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if data:
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _set(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if data:
        data[generator.randrange(len(data))] = generator.choice(_NUMBERS)


def _delete(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    del data[_span(generator, data)]


def _repeat(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    span = _span(generator, data)
    data[span] = bytes(data[span]) * generator.choice((2, 3, 100))


def _insert(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    at = generator.randrange(len(data) + 1)
    data[at:at] = generator.choice(words)


def _replace(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    data[_span(generator, data)] = generator.choice(words)


def _cut(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    del data[generator.randrange(len(data) + 1) :]


def _splice(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    other = generator.choice(seeds)
    data[generator.randrange(len(data) + 1) :] = other[generator.randrange(len(other) + 1) :]


def _digits(
    generator: random.Random, data: bytearray, seeds: Sequence[bytes], words: Sequence[bytes]
) -> None:
    """Replace one decimal number by another."""
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        at = generator.choice(places)
        data[at : at + 1] = str(generator.choice((0, -1, 2**31, 2**63, 10**30, 1.5))).encode()


_CHANGES = (_flip, _set, _delete, _repeat, _insert, _replace, _cut, _splice, _digits)
