"""`zserve.load` computes in process what the service answers with, byte for byte."""

import asyncio
import io
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zserve
from app.off_loop import LARGE_NUMBERS
from tests.api.service import Service, digit, png
from tests.e2e.server import CHECKOUT
from zserve import VAE, load

TINY = ("plain", "labelled", "flow", "exact", "exact-flow")
LABELLED = ("labelled", "flow")


@pytest.fixture(scope="module")
def open_vae(tiny: Path) -> Any:
    return cache(lambda name: load(name, store=tiny))


def arrays(answer: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays of an answer, which must be an npz file."""
    assert answer.status_code == 200, answer.text
    with np.load(io.BytesIO(answer.content)) as content:
        return dict(content)


def images_of(vae: VAE, n: int = 3) -> NDArray[np.uint8]:
    """Return made-up images of the model's size, as npz files have them."""
    channels, height, width = vae.manifest.spec.image.shape
    shape = (n, height, width) if channels == 1 else (n, height, width, channels)
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def forms(images: NDArray[np.uint8], field: str = "image") -> list[tuple[str, Any]]:
    return [(field, (f"{i}.png", png(each), "image/png")) for i, each in enumerate(images)]


# --- the same as the service ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_samples_have_the_bytes_of_the_service(name: str, open_vae: Any, service: Service):
    vae = open_vae(name)
    answer = service.get(f"/generate?model={name}&n=37&seed=4294967290&metadata=false")
    assert vae.png(vae.sample(37, seed=4294967290)) == answer.content
    values = arrays(service.get(f"/generate?model={name}&n=5&seed=7&temperature=0.7&format=npz"))
    assert np.array_equal(vae.draw(5, seed=7, temperature=0.7), values["z"])
    assert np.array_equal(vae.decode(values["z"]), values["images"])


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("label", ["Dress", "7", 0])
def test_samples_of_a_class_have_the_bytes_of_the_service(
    name: str, label: str | int, open_vae: Any, service: Service
):
    vae = open_vae(name)
    query = f"model={name}&n=9&seed=3&label={label}&temperature=0.5"
    values = arrays(service.get(f"/generate?{query}&format=npz"))
    assert np.array_equal(vae.draw(9, seed=3, label=label, temperature=0.5), values["z"])
    assert np.array_equal(vae.sample(9, seed=3, label=label, temperature=0.5), values["images"])


@pytest.mark.parametrize("name", TINY)
def test_encoding_and_reconstructing_give_the_values_of_the_service(
    name: str, open_vae: Any, service: Service
):
    vae = open_vae(name)
    x = images_of(vae)
    path = f"?model={name}&preprocess=none&format=npz"
    encoded = arrays(service.post(f"/encode{path}", files=forms(x)))
    posterior = vae.encode(x)
    for field in ("mu", "logvar", "kl_nats"):
        assert np.array_equal(getattr(posterior, field), encoded[field])
    reconstructed = arrays(service.post(f"/reconstruct{path}", files=forms(x)))
    assert np.array_equal(vae.reconstruct(x), reconstructed["reconstructions"])


@pytest.mark.parametrize("name", TINY)
def test_augmenting_gives_the_variants_of_the_service(name: str, open_vae: Any, service: Service):
    vae = open_vae(name)
    x = images_of(vae, 1)
    path = f"/augment?model={name}&preprocess=none&n=20&seed=9&temperature=0.5&format=npz"
    answer = arrays(service.post(path, files=forms(x)))
    assert np.array_equal(vae.augment(x, 20, seed=9, temperature=0.5), answer["images"])


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("path", ["linear", "slerp"])
def test_a_path_between_an_image_and_a_seed_is_that_of_the_service(
    name: str, path: str, open_vae: Any, service: Service
):
    vae = open_vae(name)
    x = images_of(vae, 1)
    query = f"model={name}&preprocess=none&seed_b=5&steps=6&path={path}&format=npz"
    answer = arrays(service.post(f"/interpolate?{query}", files=forms(x, "a")))
    assert np.array_equal(vae.interpolate(x, 5, 6, path=path), answer["images"])
    ends = vae.latent_of(x), vae.latent_of(5)
    assert np.array_equal(vae.interpolate(*ends, 6, path=path), answer["images"])


@pytest.mark.parametrize("name", TINY)
def test_a_traversal_is_that_of_the_service(name: str, open_vae: Any, service: Service):
    vae = open_vae(name)
    answer = arrays(service.post(f"/traverse?model={name}&seed=2&steps=4&span=2&format=npz"))
    assert np.array_equal(vae.traverse(2, steps=4, span=2), answer["images"])
    answer = arrays(service.post(f"/traverse?model={name}&dims=1,0&format=npz"))
    assert np.array_equal(vae.traverse(dims=(1, 0)), answer["images"])


def test_an_edit_is_that_of_the_service(open_vae: Any, service: Service):
    vae = open_vae("moving")
    assert vae.directions == ("slant", "thickness", "class:a, b")
    path = "/edit?model=moving&seed=2&direction=slant,thickness&by=2,-0.5&format=npz"
    answer = arrays(service.post(path))
    edited = vae.edit(2, {"slant": 2, "thickness": -0.5})
    assert np.array_equal(edited, answer["images"][0])


@pytest.mark.parametrize("name", TINY)
def test_scores_are_those_of_the_service(name: str, open_vae: Any, service: Service):
    vae = open_vae(name)
    x = images_of(vae, 2)
    path = f"/score?model={name}&preprocess=none&seed=4&draws=8&format=npz"
    answer = arrays(service.post(path, files=forms(x)))
    scores = vae.score(x, seed=4, draws=8)
    assert scores.keys() == answer.keys() - {"inputs", "parameters"}
    for field, values in scores.items():
        assert np.array_equal(values, answer[field]), field


def test_files_are_prepared_as_uploads_are(open_vae: Any, service: Service):
    vae = open_vae("plain")
    photo = digit(slant=9, kind="JPEG")
    answer = arrays(service.post("/encode?model=plain&format=npz", files=[("image", photo)]))
    assert np.array_equal(vae.prepare(photo), answer["inputs"])
    assert np.array_equal(vae.encode(vae.prepare(photo)).mu, answer["mu"])


@pytest.mark.parametrize("name", ["mnist", "faces", "fashion-flow"])
def test_shipped_versions_have_the_bytes_of_the_service(name: str, shipped: Service):
    vae = load(f"{name}@production", store=str(CHECKOUT / "weights"))
    label = vae.classes[1]
    answer = shipped.get(
        f"/generate?model={name}&n=4&seed=7&label={label}&metadata=false&columns=2"
    )
    assert vae.png(vae.sample(4, seed=7, label=label), columns=2) == answer.content
    samples = vae.sample(2, seed=1)
    values = arrays(
        shipped.post(f"/encode?model={name}&preprocess=none&format=npz", files=forms(samples))
    )
    assert np.array_equal(vae.encode(samples).mu, values["mu"])
    scores = arrays(
        shipped.post(
            f"/score?model={name}&preprocess=none&seed=1&draws=4&format=npz", files=forms(samples)
        )
    )
    assert np.array_equal(vae.score(samples, seed=1, draws=4)["score"], scores["score"])


# --- forms of images -----------------------------------------------------------------------------


def test_images_are_accepted_in_every_usual_form(open_vae: Any):
    vae = open_vae("plain")
    x = images_of(vae, 2)
    expected = vae.encode(x).mu
    as_floats = x.astype(np.float32) / np.float32(255)
    for form in (x[:, None], x[..., None], as_floats, as_floats.astype(np.float64)[:, None]):
        assert np.array_equal(vae.encode(form).mu, expected)
    assert np.array_equal(vae.encode(x[0]).mu, expected[:1])


def test_tensors_of_torch_are_accepted(open_vae: Any):
    import torch

    vae = open_vae("plain")
    x = images_of(vae, 2)
    tensor = torch.from_numpy(x)[:, None].float() / 255
    assert np.array_equal(vae.encode(tensor).mu, vae.encode(x).mu)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((2, 27, 28), np.uint8), "VAE.prepare"),
        (np.full((28, 28), 255, np.int64), "uint8 in 0..255"),
        (np.full((28, 28), 1.5), "must be in [0, 1]"),
        (np.full((28, 28), np.nan), "must be in [0, 1]"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_the_remedy(x: Any, words: str, open_vae: Any):
    with pytest.raises(ValueError, match=r".") as error:
        open_vae("plain").encode(x)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda vae: vae.sample(1, seed=2**32), "0..4294967295"),
        (lambda vae: vae.sample(-1), "0 or more"),
        (lambda vae: vae.decode(np.zeros((1, 4))), "(batch, 3)"),
        (lambda vae: vae.decode([[0, 0, np.inf]]), "infinite"),
        (lambda vae: vae.interpolate(0, 1, 1), "at least its two ends"),
        (lambda vae: vae.traverse(dims=(3,)), "no dimension 3"),
        (lambda vae: vae.edit(0, {"slant": 1}), "no direction 'slant'"),
        (lambda vae: vae.augment(np.zeros((2, 28, 28), np.uint8)), "pass one"),
    ],
)
def test_wrong_arguments_say_what_is_right(call: Any, words: str, open_vae: Any):
    with pytest.raises(ValueError, match=r".") as error:
        call(open_vae("plain"))
    assert words in str(error.value)


