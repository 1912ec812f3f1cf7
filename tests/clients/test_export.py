"""Exports: folders that torchvision reads, and that can be continued."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.clients.conftest import MAX_IMAGES_IN_ZIP, Answer, Script
from zserve_client import (
    Client,
    InputError,
    InvalidRequestError,
    NoAnswerError,
    UnexpectedAnswerError,
)
from zserve_client._export import label_folder

N = 2 * MAX_IMAGES_IN_ZIP + 10


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_torchvision_reads_an_export_and_its_labels(client: Client, tmp_path: Path):
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    client.export(tmp_path / "set", 12, labels="all", model="named", seed=5)
    dataset = datasets.ImageFolder(tmp_path / "set")
    assert dataset.classes == ["7", "Dress"]
    assert len(dataset) == 24
    assert dataset.targets == [0] * 12 + [1] * 12
    image, _ = dataset[0]
    assert image.size == (28, 28)


def test_every_image_is_the_image_of_its_seed(client: Client, tmp_path: Path):
    export = client.export(tmp_path / "set", N, seed=2**32 - 3)
    assert (export.n, export.fetched, export.model, export.labels) == (N, N, "mnist@1", [None])
    lines = manifest(tmp_path / "set")
    assert [int(line["seed"]) for line in lines] == [(2**32 - 3 + i) % 2**32 for i in range(N)]
    for i in (0, 3, MAX_IMAGES_IN_ZIP, N - 1):
        assert lines[i]["file"] == f"unlabelled/{i:06d}.png"
        alone = client.generate(1, seed=int(lines[i]["seed"]), numbers=True)
        assert (tmp_path / "set" / lines[i]["file"]).read_bytes() == alone.content
        assert alone.numbers is not None
        z = [float(lines[i][f"z{d}"]) for d in range(3)]
        assert np.allclose(z, alone.numbers["images"][0]["z"], rtol=1e-6)


def test_both_clients_export_the_same(both: Callable[..., list[Any]], url: str, tmp_path: Path):
    one, again = both("export", tmp_path / "set", 5, labels=["Dress"], model="named", seed=1)
    assert (one.fetched, again.fetched) == (5, 0)
    with Client(url) as client:
        client.export(tmp_path / "other", 5, labels=["Dress"], model="named", seed=1)
    assert tree(tmp_path / "set") == tree(tmp_path / "other")


def test_an_export_above_the_limit_of_a_request_is_fetched_in_parts(client: Client, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    client.export(tmp_path / "set", N, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, N), (MAX_IMAGES_IN_ZIP, N), (2 * MAX_IMAGES_IN_ZIP, N), (N, N)]
    assert len(list((tmp_path / "set" / "unlabelled").iterdir())) == N
    assert not list((tmp_path / "set").glob(".*"))


class InterruptedByUserError(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("lost", [0, 7])
def test_an_interrupted_export_continues_to_the_same_files(
    client: Client, tmp_path: Path, lost: int
):
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise InterruptedByUserError

    options: dict[str, Any] = {"labels": ["Dress", "7"], "model": "named", "seed": 9}
    with pytest.raises(InterruptedByUserError):
        client.export(tmp_path / "interrupted", N, progress=interrupt, **options)
    assert not json.loads((tmp_path / "interrupted" / "export.json").read_text())["complete"]
    lines = (tmp_path / "interrupted" / "manifest.csv").read_bytes()
    (tmp_path / "interrupted" / "manifest.csv").write_bytes(lines[: len(lines) - lost])

    continued = client.export(tmp_path / "interrupted", N, **options)
    assert 0 < continued.fetched < continued.n == 2 * N
    client.export(tmp_path / "whole", N, **options)
    assert tree(tmp_path / "interrupted") == tree(tmp_path / "whole")


def test_a_continued_export_keeps_its_weights_and_its_seed(client: Client, tmp_path: Path):
    def interrupt(done: int, total: int) -> None:
        if done:
            raise InterruptedByUserError

    with pytest.raises(InterruptedByUserError):
        client.export(tmp_path / "set", N, progress=interrupt)
    client.promote("mnist", 2)
    try:
        continued = client.export(tmp_path / "set", N)
    finally:
        client.promote("mnist", 1)
    assert continued.model == "mnist@1"
    seeds = [int(line["seed"]) for line in manifest(tmp_path / "set")]
    assert seeds == [(continued.seed + i) % 2**32 for i in range(N)]


@pytest.mark.parametrize("steps", [(3, 7), (7, 50, N), (1, N)])
def test_an_export_grows_to_the_images_of_a_larger_one(
    client: Client, tmp_path: Path, steps: tuple[int, ...]
):
    options: dict[str, Any] = {"labels": ["Dress", "7"], "model": "named", "seed": 9}
    grown, before = tmp_path / "grown", 0
    for n in steps:
        files = tree(grown) if before else {}
        export = client.export(grown, n, **options)
        assert (export.n, export.fetched) == (2 * n, 2 * (n - before))
        now = tree(grown)
        assert all(now[name] == files[name] for name in files if name.endswith(".png"))
        before = n
    client.export(tmp_path / "whole", steps[-1], **options)
    whole, parts = tree(tmp_path / "whole"), tree(grown)
    assert {n: c for n, c in whole.items() if n.endswith(".png")} == {
        n: c for n, c in parts.items() if n.endswith(".png")
    }
    assert sorted(manifest(grown), key=str) == sorted(manifest(tmp_path / "whole"), key=str)
    assert client.export(grown, steps[-1], **options).fetched == 0


def test_an_interrupted_export_grows_and_an_interrupted_growth_continues(
    client: Client, tmp_path: Path
):
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise InterruptedByUserError

    options: dict[str, Any] = {"labels": ["Dress", "7"], "model": "named", "seed": 9}
    for n in (N, N + 60):
        with pytest.raises(InterruptedByUserError):
            client.export(tmp_path / "set", n, progress=interrupt, **options)
    client.export(tmp_path / "set", N + 60, **options)
    client.export(tmp_path / "whole", N + 60, **options)
    images = [
        {name: content for name, content in tree(tmp_path / folder).items() if ".png" in name}
        for folder in ("set", "whole")
    ]
    assert images[0] == images[1]
    assert len(manifest(tmp_path / "set")) == 2 * (N + 60)


def test_an_export_never_shrinks(client: Client, tmp_path: Path):
    client.export(tmp_path / "set", 5)
    before = tree(tmp_path / "set")
    with pytest.raises(InputError, match=r"n 5, not 4.*with a larger n"):
        client.export(tmp_path / "set", 4)
    with pytest.raises(InputError, match="n 5, not 6; temperature"):
        client.export(tmp_path / "set", 6, temperature=0.5)
    assert tree(tmp_path / "set") == before


def test_a_folder_with_other_files_is_not_touched(client: Client, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        client.export(tmp_path, 3)
    client.export(tmp_path / "set", 3, seed=1)
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"another export .*seed 1, not 2"):
        client.export(tmp_path / "set", 3, seed=2)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"labels": "Hat", "model": "named"}, InvalidRequestError),
        ({"labels": "all"}, InputError),
        ({"temperature": 1000.0}, InvalidRequestError),
    ],
)
def test_an_impossible_export_fails_before_it_writes_images(
    client: Client, tmp_path: Path, options: dict[str, Any], kind: type[Exception]
):
    with pytest.raises(kind):
        client.export(tmp_path / "set", 3, **options)
    assert not list(tmp_path.rglob("*.png"))
    with pytest.raises(InputError, match="at least 1"):
        client.export(tmp_path / "set", 0)


def _zip(names: list[str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"picture")
        lines = "".join(f"{name},{i},0.5\r\n" for i, name in enumerate(names))
        archive.writestr("manifest.csv", "file,seed,z0\r\n" + lines)
    return file.getvalue()


_SAMPLE: Answer = (
    200,
    {},
    json.dumps({"model": "mnist@1", "seed": 0, "label": None}).encode(),
)


def _image(body: bytes) -> Answer:
    return (200, {"X-Model": "mnist@1"}, body)


def test_names_in_an_archive_cannot_lead_out_of_the_folder(scripted: Script, tmp_path: Path):
    scripted.answers = [_SAMPLE, _image(_zip(["../../out.png", "/tmp/out.png"]))]  # noqa: S108
    with Client(scripted.url) as client:
        client.export(tmp_path / "a" / "b", 2)
    assert {path.name for path in tmp_path.rglob("*.png")} == {"000000.png", "000001.png"}
    assert all(path.parent == tmp_path / "a/b/unlabelled" for path in tmp_path.rglob("*.png"))


@pytest.mark.parametrize("body", [b"no zip", _zip(["a.png"]), _zip(["a.png", "b.png"])[:-30]])
def test_a_damaged_archive_is_refused_and_not_recorded(
    scripted: Script, tmp_path: Path, body: bytes
):
    scripted.answers = [_SAMPLE, _image(body)]
    with Client(scripted.url) as client, pytest.raises(UnexpectedAnswerError):
        client.export(tmp_path / "set", 2)
    assert not (tmp_path / "set" / "manifest.csv").exists()


def test_images_before_a_failed_connection_are_kept(scripted: Script, tmp_path: Path):
    scripted.answers = [_SAMPLE, _image(_zip([f"{i}.png" for i in range(1000)])), None]
    with Client(scripted.url, retries=0) as client, pytest.raises(NoAnswerError):
        client.export(tmp_path / "set", 1500)
    assert len(manifest(tmp_path / "set")) == 1000


def test_the_folder_of_a_class_has_a_safe_name():
    assert label_folder("T-shirt/top") == "T-shirt-top"
    assert label_folder("../..") == "class"
    assert label_folder("größe 1") == "größe-1"
    assert label_folder(None) == "unlabelled"


def test_the_metadata_of_an_exported_image_reproduce_it(client: Client, url: str, tmp_path: Path):
    client.export(tmp_path / "set", 2, seed=4, labels=["7"], model="named")
    file = tmp_path / "set" / "7" / "000001.png"
    with Image.open(file) as image:
        parameters = json.loads(image.info["parameters"])
    names = ("n", "seed", "temperature", "label", "model")
    again = httpx.get(f"{url}/generate", params={name: parameters[name] for name in names})
    assert again.content == file.read_bytes()
