"""A file in a training folder and the same file as an upload are the same array."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageDraw

from app.imaging.decode import decode_upload
from model_store.preprocessing import prepare, to_bytes
from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data
from training.data.loading import load
from training.errors import DataNotFoundError

FOLDER = Data(dataset="folder")
SPECS = {
    "digit": ModelSpec(network=MLP(), latent=2, upload="digit"),
    "grey": ModelSpec(network=MLP(), latent=2, upload="resize"),
    "colour": ModelSpec(
        network=MLP(), latent=2, upload="resize", image=ImageShape(channels=3, height=24, width=32)
    ),
}


def drawing(width: int = 90, height: int = 70) -> Image.Image:
    """A red stroke, its edges half transparent, on a transparent ground with a hard grey block."""
    image = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(image)
    pen.line([(20, 12), (65, 15), (30, 60)], fill=(200, 40, 30, 120), width=11)
    pen.line([(20, 12), (65, 15), (30, 60)], fill=(200, 40, 30, 255), width=7)
    pen.rectangle((50, 40, 60, 50), fill=(90, 90, 90, 255))
    return image


def on_white() -> Image.Image:
    ground = Image.new("RGBA", drawing().size, "white")
    return Image.alpha_composite(ground, drawing()).convert("RGB")


def png(image: Image.Image, **options: Any) -> bytes:
    return saved(image, "PNG", **options)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    return saved(image, "JPEG", **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep() -> Image.Image:
    """16 bits of grey, in levels that 8 bits do not have."""
    grey = np.asarray(on_white().convert("L"), np.uint16) * 200 + 4321
    return Image.fromarray(grey.astype(np.uint16))


def photo() -> Image.Image:
    """The drawing with more pixels than are kept."""
    return on_white().resize((1500, 1100))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


FILES: dict[str, Callable[[], bytes]] = {
    "rgb.png": lambda: png(on_white()),
    "grey.png": lambda: png(on_white().convert("L")),
    "bits.png": lambda: png(on_white().convert("1")),
    "rgba.png": lambda: png(drawing()),
    "la.png": lambda: png(drawing().convert("LA")),
    "ink in alpha.png": lambda: png(
        Image.merge("LA", [Image.new("L", drawing().size), drawing().getchannel("A")])
    ),
    "palette.png": lambda: png(on_white().quantize(16)),
    "palette, one entry transparent.png": lambda: png(on_white().quantize(16), transparency=0),
    "palette, partly transparent.png": lambda: png(
        on_white().quantize(16), transparency=bytes(range(0, 256, 16))
    ),
    "colour key.png": lambda: png(on_white(), transparency=(255, 255, 255)),
    "deep.png": lambda: png(deep()),
    "turned.png": lambda: png(on_white(), exif=turned(6)),
    "profile.png": lambda: png(on_white(), icc_profile=profile()),
    "rgb.jpg": lambda: jpeg(on_white()),
    "grey.jpg": lambda: jpeg(on_white().convert("L")),
    "cmyk.jpg": lambda: jpeg(on_white().convert("CMYK")),
    "turned.jpg": lambda: jpeg(on_white(), exif=turned(8)),
    "broken exif.jpg": lambda: jpeg(on_white(), exif=b"Exif\0\0" + b"\xff" * 40),
    "transparent background.gif": lambda: saved(
        on_white().quantize(16), "GIF", transparency=on_white().quantize(16).getpixel((0, 0))
    ),
    "lossless.webp": lambda: saved(drawing(), "WEBP", lossless=True),
    "lossy.webp": lambda: saved(on_white(), "WEBP", exif=turned(6)),
    "drawing.avif": lambda: saved(on_white(), "AVIF", exif=turned(6)),
    "drawing.heic": lambda: saved(on_white(), "HEIF"),
    "photo.jpg": lambda: jpeg(photo(), exif=turned(6)),
    "photo.png": lambda: png(photo()),
    "photo with transparent paper.png": lambda: png(drawing().resize((1500, 1100))),
    "photo in a transparent palette.png": lambda: png(photo().quantize(16), transparency=0),
    "deep photo.png": lambda: png(deep().resize((1500, 1100))),
    "profile.jpg": lambda: jpeg(on_white(), icc_profile=profile()),
    "odd.png": lambda: png(on_white().resize((331, 127))),
    "narrow.png": lambda: png(on_white().resize((33, 257))),
    "small.png": lambda: png(on_white().resize((21, 17))),
    "as large as the model's.png": lambda: png(on_white().resize((28, 28))),
}


@pytest.mark.parametrize("model", SPECS)
@pytest.mark.parametrize("name", FILES)
def test_an_image_is_the_same_in_a_training_folder_and_as_an_upload(
    tmp_path: Path, name: str, model: str
):
    content, spec = FILES[name](), SPECS[model]
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / name).write_bytes(content)
    upload = prepare(decode_upload(content, max_pixels=10_000_000), spec)
    splits = load(FOLDER, tmp_path, spec)
    assert splits.notices == ()
    assert np.array_equal(splits.train.pixels[0].numpy(), to_bytes(upload))
    assert upload.std() > 0.02  # the drawing is there, so that the equality says something


def test_ink_in_the_alpha_channel_is_ink_of_a_digit(tmp_path: Path):
    for split, name in (("train", "ink in alpha.png"), ("test", "grey.png")):
        (tmp_path / split).mkdir()
        (tmp_path / split / name).write_bytes(FILES[name]())
    alpha = load(FOLDER, tmp_path, SPECS["digit"]).train.pixels.numpy().astype(float)
    assert alpha[0, 0, 0, 0] == 0
    assert alpha.max() == 255


def test_a_file_without_a_digit_is_skipped_with_its_reason(tmp_path: Path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(FILES["grey.png"]())
    (tmp_path / "blank.png").write_bytes(png(Image.new("L", (40, 40), 99)))
    splits = load(FOLDER, tmp_path, SPECS["digit"])
    assert len(splits.train) + len(splits.test) == 3
    assert any("blank.png: no digit can be seen" in line for line in splits.notices)
    with pytest.raises(DataNotFoundError, match="no digit can be seen"):
        load(FOLDER, only(tmp_path / "blank.png"), SPECS["digit"])


def only(path: Path) -> Path:
    """A folder that holds one file alone."""
    folder = path.parent / "only"
    folder.mkdir()
    path.rename(folder / path.name)
    return folder