def test_no_images_give_no_images(open_vae: Any):
    vae = open_vae("labelled")
    assert vae.sample(0).shape == (0, 28, 28)
    assert vae.sample(0, label="7").shape == (0, 28, 28)
    assert vae.encode(np.zeros((0, 28, 28), np.uint8)).mu.shape == (0, 3)


def test_a_row_of_many_is_the_row_alone(open_vae: Any):
    for name in TINY:
        vae = open_vae(name)
        many = vae.sample(150, seed=1)
        assert np.array_equal(vae.sample(1, seed=1 + 149)[0], many[149])


@pytest.mark.parametrize("name", ["plain", "flow", "moving"])
def test_many_latents_are_drawn_with_and_without_an_event_loop(name: str, open_vae: Any):
    vae = open_vae(name)
    n = LARGE_NUMBERS // vae.latent + 1
    alone = vae.draw(n, seed=5)

    async def in_a_notebook() -> Any:
        return vae.draw(n, seed=5)

    assert np.array_equal(asyncio.run(in_a_notebook()), alone)
    assert np.array_equal(alone[-1:], vae.draw(1, seed=5 + n - 1))
    if vae.directions:
        assert len(vae.traverse(1, dims=(0,), steps=n)[0]) == n
    if name == "flow":
        labelled = vae.draw(n, seed=5, label="7")
        assert np.array_equal(labelled[-1:], vae.draw(1, seed=5 + n - 1, label="7"))


# --- what it imports -----------------------------------------------------------------------------


def test_an_exact_version_needs_neither_torch_nor_fastapi(tiny: Path):
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"torch", "fastapi", "starlette", "uvicorn"}}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Refuse())
from zserve import load
vae = load("exact", store={str(tiny)!r})
print(vae.sample(2, seed=7).shape, vae.interpolate(1, 2).shape, len(vae.encode(vae.sample(3, seed=1))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].startswith("(2,")


def test_importing_zserve_imports_nothing_else():
    program = "import sys, zserve; print('numpy' in sys.modules, 'app' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert done.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zserve.nothing
