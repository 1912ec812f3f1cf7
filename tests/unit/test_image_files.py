import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_store import image_files
from model_store.image_files import MAX_DECODED_PIXELS, MIN_REDUCED_SIDE, reduction
from model_store.preprocessing import from_pillow, prepare
from model_store.spec import MLP, ModelSpec

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def png_of_rows(rows: int, *, height: int, colour: int, bits: int, value: int) -> bytes:
    """A PNG of width 8 whose data end after `rows` rows; each byte of a pixel is `value`."""
    header = (8).to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, colour, 0, 0, 0])
    row = bytes([0] + [value] * (8 * CHANNELS[colour] * bits // 8))
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == PALETTE else b""
    data = chunk(b"IDAT", zlib.compress(row * rows))
    return SIGNATURE + chunk(b"IHDR", header) + palette + data + chunk(b"IEND", b"")


KINDS = [(GREY, 1), (GREY, 8), (GREY, 16), (RGB, 8), (PALETTE, 8), (GREY_ALPHA, 8), (RGBA, 8)]


@pytest.mark.parametrize(("colour", "bits"), KINDS)
@pytest.mark.parametrize("value", [0, 113, 142, 255])
@pytest.mark.parametrize("height", [1, 2, 9])
def test_a_png_with_all_rows_is_read_whatever_its_values_are(
    colour: int, bits: int, value: int, height: int
) -> None:
    content = png_of_rows(height, height=height, colour=colour, bits=bits, value=value)
    pixels = np.asarray(image_files.load(opened(content)))
    assert (pixels == pixels[:1]).all()
    assert np.array_equal(pixels, np.asarray(opened(content)))


@pytest.mark.parametrize(("colour", "bits"), KINDS)
@pytest.mark.parametrize("value", [0, 113, 142, 255])
@pytest.mark.parametrize("rows", [0, 1, 8])
def test_a_png_with_too_few_rows_is_damaged(colour: int, bits: int, value: int, rows: int) -> None:
    content = png_of_rows(rows, height=9, colour=colour, bits=bits, value=value)
    with pytest.raises(OSError, match=r"fewer rows|truncated"):
        image_files.load(opened(content))


@pytest.mark.parametrize("kept", [0, 1, 5, 12])
def test_an_interlaced_png_without_its_last_rows_is_damaged(kept: int) -> None:
    # Adam7 of 8x8 pixels in grey: passes of 1, 1, 1, 2, 2, 4 and 4 rows.
    widths = [1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 8, 8, 8]
    rows = b"".join(bytes([0] + [50] * width) for width in widths[:kept])
    complete = b"".join(bytes([0] + [50] * width) for width in widths)
    header = (8).to_bytes(4, "big") * 2 + bytes([8, GREY, 0, 0, 1])

    def png(data: bytes) -> bytes:
        idat = chunk(b"IDAT", zlib.compress(data))
        return SIGNATURE + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")

    assert (np.asarray(image_files.load(opened(png(complete)))) == 50).all()
    with pytest.raises(OSError, match=r"fewer rows|truncated"):
        image_files.load(opened(png(rows)))


def test_a_file_with_too_few_rows_is_also_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "short.png"
    path.write_bytes(png_of_rows(3, height=9, colour=GREY, bits=8, value=200))
    with Image.open(path) as image, pytest.raises(OSError, match="fewer rows"):
        image_files.load(image)


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((28, 28), 1),
        ((1024, 1024), 1),
        ((1025, 1024), 2),
        ((1500, 1125), 2),
        ((4000, 3000), 4),
        ((8192, 6144), 7),
        ((1, 2**30), 1),
        ((200_000, 2 * MIN_REDUCED_SIDE), 2),
    ],
)
def test_images_are_reduced_to_a_megapixel(size: tuple[int, int], factor: int) -> None:
    assert reduction(*size) == reduction(*size[::-1]) == factor


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_large_png_is_reduced_to_the_means_of_its_pixels(mode: str) -> None:
    stripes = np.zeros((1400, 1400), np.uint8)
    stripes[1::2] = 200
    picture = Image.fromarray(stripes)
    if mode == "I;16":
        picture = Image.fromarray(stripes.astype(np.uint16) * 257)
    elif mode == "1":
        picture = picture.point(lambda level: 255 * (level > 0)).convert("1")
    else:
        picture = picture.convert(mode)
    loaded = image_files.load(opened(saved(picture)))
    assert loaded.size == (700, 700)
    greys = np.asarray(loaded.convert("RGBA"))[..., 0] if mode != "I;16" else np.asarray(loaded)
    middle = {"1": 127.5, "I;16": 100 * 257}.get(mode, 100)
    assert np.abs(greys - middle).max() <= 1


def test_a_transparent_grey_level_stays_transparent_when_the_image_is_reduced() -> None:
    ink = np.full((1400, 1400), 30, np.uint8)
    ink[400:1000, 600:800] = 90
    # Level 30 is paper, and cannot be seen.
    image = from_pillow(opened(saved(Image.fromarray(ink), transparency=30)))
    assert image.pixels.shape == (700, 700, 3)
    assert (image.pixels[0, 0] == 1.0).all()
    assert np.allclose(image.pixels[300, 350], 90 / 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_a_photo_shows_the_digit_that_its_small_version_shows(kind: str) -> None:
    photo = np.full((1500, 2000), 230, np.uint8)
    photo[300:1200, 950:1050] = 20
    photo[1100:1200, 750:1250] = 20
    small = Image.fromarray(photo).resize((400, 300), Image.Resampling.BOX)
    spec = ModelSpec(network=MLP(), latent=2)
    options = {"quality": 95} if kind in {"JPEG", "WEBP", "AVIF"} else {}
    large = from_pillow(opened(saved(Image.fromarray(photo), kind, **options)))
    expected = from_pillow(opened(saved(small)))
    assert large.pixels.size <= 3 * MAX_DECODED_PIXELS
    assert large.file_size == (2000, 1500)
    assert np.abs(prepare(large, spec) - prepare(expected, spec)).mean() < 0.02


def test_a_photo_that_lies_on_its_side_is_turned_by_its_exif_data() -> None:
    photo = np.full((900, 1600), 230, np.uint8)
    photo[:450] = 20
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        pixels = from_pillow(opened(saved(Image.fromarray(photo), kind, exif=exif))).pixels
        greys = pixels if pixels.ndim == 2 else pixels[..., 0]
        assert greys.shape == (800, 450), kind
        assert greys[:, 400:].max() < 60, kind
        assert greys[:, :50].min() > 200, kind
