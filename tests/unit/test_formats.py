import io
import json
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from app.imaging.animation import back_and_forth, encode_apng, encode_gif
from app.imaging.grid import channels_last, enlarge, make_grid
from app.imaging.npz import encode_npz
from app.imaging.png import encode_png
from app.imaging.zip import ZipWriter
from app.sampling import latents
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.model import ExactModel
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

Bytes = NDArray[np.uint8]

SHAPES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40))
PICTURES = np_st.arrays(np.uint8, SHAPES)


def opened(file: bytes) -> Bytes:
    """Return (channels, height, width) as Pillow reads it; Pillow verifies every checksum."""
    Image.open(io.BytesIO(file)).verify()
    image = Image.open(io.BytesIO(file))
    assert image.format == "PNG"
    pixels = np.asarray(image)
    return pixels[None] if image.mode == "L" else pixels.transpose(2, 0, 1)


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def slopes(n: int, channels: int, side: int = 28) -> Bytes:
    """Return smooth images without black."""
    x = np.linspace(40, 200, side)
    planes = [x[:, None] * (0.5 + 0.1 * i) + x * 0.4 + c * 9 for i in range(n) for c in range(3)]
    stacked = np.array(planes).reshape(n, 3, side, side)[:, :channels]
    return np.ascontiguousarray(stacked.astype(np.uint8))


def digits(n: int) -> Bytes:
    """Return samples of a shipped model."""
    stored = Store(SHIPPED).load(ModelRef.parse("mnist@11"))
    assert stored.network is not None
    model = ExactModel(stored.network, stored.spec, OnnxExecutor)
    return model.decode(
        latents.standard_normal(latents.consecutive_seeds(0, n), stored.spec.latent)
    )


# --- grids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("n", "columns"), [(1, 1), (2, 1), (5, 2), (6, 3), (7, 100), (16, 4), (17, 4)]
)
def test_a_grid_equals_that_of_torchvision(n: int, columns: int, channels: int) -> None:
    utils = pytest.importorskip("torchvision.utils", exc_type=ImportError)
    batch = noise(n, channels, 5, 4)
    expected = utils.make_grid(torch.from_numpy(batch), nrow=columns).numpy()
    assert np.array_equal(make_grid(batch, columns), expected[:channels])


def test_a_grid_can_be_cut_apart_again() -> None:
    batch = noise(6, 1, 5, 4)
    grid = make_grid(batch, 3)
    assert grid.shape == (1, 2 + 2 * 7, 2 + 3 * 6)
    for i in range(6):
        top, left = 2 + (i // 3) * 7, 2 + (i % 3) * 6
        assert np.array_equal(grid[:, top : top + 5, left : left + 4], batch[i])


def test_enlarging_repeats_each_pixel_as_a_square() -> None:
    image = noise(3, 4, 5)
    large = enlarge(image, 3)
    assert large.shape == (3, 12, 15)
    for y in range(3):
        for x in range(3):
            assert np.array_equal(large[:, y::3, x::3], image)
    assert enlarge(image, 1) is image


# --- PNG ---------------------------------------------------------------------------------------


@given(PICTURES)
def test_pillow_reads_the_pixels_that_were_encoded(image: Bytes) -> None:
    assert np.array_equal(opened(encode_png(image)), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_smooth_images_are_compressed_and_read_back_equal(channels: int) -> None:
    grid = make_grid(slopes(9, channels), 3)
    png = encode_png(grid)
    assert np.array_equal(opened(png), grid)
    assert len(png) < 0.5 * grid.size


def test_every_filter_is_used_and_undone_by_pillow() -> None:
    ramp = np.arange(64, dtype=np.uint8)
    flat = np.full((4, 64), 7, np.uint8)
    diagonal = (ramp[:16, None] * 5 + ramp * 3).astype(np.uint8)
    hills = (100 + 90 * np.sin(ramp / 5)).astype(np.uint8) + ramp[:16, None]
    image = np.concatenate([flat, diagonal, noise(8, 64), hills, hills[:, ::-1]])[None]
    image = np.ascontiguousarray(image.astype(np.uint8))
    png = encode_png(image)
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    lines = zlib.decompress(png[start + 4 : start + 4 + length])
    assert {lines[i] for i in range(0, len(lines), 65)} == {0, 1, 2, 3, 4}
    assert np.array_equal(opened(png), image)


@pytest.mark.parametrize("n", [1, 16, 256])
@pytest.mark.parametrize("kind", ["digits", "grey", "coloured"])
def test_a_png_is_no_more_than_a_tenth_larger_than_pillows(kind: str, n: int) -> None:
    grain = np.random.default_rng(0).integers(0, 16, (n, 3, 28, 28), np.uint8)
    textures = {"grey": slopes(n, 1) + grain[:, :1], "coloured": slopes(n, 3) + grain}
    grid = make_grid(digits(n) if kind == "digits" else textures[kind], round(n**0.5))
    pillows = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(channels_last(grid))).save(pillows, "PNG")
    assert len(encode_png(grid)) <= 1.1 * len(pillows.getvalue())


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans())))
def test_any_parameters_can_be_stored_in_a_png(parameters: dict[str, object]) -> None:
    png = Image.open(io.BytesIO(encode_png(noise(1, 2, 2), parameters)))
    assert json.loads(str(png.info["parameters"])) == parameters


