"""Compression by both clients and by the command, against a real service with an exact version."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.server import serving
from tests.unit.arithmetic.networks import images
from tests.unit.exact_versions import publish_compressing
from zserve_client import (
    AsyncClient,
    Client,
    CompressedImages,
    InputError,
    InvalidRequestError,
    NotFoundError,
    UploadError,
)
from zserve_client.cli.__main__ import main

LEVELS = images("conv", 6)[:, 0]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    publish_compressing(folder / "store", "grey", "conv")
    publish_compressing(folder / "store", "rgb", "colour")
    variables = {"ZSERVE_MODEL": "grey", "ZSERVE_DEVICE": "cpu"}
    with serving(folder / "store", folder / "server.log", **variables) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def save_pngs(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(len(LEVELS))]
    for path, level in zip(paths, LEVELS, strict=True):
        Image.fromarray(level).save(path)
    return paths


def test_images_come_back_as_they_were(client: Client, tmp_path: Path):
    file = client.compress(LEVELS)
    assert isinstance(file, CompressedImages)
    assert file.model == "grey@1"
    assert file.bits_per_dimension == pytest.approx(8 * len(file.content) / LEVELS.size, abs=1e-4)
    path = file.save(tmp_path / "six.zsi")
    for source in (file, file.content, path, str(path)):
        back = client.decompress(source)
        assert back.model == "grey@1"
        assert np.array_equal(back.array, LEVELS)
    assert [image.size for image in back.images] == [(8, 9)] * 6


def test_every_source_of_images_gives_the_same_file(client: Client, tmp_path: Path):
    expected = client.compress(LEVELS).content
    paths = save_pngs(tmp_path)
    for sources in (
        paths,
        [path.read_bytes() for path in paths],
        [Image.fromarray(level) for level in LEVELS],
        list(LEVELS),
    ):
        assert client.compress(sources).content == expected
    assert client.compress(LEVELS[0]).content == client.compress(LEVELS[:1]).content


def test_colour_images_come_back_as_they_were(client: Client):
    levels = np.moveaxis(images("colour", 3), 1, -1)
    back = client.decompress(client.compress(levels, model="rgb@1"))
    assert np.array_equal(back.array, levels)


def test_the_asynchronous_client_gives_the_same(client: Client, url: str):
    async def there_and_back() -> tuple[bytes, bytes]:
        async with AsyncClient(url) as async_client:
            file = await async_client.compress(LEVELS)
            return file.content, (await async_client.decompress(file)).content

    file = client.compress(LEVELS)
    expected = (file.content, client.decompress(file).content)
    assert asyncio.run(there_and_back()) == expected


def test_errors_say_what_to_do(client: Client, tmp_path: Path):
    with pytest.raises(UploadError, match="the model takes 8x9 pixels in grey"):
        client.compress(np.zeros((2, 5, 5), np.uint8))
    with pytest.raises(InputError, match="send uint8"):
        client.compress(LEVELS / 255)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        client.compress(LEVELS, model="none")
    with pytest.raises(UploadError, match="not a file of images compressed"):
        client.decompress(b"hello")
    with pytest.raises(InputError, match=r"cannot read .*none\.zsi"):
        client.decompress(tmp_path / "none.zsi")
    with pytest.raises(UploadError) as caught:
        client.decompress(client.compress(LEVELS).content[:-1])
    assert not isinstance(caught.value, InvalidRequestError)


def test_the_command_compresses_and_decompresses(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("ZSERVE_URL", url)
    monkeypatch.chdir(tmp_path)
    paths = save_pngs(tmp_path)
    main(["compress", *map(str, paths), "--out", "six.zsi"])
    size = (tmp_path / "six.zsi").stat().st_size
    assert capsys.readouterr().out == (
        f"six.zsi: {size} bytes, {8 * size / LEVELS.size:.3f} bits per dimension, by grey@1\n"
    )
    main(["decompress", "six.zsi", "--out", "back"])
    assert capsys.readouterr().out == "back: 6 images, by grey@1\n"
    written = sorted((tmp_path / "back").iterdir())
    assert [path.name for path in written] == [f"{i:06d}.png" for i in range(6)]
    for path, level in zip(written, LEVELS, strict=True):
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), level)


def test_the_command_names_and_skips_files_that_do_not_fit(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZSERVE_URL", url)
    monkeypatch.chdir(tmp_path)
    for i in (0, 1):
        Image.fromarray(LEVELS[i]).save(f"{i}.png")
    Image.new("L", (9, 9)).save("small.png")
    Path("notes.txt").write_text("no image")
    with pytest.raises(SystemExit, match="3 of 5 files were skipped"):
        main(["compress", "0.png", "small.png", "gone.png", "notes.txt", "1.png"])
    skipped = capsys.readouterr().err.splitlines()
    assert sorted(line.split(" is skipped")[0] for line in skipped) == [
        "zserve: gone.png",
        "zserve: notes.txt",
        "zserve: small.png",
    ]
    main(["decompress", "images.zsi", "--out", "back"])
    for i in (0, 1):
        assert np.array_equal(np.asarray(Image.open(f"back/00000{i}.png")), LEVELS[i])
