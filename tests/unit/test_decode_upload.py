import io
import sys
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import (
    CorruptImageError,
    EmptyImageError,
    NotAnImageError,
    TooComplexImageError,
    TooManyPixelsError,
    UploadError,
)
from app.imaging.decode import MAX_SCANS, decode_upload
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
    "content",
    [
        b"hello",
        b"%PDF-1.4",
        b"\x89PNG",
        b"\xff\xd8",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42",
    ],
)
def test_what_does_not_begin_as_an_image_is_none(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        decoded(content)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused_by_content(kind: str) -> None:
    with pytest.raises(NotAnImageError, match="not a PNG, JPEG, WebP, AVIF, HEIC or GIF file"):
        decoded(saved(Image.new("L", (9, 9)), kind))


def drawing() -> Image.Image:
    picture = np.full((90, 60, 3), (250, 240, 230), np.uint8)
    picture[20:70, 25:35] = (20, 30, 60)
    return Image.fromarray(picture)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "HEIF", "GIF"])
def test_formats_of_phones_and_of_the_web_are_read(kind: str) -> None:
    pillow_heif.register_heif_opener()
    lossless = {"PNG": {}, "GIF": {}, "WEBP": {"lossless": True}}
    image = decoded(saved(drawing(), kind, **lossless.get(kind, {"quality": 95})))
    assert image.size == (60, 90)
    assert np.abs(image.pixels - np.asarray(drawing(), np.float32)).mean() < 6
    assert prepare(image, DIGIT).sum() == pytest.approx(
        prepare(decoded(saved(drawing())), DIGIT).sum(), rel=0.15
    )


def test_of_an_animation_the_first_frame_is_taken() -> None:
    blank = Image.new("RGB", drawing().size, "white")
    for kind in ("GIF", "WEBP", "PNG"):
        content = saved(drawing(), kind, save_all=True, append_images=[blank, blank])
        assert decoded(content).grey()[45, 30] < 0.4 * 65535, kind


def test_a_heic_photo_is_turned_by_its_own_orientation() -> None:
    pillow_heif.register_heif_opener()
    picture = drawing()
    picture.getexif()[0x0112] = 6
    image = decoded(saved(picture, "HEIF"))
    assert image.size == (90, 60)
    assert (image.grey() / 65535)[30, 10:80].tolist() == pytest.approx(
        np.rot90(np.asarray(drawing().convert("L")) / 255, -1)[30, 10:80].tolist(), abs=0.2
    )


def test_without_its_library_a_heic_photo_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pillow_heif.register_heif_opener()
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(NotAnImageError, match="cannot read HEIC files") as refused:
        decoded(saved(drawing(), "HEIF"))
    assert "pi-heif" in str(refused.value.remedy)


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG of 128x128 grey pixels, with scans that change nothing."""
    table = bytes([1, *[0] * 15])
    size = (128).to_bytes(2, "big") * 2
    head = b"\xff\xd8\xff\xdb\x00\x43\x00" + bytes([1] * 64)
    head += b"\xff\xc2\x00\x0b\x08" + size + b"\x01\x01\x11\x00"
    head += b"\xff\xc4\x00\x14\x00" + table + b"\x00"  # DC: a difference of 0
    head += b"\xff\xc4\x00\x14\x10" + table + b"\x70"  # AC: 128 and more blocks are zero
    dc_scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes(32)
    ac_scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" + b"\x40\x7f"
    return head + dc_scan + ac_scan * (scans - 1) + b"\xff\xd9"


def test_a_jpeg_may_have_many_scans_but_not_any_number() -> None:
    assert decoded(jpeg_of_scans(MAX_SCANS)).size == (128, 128)
    with pytest.raises(TooComplexImageError, match="more than 100 scans") as refused:
        decoded(jpeg_of_scans(MAX_SCANS + 1))
    assert refused.value.limit == MAX_SCANS


def test_bytes_of_metadata_are_not_counted_as_scans() -> None:
    content = saved(drawing(), "JPEG", comment=b"\xff\xda" * 200)
    assert decoded(content).size == (60, 90)


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
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 3
    return [
        saved(picture),
        saved(picture.convert("P")),
        saved(picture.convert("L").convert("1")),
        saved(picture.convert("RGB"), "JPEG", exif=exif),
        saved(picture.convert("L"), "JPEG", progressive=True),
        saved(picture.convert("CMYK"), "JPEG"),
        saved(picture, "WEBP"),
        saved(picture, "AVIF"),
        saved(picture, "HEIF"),
        saved(picture.convert("P"), "GIF"),
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
