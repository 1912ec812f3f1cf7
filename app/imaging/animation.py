"""Encode animations: APNG and GIF."""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from app.imaging.grid import channels_last
from app.imaging.png import (
    END_CHUNK,
    SIGNATURE,
    chunk,
    compress_lines,
    header_chunk,
    text_chunks,
)
from app.typing import Bytes


def encode_apng(
    frames: Bytes, *, frame_ms: int, loop: bool, parameters: Mapping[str, object] | None = None
) -> bytes:
    """Encode (batch, channels, height, width) as an animated PNG.

    Readers without support for animation show the first frame. W3C PNG, third edition, section 11.3.6.
    """
    control = chunk(b"acTL", struct.pack(">II", len(frames), 0 if loop else 1))
    chunks = [SIGNATURE, header_chunk(*frames[0].shape), *text_chunks(parameters), control]
    height, width = frames.shape[2:]
    sequence = 0
    for number, frame in enumerate(frames):
        region = struct.pack(">IIIII", sequence, width, height, 0, 0)
        chunks.append(chunk(b"fcTL", region + struct.pack(">HHBB", frame_ms, 1000, 0, 0)))
        sequence += 1
        if number == 0:
            chunks.append(chunk(b"IDAT", compress_lines(frame)))
        else:
            chunks.append(chunk(b"fdAT", struct.pack(">I", sequence) + compress_lines(frame)))
            sequence += 1
    return b"".join([*chunks, END_CHUNK])


def encode_gif(
    frames: Bytes, *, frame_ms: int, loop: bool, parameters: Mapping[str, object] | None = None
) -> bytes:
    """Encode (batch, channels, height, width) as an animated GIF, with `parameters` as its comment.

    Grey is exact; colours are reduced to 256 per frame. GIF stores times in hundredths of a second.
    """
    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in channels_last(frames)]
    if frames.shape[1] == 3:
        images = [image.quantize(256) for image in images]
    options: dict[str, Any] = {"loop": 0} if loop else {}
    if parameters is not None:
        options["comment"] = json.dumps(parameters).encode("ascii")
    gif = io.BytesIO()
    first, *rest = images
    first.save(
        gif,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=frame_ms,
        optimize=False,
        **options,
    )
    return gif.getvalue()


def back_and_forth(frames: Bytes) -> Bytes:
    """Append the inner frames in reverse order, so that a loop has no jump."""
    return np.concatenate([frames, frames[-2:0:-1]])
