"""Data sets: folders that torchvision opens, and that can be gone on with."""

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

from tests.clients.conftest import MOST_IN_A_ZIP, Scripted
from zserve_client import (
    Client,
    InputError,
    InvalidRequestError,
    NoAnswerError,
    UnexpectedAnswerError,
)
from zserve_client.export import folder_of

N = 2 * MOST_IN_A_ZIP + 10


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_torchvision_opens_an_export_and_finds_its_labels(client: Client, tmp_path: Path):
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    client.export(tmp_path / "set", 12, labels="all", model="named", seed=5)
    found = datasets.ImageFolder(tmp_path / "set")
    assert found.classes == ["7", "Dress"]
    assert len(found) == 24
    assert found.targets == [0] * 12 + [1] * 12
    image, _ = found[0]
    assert image.size == (28, 28)


def test_every_image_is_what_its_seed_gives(client: Client, tmp_path: Path):
    made = client.export(tmp_path / "set", N, seed=2**32 - 3)
    assert (made.n, made.fetched, made.model, made.labels) == (N, N, "mnist@1", [None])
    lines = manifest(tmp_path / "set")
    assert [int(line["seed"]) for line in lines] == [(2**32 - 3 + i) % 2**32 for i in range(N)]
    for i in (0, 3, MOST_IN_A_ZIP, N - 1):
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


def test_more_than_the_service_gives_at_once_comes_in_pieces(client: Client, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    client.export(tmp_path / "set", N, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, N), (MOST_IN_A_ZIP, N), (2 * MOST_IN_A_ZIP, N), (N, N)]
    assert len(list((tmp_path / "set" / "unlabelled").iterdir())) == N
    assert not list((tmp_path / "set").glob(".*"))


class Cut(Exception):  # noqa: N818 - what happens to it, not what it complains about
    """The user pressed Ctrl-C."""


@pytest.mark.parametrize("lost", [0, 7])
def test_an_export_that_was_cut_goes_on_and_ends_as_if_it_had_not_been(
    client: Client, tmp_path: Path, lost: int
):
    def cut(done: int, total: int) -> None:
        if done > total // 2:
            raise Cut

    wanted: dict[str, Any] = {"labels": ["Dress", "7"], "model": "named", "seed": 9}
    with pytest.raises(Cut):
        client.export(tmp_path / "cut", N, progress=cut, **wanted)
    assert not json.loads((tmp_path / "cut" / "export.json").read_text())["complete"]
    lines = (tmp_path / "cut" / "manifest.csv").read_bytes()
    (tmp_path / "cut" / "manifest.csv").write_bytes(lines[: len(lines) - lost])

    went_on = client.export(tmp_path / "cut", N, **wanted)
    assert 0 < went_on.fetched < went_on.n == 2 * N
    client.export(tmp_path / "whole", N, **wanted)
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")


def test_an_export_goes_on_with_the_weights_and_the_seed_that_it_began_with(
    client: Client, tmp_path: Path
):
    def cut(done: int, total: int) -> None:
        if done:
            raise Cut

    with pytest.raises(Cut):
        client.export(tmp_path / "set", N, progress=cut)
    client.promote("mnist", 2)
    try:
        made = client.export(tmp_path / "set", N)
    finally:
        client.promote("mnist", 1)
    assert made.model == "mnist@1"
    seeds = [int(line["seed"]) for line in manifest(tmp_path / "set")]
    assert seeds == [(made.seed + i) % 2**32 for i in range(N)]


def test_a_folder_with_something_else_in_it_is_left_alone(client: Client, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else in it"):
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
def test_what_the_service_cannot_make_is_said_before_much_is_done(
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


_PROBE: tuple[int, dict[str, str], bytes] = (
    200,
    {},
    json.dumps({"model": "mnist@1", "seed": 0, "label": None}).encode(),
)


def _sent(body: bytes) -> tuple[int, dict[str, str], bytes]:
    return (200, {"X-Model": "mnist@1"}, body)


def test_names_in_an_archive_cannot_lead_out_of_the_folder(scripted: Scripted, tmp_path: Path):
    scripted.answers = [_PROBE, _sent(_zip(["../../out.png", "/tmp/out.png"]))]  # noqa: S108
    with Client(scripted.url) as client:
        client.export(tmp_path / "a" / "b", 2)
    assert {path.name for path in tmp_path.rglob("*.png")} == {"000000.png", "000001.png"}
    assert all(path.parent == tmp_path / "a/b/unlabelled" for path in tmp_path.rglob("*.png"))


@pytest.mark.parametrize("body", [b"no zip", _zip(["a.png"]), _zip(["a.png", "b.png"])[:-30]])
def test_a_damaged_archive_is_refused_and_nothing_is_counted(
    scripted: Scripted, tmp_path: Path, body: bytes
):
    scripted.answers = [_PROBE, _sent(body)]
    with Client(scripted.url) as client, pytest.raises(UnexpectedAnswerError):
        client.export(tmp_path / "set", 2)
    assert not (tmp_path / "set" / "manifest.csv").exists()


def test_a_service_that_goes_away_leaves_what_was_fetched(scripted: Scripted, tmp_path: Path):
    scripted.answers = [_PROBE, _sent(_zip([f"{i}.png" for i in range(1000)])), None]
    with Client(scripted.url, retries=0) as client, pytest.raises(NoAnswerError):
        client.export(tmp_path / "set", 1500)
    assert len(manifest(tmp_path / "set")) == 1000


def test_a_class_may_have_any_name():
    assert folder_of("T-shirt/top") == "T-shirt-top"
    assert folder_of("../..") == "class"
    assert folder_of("größe 1") == "größe-1"
    assert folder_of(None) == "unlabelled"


def test_an_exported_image_says_how_to_get_it_again(client: Client, url: str, tmp_path: Path):
    client.export(tmp_path / "set", 2, seed=4, labels=["7"], model="named")
    file = tmp_path / "set" / "7" / "000001.png"
    with Image.open(file) as image:
        said = json.loads(image.info["parameters"])
    names = ("n", "seed", "temperature", "label", "model")
    again = httpx.get(f"{url}/generate", params={name: said[name] for name in names})
    assert again.content == file.read_bytes()
