import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import (
    CorruptImageError,
    EmptyImageError,
    NotAnImageError,
    TooManyPixelsError,
    UploadError,
)
from app.imaging.decode import decode_upload
from model_store.errors import ImageError
from model_store.preprocessing import DecodedImage, prepare
from model_store.spec import MLP, ImageShape, ModelSpec

DIGIT = ModelSpec(network=MLP(), latent=2)
COLOUR = ModelSpec(
    network=MLP(),
    latent=2,
    image=ImageShape(channels=3, height=32, width=32),
    upload="resize",
)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(content: bytes, max_pixels: int = 1_000_000) -> DecodedImage:
    return decode_upload(content, max_pixels=max_pixels)


def test_nothing_is_not_an_image() -> None:
    with pytest.raises(EmptyImageError):
        decoded(b"")


@pytest.mark.parametrize(
    "content", [b"hello", b"GIF89a" + bytes(50), b"%PDF-1.4", b"\x89PNG", b"\xff\xd8"]
)
def test_what_does_not_begin_as_a_png_or_jpeg_is_no_image(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        decoded(content)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_refused_by_content(kind: str) -> None:
    with pytest.raises(NotAnImageError, match="neither a PNG nor a JPEG"):
        decoded(saved(Image.new("L", (9, 9)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short_is_damaged(kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)
    content = saved(Image.fromarray(noise), kind)
    with pytest.raises(CorruptImageError):
        decoded(content[: int(kept * len(content))])


def test_pixels_are_counted_before_anything_is_decoded() -> None:
    header = saved(Image.new("L", (1000, 1001)))[:45]  # no pixel in it
    with pytest.raises(TooManyPixelsError, match="1000x1001") as refused:
        decoded(header)
    assert refused.value.limit == 1_000_000


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    bomb = bytearray(saved(Image.new("1", (8, 8))))
    bomb[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    with pytest.raises(UploadError):
        decoded(bytes(bomb))


def test_exactly_the_limit_is_taken() -> None:
    assert decoded(saved(Image.new("L", (1000, 1000)))).size == (1000, 1000)


def made_files() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
    picture = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 3
    return [
        saved(picture),
        saved(picture.convert("P")),
        saved(picture.convert("L").convert("1")),
        saved(picture.convert("RGB"), "JPEG", exif=exif),
        saved(picture.convert("L"), "JPEG", progressive=True),
        saved(picture.convert("CMYK"), "JPEG"),
    ]


FILES = made_files()


@settings(max_examples=300, deadline=None)
@given(
    which=st.integers(0, len(FILES) - 1),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    cut=st.floats(0.2, 1),
    spec=st.sampled_from([DIGIT, COLOUR]),
)
def test_damaged_bytes_give_a_picture_or_a_typed_error_and_nothing_else(
    which: int, edits: list[tuple[float, int]], cut: float, spec: ModelSpec
) -> None:
    content = bytearray(FILES[which])
    for where, value in edits:
        content[int(where * (len(content) - 1))] = value
    try:
        x = prepare(decoded(bytes(content[: int(cut * len(content))])), spec)
    except (UploadError, ImageError):
        return
    assert x.shape == spec.image.shape
    assert x.min() >= 0
    assert x.max() <= 1
