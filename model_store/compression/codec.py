"""Compress images to one file, and decompress them without loss, by bits back with ANS.

To code an image x, the encoder pops a latent z from the message by q(z | x), pushes x by p(x | z)
and pushes z by p(z). The decoder undoes this, and gets the bits of q(z | x) back. An image therefore
costs -ln p(x | z) - ln p(z) + ln q(z | x) nats, whose mean is the negative ELBO (Townsend, Bird &
Barber 2019, "Practical lossless compression with latent variables using bits back coding").

A message begins as the digest of the images, from which the first latents are popped. The decoder
recovers these bits at the end, so they are a checksum. Images are coded in steps of 1, 2, 4, ...
images at once, so that the latents of each step are popped from the bits of earlier steps.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model_store.arithmetic import ARITHMETIC
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Bytes, Floats
from model_store.compression import container
from model_store.compression.ans import LOWEST_HEAD, Heads, Ints, Message, Words
from model_store.compression.container import NETWORK_BYTES, Header
from model_store.compression.gaussian import GRID_EXPONENT, LARGEST, prior_table
from model_store.compression.pixels import PixelModel
from model_store.compression.posterior import Posteriors
from model_store.errors import DamagedFileError, OtherModelError, TooManyImagesError

MOST_IMAGES = 65_536
"""Largest number of images in a file, unless a caller allows another."""
DIGEST_WORDS = 8
"""Least number of 32-bit words of the digest in a message; all of them are checked."""


@dataclass(frozen=True)
class Identity:
    """Identity of the model that a file needs: its version and its exact network."""

    model: str
    """Reference `name@version`."""
    network_sha256: str
    """SHA-256 of exact.safetensors, hexadecimal."""


class Codec:
    """Compresses images with one version of a model."""

    def __init__(self, model: ExactModel, pixels: PixelModel, identity: Identity) -> None:
        self._model = model
        self._pixels = pixels
        self._posteriors = Posteriors(model)
        self._prior = prior_table()
        self._identity = identity
        # all data, besides the images, that the bytes of a file depend on
        self._sources = bytes.fromhex(identity.network_sha256) + pixels.sha256

    def compress(self, levels: Bytes) -> bytes:
        """Compress grey levels 0..255, (images, channels, height, width), to one file.

        The same images give the same file on every machine. Raises ValueError if there is no image, or an
        image does not have the shape of the model.
        """
        header = self._header(len(levels))
        if levels.shape[1:] != header.shape or levels.dtype != np.uint8:
            raise ValueError(f"images are {levels.dtype} {levels.shape}, not uint8 {header.shape}")
        message = self._start(header, levels)
        for step in steps(header):
            message.open_lanes(step.lanes)
            self._push(message, levels[step.begin : step.end])
        return container.write(header, message.heads, message.words)

    def decompress(self, content: bytes, most_images: int = MOST_IMAGES) -> Bytes:
        """Return the grey levels of a file's images, (images, channels, height, width).

        Raises a subclass of CompressedFileError if the file is not what `compress` returned.
        """
        header, heads, words = container.read(content)
        self._check(header, most_images)
        message = Message(heads, words)
        batches = []
        for step in reversed([*steps(header)]):
            batches.append(self._pop(message, step.end - step.begin))
            message.close_lanes(step.lanes_before)
        levels = np.concatenate(batches[::-1])
        self._check_end(header, levels, message)
        return levels

    def _header(self, images: int) -> Header:
        if not 1 <= images < 2**32:
            raise ValueError(f"{images} images cannot be compressed")
        network = hashlib.sha256(self._sources).digest()[:NETWORK_BYTES]
        shape = self._model.spec.image.shape
        return Header(ARITHMETIC, self._identity.model, network, images, shape)

    def _check(self, header: Header, most_images: int) -> None:
        if header.images > most_images:
            raise TooManyImagesError(
                f"the file holds {header.images} images; at most {most_images} are allowed at once"
            )
        expected = self._header(header.images)
        if header != expected:
            raise OtherModelError(
                f"the file was written with {_names(header)}, this is {_names(expected)}"
            )

    # --- the message -----------------------------------------------------------------------------

    def _start(self, header: Header, levels: Bytes) -> Message:
        """Return a message of one lane that holds only the first words of the digest."""
        seed = self._seed(header, levels)
        first = _digest_words(seed, DIGEST_WORDS)
        supply = functools.partial(_digest_words, seed)
        return Message(_head(first), first[1:][::-1], supply, DIGEST_WORDS)

    def _check_end(self, header: Header, levels: Bytes, message: Message) -> None:
        """Raise DamagedFileError unless the message is what an encoder started with."""
        rest = message.words
        count = 1 + len(rest)
        words = _digest_words(self._seed(header, levels), count)
        same_head = np.array_equal(_head(words), message.heads)
        if count < DIGEST_WORDS or not same_head or not np.array_equal(words[1:][::-1], rest):
            raise DamagedFileError("the images do not fit the file's digest: the file was changed")

    def _seed(self, header: Header, levels: Bytes) -> bytes:
        digest = hashlib.sha256(header.to_bytes() + self._sources)
        digest.update(levels.tobytes())
        return digest.digest()

    # --- one step --------------------------------------------------------------------------------

    def _push(self, message: Message, levels: Bytes) -> None:
        latents = self._posteriors(levels).pop(message)
        first = self._pixels.distributions.first[self._pixel_rows(latents)]
        message.push(self._pixels.distributions, first + levels.reshape(len(levels), -1))
        message.push(self._prior, latents + LARGEST)

    def _pop(self, message: Message, images: int) -> Bytes:
        prior_rows = np.zeros((images, self._model.spec.latent), np.int64)
        latents = message.pop(self._prior, prior_rows) - LARGEST
        rows = self._pixel_rows(latents)
        places = message.pop(self._pixels.distributions, rows)
        grey = places - self._pixels.distributions.first[rows]
        levels = grey.astype(np.uint8).reshape(images, *self._model.spec.image.shape)
        self._posteriors(levels).push(message, latents)
        return levels

    def _pixel_rows(self, latents: Ints) -> Ints:
        u: Floats = (latents * 2.0**-GRID_EXPONENT).astype(np.float32)
        return self._pixels.rows(self._model.logits_of_u(u))


@dataclass(frozen=True)
class Step:
    """Images that are coded at once, and the numbers of lanes in this step and the step before."""

    begin: int
    end: int
    lanes: int
    lanes_before: int


def steps(header: Header) -> Iterator[Step]:
    """Yield the steps in order: 1, 2, 4, ... images, and at most as many as the file has lanes."""
    begin, size, lanes = 0, 1, 1
    while begin < header.images:
        end = min(begin + size, header.images)
        before, lanes = lanes, max(lanes, end - begin)
        yield Step(begin, end, lanes, before)
        begin, size = end, min(2 * size, header.lanes)


def _digest_words(seed: bytes, count: int) -> Words:
    """Return the first `count` words of an endless digest."""
    digest = hashlib.shake_256(seed).digest(4 * count)
    return np.frombuffer(digest, "<u4").astype(np.uint32)


def _head(words: Words) -> Heads:
    """Return the state of the first lane at the start."""
    return words[:1].astype(np.uint64) | np.uint64(LOWEST_HEAD)


def _names(header: Header) -> str:
    return f"{header.model} ({header.arithmetic}, {header.network.hex()}, images {header.shape})"
