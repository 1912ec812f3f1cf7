import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model_store.errors import BlankImageError, WrongSizeError
from model_store.preprocessing import DecodedImage, from_bytes, from_pillow, prepare, to_bytes
from model_store.spec import MLP, ImageShape, ModelSpec

Bytes = NDArray[np.uint8]
Resampling = Image.Resampling

DIGIT = ModelSpec(network=MLP(), latent=2)
COLOUR = ModelSpec(
    network=MLP(),
    latent=2,
    image=ImageShape(channels=3, height=32, width=32),
    upload="resize",
)
GARMENT = ModelSpec(network=MLP(), latent=2, upload="resize")


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(content: bytes) -> DecodedImage:
    return from_pillow(Image.open(io.BytesIO(content)))


def rgb(image: DecodedImage) -> NDArray[np.float32]:
    """Red, green and blue; (height, width, 3)."""
    return (np.stack(list(image.channels(3)), axis=2) / 65535).astype(np.float32)


def prepared(content: bytes, spec: ModelSpec = DIGIT) -> Bytes:
    image: Bytes = to_bytes(prepare(opened(content), spec))[0]
    return image


# --- an opened file to pixels ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "LA", "RGBA"])
def test_every_mode_of_png_gives_the_same_picture(mode: str) -> None:
    half = Image.new("L", (8, 4), 0)
    half.paste(255, (4, 0, 8, 4))
    if mode == "I;16":
        image = Image.fromarray((np.asarray(half, np.uint16) * 257).astype(np.uint16))
    else:
        image = half.convert(mode)
    pixels = rgb(opened(saved(image)))
    assert np.array_equal(pixels, np.asarray(half.convert("RGB"), np.float32) / 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_of_jpeg_gives_the_same_picture(mode: str) -> None:
    half = Image.new("L", (16, 8), 0)
    half.paste(255, (8, 0, 16, 8))
    pixels = rgb(opened(saved(half.convert("RGB").convert(mode), "JPEG", quality=95)))
    assert np.allclose(pixels, np.asarray(half.convert("RGB")) / 255, atol=0.05)


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_drawing_on_a_transparent_ground_lies_on_what_contrasts(mode: str, ink: int) -> None:
    drawing = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    drawing.paste((ink, ink, ink, 255), (2, 2, 6, 6))
    image = drawing if mode == "RGBA" else drawing.convert(mode)
    grey = opened(saved(image)).grey() / 65535
    assert grey[0, 0] == pytest.approx(1 - ink / 255)
    assert grey[4, 4] == pytest.approx(ink / 255)


def test_a_photo_is_turned_as_its_exif_data_say() -> None:
    image = Image.new("L", (20, 10), 0)
    image.paste(255, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    pixels = opened(saved(image, "JPEG", exif=exif)).grey() / 65535
    assert pixels.shape == (20, 10)
    assert pixels[:10].mean() > 0.9
    assert pixels[10:].mean() < 0.1


def test_exif_data_that_cannot_be_read_are_ignored() -> None:
    content = saved(Image.new("L", (20, 10), 99), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert opened(content).grey().shape == (10, 20)


# --- digits ------------------------------------------------------------------------------------


def centre_of_mass(image: Bytes) -> NDArray[np.float64]:
    mass = image.astype(np.float64)
    rows, columns = np.indices(image.shape)
    return np.array([(mass * axis).sum() / mass.sum() for axis in (rows, columns)], np.float64)


def bounding_box(image: Bytes) -> NDArray[np.int64]:
    """Of what is at least a quarter as strong as ink: fainter edges come and go by resampling."""
    rows, columns = np.nonzero(image > 64)
    return np.array([rows.min(), rows.max(), columns.min(), columns.max()])


def on_canvas(image: Bytes, height: int, width: int, top: int, left: int) -> Bytes:
    canvas = np.zeros((height, width), np.uint8)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def enlarged(image: Bytes, factor: float, how: Resampling = Resampling.BICUBIC) -> Bytes:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, how))


def as_png(image: Bytes) -> bytes:
    return saved(Image.fromarray(image))


def as_photo(image: Bytes) -> bytes:
    """Dark ink on unevenly lit, grainy paper, as JPEG."""
    ink = on_canvas(enlarged(image, 8), 400, 320, 120, 40).astype(np.float64) / 255
    light = 0.85 - 0.1 * np.linspace(0, 1, 400)[:, None] - 0.1 * np.linspace(0, 1, 320)
    grain = np.random.default_rng(0).normal(0, 0.02, ink.shape)
    photo = np.clip(light * (1 - 0.75 * ink) + grain, 0, 1)
    return saved(Image.fromarray((photo * 255).astype(np.uint8)), "JPEG", quality=85)


TRANSFORMATIONS: dict[str, Callable[[Bytes], bytes]] = {
    "shifted": lambda x: as_png(on_canvas(x, 40, 36, 12, 0)),
    "inverted": lambda x: as_png(255 - x),
    "on a large canvas": lambda x: as_png(on_canvas(x, 600, 900, 431, 77)),
    "inverted on a large canvas": lambda x: as_png(255 - on_canvas(x, 600, 900, 431, 77)),
    "half as strong on grey": lambda x: as_png(60 + x // 2),
    "in colour": lambda x: saved(Image.merge("RGB", [Image.fromarray(255 - x)] * 3)),
    "scaled by 1.5": lambda x: as_png(on_canvas(enlarged(x, 1.5), 99, 99, 3, 41)),
    "scaled by 2, blocks": lambda x: as_png(enlarged(x, 2, Resampling.NEAREST)),
    "scaled by 3, lanczos": lambda x: as_png(enlarged(x, 3, Resampling.LANCZOS)),
    "scaled by 10": lambda x: as_png(on_canvas(enlarged(x, 10), 400, 400, 30, 90)),
    "scaled by 8 as jpeg": lambda x: saved(Image.fromarray(255 - enlarged(x, 8)), "JPEG"),
    "photographed": as_photo,
}


def test_split() -> Bytes | None:
    root = Path(os.environ.get("ZSERVE_DATA_DIR", "data"))
    path = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    if not path.is_file():
        return None
    return np.frombuffer(path.read_bytes()[16:], np.uint8).reshape(-1, 28, 28)


test_split.__test__ = False  # type: ignore[attr-defined]
DIGITS = test_split()
needs_digits = pytest.mark.skipif(
    DIGITS is None, reason="no MNIST in data/ or ZSERVE_DATA_DIR: its test split is not compared"
)


def made_digit() -> Bytes:
    """A stroke like a 2, as MNIST would hold it: 20 high, centre of mass in the middle."""
    drawing = Image.new("L", (200, 260), 0)
    pen = ImageDraw.Draw(drawing)
    points = [(30, 70), (60, 25), (140, 30), (160, 90), (40, 225), (175, 220)]
    pen.line(points, fill=255, width=26, joint="curve")
    return prepared(saved(drawing))


MADE = made_digit()


def test_a_made_digit_is_twenty_pixels_high_and_centred() -> None:
    top, bottom, left, right = bounding_box(MADE)
    assert 19 <= bottom - top + 1 <= 20
    assert right - left + 1 <= 20
    assert (centre_of_mass(MADE) >= 13.5).all()
    assert (centre_of_mass(MADE) < 14.5).all()


def test_a_prepared_digit_stays_as_it_is() -> None:
    assert np.array_equal(prepared(as_png(MADE)), MADE)


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_made_digit_comes_back_within_one_pixel(name: str) -> None:
    back = prepared(TRANSFORMATIONS[name](MADE))
    assert np.abs(centre_of_mass(back) - centre_of_mass(MADE)).max() <= 1
    assert np.abs(bounding_box(back) - bounding_box(MADE)).max() <= 1


@needs_digits
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_digits_of_the_test_split_come_back_within_one_pixel(name: str) -> None:
    assert DIGITS is not None
    some = DIGITS[::100]
    far = 0
    for digit in some:
        back = prepared(TRANSFORMATIONS[name](digit))
        assert np.abs(centre_of_mass(back) - centre_of_mass(digit)).max() <= 1
        far += np.abs(bounding_box(back) - bounding_box(digit)).max() > 1
    assert far <= 0.02 * len(some)  # a faint end of a stroke may fall below the threshold


@needs_digits
def test_the_test_split_comes_back_byte_for_byte() -> None:
    # 9,997 of 10,000; three digits are 19 pixels long and are enlarged to 20.
    assert DIGITS is not None
    some = DIGITS[::5]
    same = sum(np.array_equal(prepared(as_png(digit)), digit) for digit in some)
    assert same >= 0.999 * len(some)


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_an_image_without_a_digit_is_refused(grey: int) -> None:
    with pytest.raises(BlankImageError, match="no digit can be seen"):
        prepared(saved(Image.new("L", (100, 100), grey)))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_the_smallest_and_the_thinnest_uploads_are_served_or_refused_by_name(
    size: tuple[int, int],
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    with contextlib.suppress(BlankImageError):
        assert prepared(as_png(noise)).shape == (28, 28)


# --- other images ------------------------------------------------------------------------------


def test_other_models_crop_the_middle_and_resize_it() -> None:
    wide = Image.new("RGB", (100, 50), (255, 0, 0))
    wide.paste((0, 0, 255), (25, 0, 75, 50))
    x = prepare(opened(saved(wide)), COLOUR)
    assert x.shape == (3, 32, 32)
    assert np.allclose(x[2, :, 1:-1], 1)
    assert np.allclose(x[0, :, 1:-1], 0)


def test_a_grey_model_sees_grey_and_is_not_inverted() -> None:
    x = prepare(opened(saved(Image.new("RGB", (50, 50), (255, 255, 255)))), GARMENT)
    assert x.shape == (1, 28, 28)
    assert (x == 1).all()


def test_an_image_that_is_ready_is_taken_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    x = prepare(opened(as_png(noise)), DIGIT, "none")
    assert np.array_equal(to_bytes(x)[0], noise)


def test_an_image_that_is_not_ready_is_refused_with_both_sizes() -> None:
    with pytest.raises(WrongSizeError, match=r"28x28.*30x20"):
        prepare(opened(saved(Image.new("L", (30, 20)))), DIGIT, "none")


# --- floats and bytes --------------------------------------------------------------------------


def test_bytes_become_floats_and_come_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_bytes(from_bytes(levels)), levels)


def test_floats_are_rounded_to_the_nearest_byte_halves_up() -> None:
    pixels = np.array([0, 0.5, 1, -1, 2, 0.25 / 255, 0.75 / 255], np.float32)
    assert to_bytes(pixels).tolist() == [0, 128, 255, 0, 255, 0, 1]