def test_a_png_has_no_text_chunk_without_parameters() -> None:
    png = Image.open(io.BytesIO(encode_png(np.zeros((1, 2, 2), np.uint8))))
    assert "parameters" not in png.info


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_strided_view_is_encoded_like_a_copy(channels: int, mode: str) -> None:
    image = noise(channels, 20, 30)[:, ::2, ::3]
    png = encode_png(image)
    assert Image.open(io.BytesIO(png)).mode == mode
    assert np.array_equal(opened(png), image)


# --- animations --------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_plays_the_apng(channels: int) -> None:
    frames = noise(5, channels, 9, 7)
    apng = encode_apng(frames, frame_ms=120, loop=True, parameters={"seed": 7})
    image = Image.open(io.BytesIO(apng))
    assert (image.n_frames, image.info["loop"]) == (5, 0)  # type: ignore[attr-defined]
    assert json.loads(str(image.info["parameters"])) == {"seed": 7}
    for frame, shown in zip(frames, ImageSequence.Iterator(image), strict=True):
        assert shown.info["duration"] == 120
        mode = "L" if channels == 1 else "RGB"
        assert np.array_equal(np.asarray(shown.convert(mode)), channels_last(frame))
    once = encode_apng(frames, frame_ms=120, loop=False)
    assert Image.open(io.BytesIO(once)).info["loop"] == 1


def test_a_reader_of_plain_png_sees_the_first_frame_of_an_apng() -> None:
    frames = noise(3, 1, 9, 7)
    assert np.array_equal(opened(encode_apng(frames, frame_ms=50, loop=True)), frames[0])


def test_a_grey_gif_is_exact() -> None:
    frames = noise(5, 1, 9, 7)
    gif = encode_gif(frames, frame_ms=120, loop=True, parameters={"seed": 7})
    image = Image.open(io.BytesIO(gif))
    assert image.format == "GIF"
    assert image.info["loop"] == 0
    assert json.loads(image.info["comment"]) == {"seed": 7}
    for frame, shown in zip(frames, ImageSequence.Iterator(image), strict=True):
        assert shown.info["duration"] == 120
        assert np.array_equal(np.asarray(shown.convert("L")), frame[0])
    once = encode_gif(frames, frame_ms=120, loop=False)
    assert "loop" not in Image.open(io.BytesIO(once)).info
    assert once == encode_gif(frames, frame_ms=120, loop=False)


def test_a_coloured_gif_is_nearly_exact() -> None:
    frames = slopes(4, 3)
    shown = Image.open(io.BytesIO(encode_gif(frames, frame_ms=50, loop=True)))
    assert shown.n_frames == 4  # type: ignore[attr-defined]
    for number in range(4):
        shown.seek(number)
        seen = np.asarray(shown.convert("RGB"), np.int16).transpose(2, 0, 1)
        assert np.abs(seen - frames[number]).max() < 16


def test_back_and_forth_shows_each_end_once() -> None:
    frames = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    assert back_and_forth(frames).ravel().tolist() == [0, 1, 2, 3, 2, 1]
    assert back_and_forth(frames[:2]).ravel().tolist() == [0, 1]


# --- zip and npz -------------------------------------------------------------------------------


def zipped(files: dict[str, bytes]) -> bytes:
    archive = ZipWriter()
    return b"".join([*(archive.add(name, content) for name, content in files.items())]) + (
        archive.close()
    )


def test_a_zip_holds_its_files() -> None:
    files = {"a.txt": b"hello", "ü.txt": b"", "folder/c.bin": bytes(range(256)) * 9}
    archive = zipfile.ZipFile(io.BytesIO(zipped(files)))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name in archive.namelist()} == files
    assert zipped(files) == zipped(files)
    assert zipfile.ZipFile(io.BytesIO(zipped({}))).namelist() == []


def test_an_archive_may_have_more_files_than_zip32_allows() -> None:
    content = zipped({f"{i}": b"x" for i in range(65_536)})
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert len(archive.namelist()) == 65_536
    assert archive.read("65535") == b"x"


def test_files_beyond_four_gigabytes_are_listed_with_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a 32-bit limit of 100 the writer makes the records of a large archive.
    writer = ZipWriter()
    first = writer.add("first", bytes(200))
    monkeypatch.setattr(ZipWriter, "_FULL_32", 100)
    second = writer.add("second", b"hello")
    monkeypatch.undo()
    directory = bytearray(writer.close())
    place = directory.index(b"second") - 4
    assert directory[place : place + 4] == struct.pack("<I", 100)
    directory[place : place + 4] = b"\xff" * 4
    archive = zipfile.ZipFile(io.BytesIO(first + second + bytes(directory)))
    assert archive.read("second") == b"hello"
    assert archive.read("first") == bytes(200)


def test_numpy_opens_the_npz_without_pickle() -> None:
    images, seeds = noise(3, 4, 5), np.arange(3, dtype=np.uint32)
    arrays: dict[str, NDArray[Any]] = {
        "images": images,
        "seeds": seeds,
        "model": np.array("mnist@11"),
    }
    npz = encode_npz(arrays)
    with np.load(io.BytesIO(npz), allow_pickle=False) as loaded:
        assert sorted(loaded) == ["images", "model", "seeds"]
        assert np.array_equal(loaded["images"], images)
        assert loaded["seeds"].dtype == np.uint32
        assert str(loaded["model"]) == "mnist@11"
    assert npz == encode_npz(arrays)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        encode_npz({"x": np.array([object()])})
