"""From training images to a PNG over HTTP: train, publish, serve and call, as a user does."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_store.spec import ModelRef
from model_store.store import Store
from tests.e2e.server import run, serving
from tests.training.conftest import write_mnist


@dataclass(frozen=True)
class Trained:
    """A store with a model of two epochs, and the address of its server."""

    store: Path
    url: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("e2e")
    store = folder / "store"
    write_mnist(folder / "data", train=6000, test=200)
    done = run(
        *("-m", "training", "train", "--preset", "lab", "--epochs", "2", "--threads", "1"),
        *("--data-dir", folder / "data", "--store", store, "--name", "e2e"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with serving(store, folder / "server.log", ZSERVE_MODEL="e2e") as url:
        yield Trained(store, url)


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).line([(90, 40), (90, 160)], fill=0, width=22)
    path = tmp_path_factory.mktemp("drawing") / "stroke.png"
    image.save(path)
    return path


def size(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image.size


def test_training_published_a_version_that_passes_every_check(trained: Trained) -> None:
    manifest = Store(trained.store).verify(ModelRef.parse("e2e@1"))
    assert manifest.training.epochs == 2


def test_it_is_live_ready_and_listed(trained: Trained) -> None:
    assert httpx.get(f"{trained.url}/healthz").status_code == 200
    assert httpx.get(f"{trained.url}/readyz").json()["model"] == "e2e@1"
    assert httpx.get(f"{trained.url}/models").json()["models"][0]["name"] == "e2e"
    figures = httpx.get(f"{trained.url}/models/e2e/production").json()["figures"]
    assert "samples" in figures
    for path in figures.values():
        assert min(size(httpx.get(trained.url + path).content)) > 28


def test_every_endpoint_answers_with_a_png_of_the_right_size(
    trained: Trained, drawing: Path
) -> None:
    image = drawing.read_bytes()
    calls = {
        "/generate?n=16&seed=7": ({}, (122, 122)),
        "/reconstruct": ({"image": image}, (32, 62)),
        "/interpolate?seed_b=7": ({"a": image}, (302, 32)),
        "/traverse?dims=0,1": ({"image": image}, (212, 62)),
    }
    for path, (files, expected) in calls.items():
        answer = httpx.post(trained.url + path, files=files or None)
        assert size(answer.content) == expected, path
        assert answer.headers["x-model"] == "e2e@1"


def test_the_reconstruction_of_a_drawing_looks_like_it(trained: Trained, drawing: Path) -> None:
    answer = httpx.post(f"{trained.url}/reconstruct", files={"image": drawing.read_bytes()})
    grid = np.asarray(Image.open(io.BytesIO(answer.content)), np.float64)
    seen, made = grid[2:30, 2:30], grid[32:60, 2:30]
    assert seen.max() > 200
    assert np.corrcoef(seen.ravel(), made.ravel())[0, 1] > 0.5


def test_an_error_is_a_problem_over_real_http_too(trained: Trained) -> None:
    answer = httpx.get(f"{trained.url}/generate?n=1000000000")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    png = {"Content-Type": "image/png"}
    too_large = httpx.post(f"{trained.url}/reconstruct", content=bytes(21 * 2**20), headers=png)
    assert too_large.status_code == 413
    chunked = httpx.post(
        f"{trained.url}/reconstruct",
        content=(bytes(2**20) for _ in range(21)),
        headers=png,
    )
    assert chunked.status_code == 413
    assert httpx.get(f"{trained.url}/readyz").status_code == 200


def test_another_process_gives_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    path = "/generate?n=20&seed=4294967290"
    with serving(trained.store, tmp_path / "log", ZSERVE_MODEL="e2e") as other:
        assert httpx.get(other + path).content == httpx.get(trained.url + path).content


def test_every_client_script_saves_its_png(trained: Trained, drawing: Path, tmp_path: Path) -> None:
    calls: dict[str, list[str | Path]] = {
        "generate": ["--n", "16", "--seed", "7"],
        "reconstruct": [drawing, drawing],
        "interpolate": [drawing, "7", "--steps", "4", "--path", "slerp"],
        "traverse": ["--image", drawing, "--steps", "5"],
        "models": ["--figure", "samples"],
    }
    for script, arguments in calls.items():
        out = tmp_path / f"{script}.png"
        command = [f"clients/examples/{script}.py", *arguments, "--url", trained.url, "--out", out]
        done = run(*command)
        assert done.returncode == 0, done.stderr
        assert "e2e@1" in done.stdout
        assert size(out.read_bytes())
        out.unlink()


def test_an_interpolation_can_be_saved_as_a_gif(
    trained: Trained, drawing: Path, tmp_path: Path
) -> None:
    out = tmp_path / "walk.gif"
    options: list[str | Path] = ["--steps", "5", "--scale", "2", "--url", trained.url, "--out", out]
    done = run("clients/examples/interpolate.py", drawing, "7", *options)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as image:
        assert image.format == "GIF"
        assert image.size == (56, 56)
        assert image.n_frames == 5 + 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("script", ["generate", "reconstruct", "interpolate", "traverse", "models"])
def test_a_client_script_reports_an_error_in_one_line(
    trained: Trained, drawing: Path, tmp_path: Path, script: str
) -> None:
    images = [drawing] * {"reconstruct": 1, "interpolate": 2}.get(script, 0)
    command: list[str | Path] = [f"clients/examples/{script}.py", *images]
    command += ["--out", tmp_path / "out.png", "--url"]
    unreachable = run(*command, "http://127.0.0.1:9")
    assert unreachable.returncode == 1
    assert "is the server running?" in unreachable.stderr
    assert unreachable.stderr.count("\n") == 1
    if script != "models":
        refused = run(*command, trained.url, "--model", "nothing")
        assert refused.returncode == 1
        assert refused.stderr.startswith("no model 'nothing' in the store")
        assert refused.stderr.count("\n") == 1
