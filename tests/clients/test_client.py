"""Each method of both clients, against a real service."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.service import digit
from tests.clients.conftest import Script
from zserve_client import (
    Client,
    ForbiddenError,
    Grid,
    InputError,
    InvalidRequestError,
    LimitError,
    NoAnswerError,
    NotFoundError,
    ProblemError,
    TooLargeError,
    UnavailableError,
    UploadError,
)
from zserve_client._responses import Reply, read_figure
from zserve_client._results import ModelVersion

Both = Callable[..., list[object]]


def test_both_clients_return_the_bytes_of_the_service(url: str, both: Both):
    expected = httpx.get(f"{url}/generate?n=5&seed=7").content
    for grid in both("generate", 5, seed=7):
        assert isinstance(grid, Grid)
        assert grid.content == expected
        assert (grid.model, grid.seed, grid.seeds) == ("mnist@1", 7, [7, 8, 9, 10, 11])
        assert grid.parameters is not None
        assert grid.parameters["seed"] == 7


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("generate", [3], {"seed": 1, "numbers": True}),
        ("reconstruct", [digit()], {"numbers": True}),
        ("interpolate", [digit(), 7], {"numbers": True}),
        ("traverse", [7], {"dims": [0, 2], "numbers": True}),
        ("traverse", [7], {"directions": "slant", "model": "moving", "numbers": True}),
        ("edit", [digit(), {"slant": 2, "thickness": -0.5}], {"model": "moving", "numbers": True}),
        ("augment", [digit(), 4], {"seed": 3, "numbers": True}),
        ("decode", [[[0.0, 1.0, -1.0]]], {"numbers": True}),
        ("encode", [[digit(), digit(5)]], {}),
        ("model", ["mnist@2"], {}),
        ("models", [], {}),
        ("live", [], {}),
        ("ready", [], {}),
        ("wait_until_ready", [], {}),
    ],
)
def test_both_clients_return_the_same_result(
    both: Both, name: str, arguments: list[object], options: dict[str, object]
):
    one, other = both(name, *arguments, **options)
    if hasattr(one, "content"):
        assert one.content == other.content  # type: ignore[attr-defined]
        assert one.numbers == other.numbers  # type: ignore[attr-defined]
        assert one.numbers["model"] == one.model  # type: ignore[attr-defined]
    else:
        assert one == other


def test_edited_images_and_rows_along_directions_can_be_cut_apart(client: Client):
    row = client.edit([digit(), digit(5)], {"slant": 1}, model="moving", scale=2)
    alone = client.edit(digit(5), {"slant": 1}, model="moving", scale=2)
    assert [image.size for image in row.images] == [(56, 56), (56, 56)]
    assert row.images[1].tobytes() == alone.images[0].tobytes()
    rows = client.traverse(7, directions=["thickness", "slant"], steps=3, model="moving")
    assert rows.directions == ["thickness", "slant"]
    assert rows.array.shape == (2, 3, 28, 28)
    assert client.edit(7, {"slant": 0}, model="moving").content
    directions = {model.name: list(model.directions) for model in client.models()}
    assert directions["moving"] == ["slant", "thickness", "class:a, b"]
    assert directions["mnist"] == []


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_each_image_of_a_grid_is_the_image_of_its_own_seed(client: Client, n: int, scale: int):
    grid = client.generate(n, seed=4_294_967_294, scale=scale)
    assert grid.array.shape == (n, 28 * scale, 28 * scale)
    assert grid.seeds is not None
    for image, seed in zip(grid.images, grid.seeds, strict=True):
        assert image.tobytes() == client.generate(1, seed=seed, scale=scale).image.tobytes()


def test_a_seed_that_the_service_chose_reproduces_the_images(client: Client):
    grid = client.generate(4, numbers=True)
    assert grid.seed is not None
    assert client.generate(4, seed=grid.seed).content == grid.content
    assert grid.numbers is not None
    assert [image["seed"] for image in grid.numbers["images"]] == grid.seeds


def test_reconstructions_come_with_the_uploads_as_the_model_sees_them(client: Client):
    rows = client.reconstruct([digit(), digit(9), digit(20)], numbers=True)
    assert len(rows.inputs) == len(rows.images) == 3
    assert rows.array.shape == (3, 28, 28)
    assert np.asarray(rows.inputs[0]).max() > 200
    assert rows.numbers is not None
    assert all(image["kl_nats"] >= 0 for image in rows.numbers["images"])


def test_decoding_the_mean_of_an_encoding_gives_the_reconstruction(client: Client):
    encodings = client.encode([digit(), digit(9)])
    assert encodings.array.shape == (2, 3)
    assert np.allclose(encodings.array, encodings.mu)
    reconstructed = client.reconstruct([digit(), digit(9)]).array
    for z in (encodings, encodings.mu, encodings.array):
        assert (client.decode(z).array == reconstructed).all()


def test_an_interpolation_between_seeds_starts_and_ends_at_their_images(client: Client):
    walk = client.interpolate(1, 2, steps=5)
    ends = client.generate(2, seed=1).array
    assert walk.array.shape == (5, 28, 28)
    assert (walk.array[[0, -1]] == ends).all()
    assert [np.asarray(end).tolist() for end in walk.ends] == ends.tolist()


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_an_animation_has_the_frames_of_the_row(client: Client, kind: str):
    row = client.interpolate(1, 2, steps=4)
    animation = client.interpolate(1, 2, steps=4, format=kind)  # type: ignore[arg-type]
    assert (animation.array == row.array).all()
    assert animation.ends == []


@pytest.mark.parametrize("metadata", [True, False])
def test_a_traversal_has_a_row_for_each_dimension(client: Client, metadata: bool):
    rows = client.traverse(dims=[2, 0], steps=5, metadata=metadata)
    assert rows.array.shape == (2, 5, 28, 28)
    assert rows.dims == ([2, 0] if metadata else [])
    middle = client.decode([0.0, 0.0, 0.0]).array[0]
    assert (rows.array[:, 2] == middle).all()


def test_an_image_may_be_bytes_a_path_a_pillow_image_or_an_array(client: Client, drawing: Path):
    image = Image.open(io.BytesIO(digit()))
    sources: list[Any] = [digit(), drawing, str(drawing), image, np.asarray(image)]
    assert len({client.reconstruct(source).content for source in sources}) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.png", "cannot read nowhere.png: No such file"),
        (3.5, "float is not an image"),
        (np.zeros((4, 4), np.float32), "float32 and shape"),
    ],
)
def test_an_argument_that_is_no_image_is_refused_without_a_request(source: object, words: str):
    with Client("http://127.0.0.1:9") as client, pytest.raises(InputError, match=words):
        client.reconstruct(source)  # type: ignore[arg-type]


def test_a_notebook_shows_a_result_as_an_image(client: Client, tmp_path: Path):
    png = client.generate(2, seed=1)
    assert png._repr_png_() == png.content == png.save(tmp_path / "two.png").read_bytes()
    assert png._repr_html_() is None
    gif = client.interpolate(1, 2, format="gif")
    assert gif._repr_png_() is None
    assert (gif._repr_html_() or "").startswith('<img src="data:image/gif;base64,R0lGOD')
    assert client.model()._repr_markdown_() == "# mnist@1\n"
    assert len(repr(png)) < 200


def test_a_label_is_the_name_or_the_index_of_a_class(client: Client):
    by_name = client.generate(2, seed=1, model="named", label="dress", numbers=True)
    assert client.generate(2, seed=1, model="named", label=0).content == by_name.content
    assert by_name.numbers is not None
    assert by_name.numbers["label"] == "Dress"


def test_the_models_are_listed_with_their_metrics(client: Client):
    mnist, _, named = client.models()
    assert (mnist.ref, mnist.default, mnist.versions) == ("mnist@1", True, [1, 2])
    assert (mnist.channels, mnist.height, mnist.width, mnist.latent) == (1, 28, 28, 3)
    assert mnist.metrics["test_neg_elbo"].value == 12.5
    assert named.classes == ["Dress", "7"]
    assert client.model("named").classes == ["Dress", "7"]
    assert client.model().ref == "mnist@1"
    assert client.figure("samples", "mnist@2").image.size == (5, 5)


def test_a_version_is_promoted_and_rolled_back(client: Client):
    assert client.promote("mnist", 2) == {"production": 2}
    try:
        assert client.model("mnist").ref == "mnist@2"
        assert client.generate(1).model == "mnist@2"
    finally:
        assert client.promote("mnist", 1) == {"production": 1}


@pytest.mark.parametrize("suffix", ["zip", "npz", "png", "json"])
def test_a_download_is_the_bytes_of_the_service(url: str, both: Both, tmp_path: Path, suffix: str):
    expected = httpx.get(f"{url}/generate?n=9&seed=3&format={suffix}").content
    path = tmp_path / f"nine.{suffix}"
    for _ in both("download", path, 9, seed=3):
        assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_download_leaves_an_existing_file_as_it_was(client: Client, tmp_path: Path):
    path = tmp_path / "old.zip"
    path.write_text("old")
    with pytest.raises(LimitError):
        client.download(path, 10**9)
    with pytest.raises(InputError, match="none of the suffixes"):
        client.download(tmp_path / "samples.bmp", 3)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("call", "kind", "status", "slug"),
    [
        (lambda c: c.generate(3, model="nothing"), NotFoundError, 404, "model-not-found"),
        (lambda c: c.model("mnist@9"), NotFoundError, 404, "version-not-found"),
        (lambda c: c.figure("none"), NotFoundError, 404, "figure-not-found"),
        (lambda c: c.model("a b"), ProblemError, 422, "invalid-reference"),
        (lambda c: c.generate(257), LimitError, 422, "limit-exceeded"),
        (lambda c: c.generate(0), LimitError, 422, "limit-exceeded"),
        (lambda c: c.generate(1, seed="x"), InvalidRequestError, 422, "invalid-parameter"),
        (lambda c: c.generate(1, label="Hat", model="named"), InvalidRequestError, 422, None),
        (lambda c: c.reconstruct(bytes(21 * 2**20)), TooLargeError, 413, "body-too-large"),
        (lambda c: c.reconstruct(b"no image"), UploadError, 415, "not-an-image"),
        (lambda c: c.reconstruct(digit()[:-40]), UploadError, 422, "corrupt-image"),
        (lambda c: c.reconstruct([]), UploadError, 422, "wrong-field"),
        (lambda c: c.decode([[0.0]]), InvalidRequestError, 422, "invalid-parameter"),
    ],
)
def test_each_problem_of_the_service_raises_its_exception(
    client: Client,
    call: Callable[[Client], object],
    kind: type[ProblemError],
    status: int,
    slug: str | None,
):
    with pytest.raises(kind) as caught:
        call(client)
    problem = caught.value
    assert problem.status == status
    assert slug in {problem.type, None}
    assert problem.request_id
    assert problem.remedy
    assert str(problem) == f"{problem.detail}; {problem.remedy}"


def test_a_limit_error_has_the_limit(client: Client):
    with pytest.raises(LimitError) as caught:
        client.generate(257)
    assert caught.value.limit == 256


def test_both_clients_raise_the_same_problem(url: str, both: Both):
    with pytest.raises(NotFoundError):
        both("generate", 1, model="nothing")


def test_promotion_without_the_token_is_forbidden(url: str):
    with Client(url) as client, pytest.raises(ForbiddenError) as caught:
        client.promote("mnist", 2)
    assert caught.value.status == 401


def test_a_missing_service_is_one_line():
    with (
        Client("http://127.0.0.1:9", retries=0) as client,
        pytest.raises(NoAnswerError, match="is the server running"),
    ):
        client.ready()


def test_retries_and_the_longest_wait_are_options_of_the_client(scripted: Script):
    scripted.answers = [(503, {"Retry-After": "0"}, b"{}")]
    with Client(scripted.url, retries=2) as client, pytest.raises(UnavailableError):
        client.generate(1)
    assert len(scripted.paths) == 3
    scripted.answers = [(503, {"Retry-After": "2"}, b"{}")]
    with Client(scripted.url, longest_wait_s=1) as client, pytest.raises(UnavailableError):
        client.generate(1)
    assert len(scripted.paths) == 4


@pytest.mark.parametrize("file", ["weights.safetensors", "exact.safetensors"])
def test_a_figure_names_the_checksum_of_what_its_version_computes_with(file: str):
    manifest = {"files": {file: {"sha256": "ab" * 32}, "card.md": {"sha256": "cd" * 32}}}
    version = ModelVersion(
        name="mnist", version=1, aliases=(), classes=(), card="", figures=(), manifest=manifest
    )
    reply = Reply("/models/mnist/1/figures/samples.png", 200, {}, b"png")
    assert read_figure(reply, version).weights_sha256 == "ab" * 32
