"""An imported pair of ONNX graphs over HTTP: what it computes, and that it says that it is float."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from app.settings import Settings
from model_store.__main__ import main
from tests.api.service import Service, started
from tests.unit.onnx_models import decoder, encoder, expected_mean, expected_posterior, write

MODEL = "model=mine@1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("imported")
    store = folder / "store"
    assert main(["import", "--store", str(store), *write(folder, encoder(), decoder())]) == 0
    settings = Settings(store=store, model="mine", device="cpu", log_requests=False)
    with started(settings) as service:
        yield service


def test_latents_are_decoded_by_the_graph(service: Service) -> None:
    z = [[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]]
    answer = service.post(f"/decode?{MODEL}&format=json&pixels=true", json={"z": z})
    assert answer.status_code == 200, answer.text
    pixels = np.array([image["pixels"] for image in answer.json()["images"]])
    expected = np.rint(255 * expected_mean(np.array(z, np.float32)))
    assert np.abs(pixels - expected.reshape(pixels.shape)).max() <= 1


def test_uploads_are_encoded_by_the_graph(service: Service) -> None:
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG")
    answer = service.post(
        f"/encode?{MODEL}&preprocess=none",
        content=png.getvalue(),
        headers={"content-type": "image/png"},
    )
    assert answer.status_code == 200, answer.text
    mu, logvar = expected_posterior(grey[None].astype(np.float32) / 255)
    (image,) = answer.json()["images"]
    np.testing.assert_allclose(image["mu"], mu[0], atol=1e-5)
    np.testing.assert_allclose(image["logvar"], logvar[0], atol=1e-5)


@pytest.mark.parametrize(
    "path",
    [
        "/generate?n=3&seed=7&format=json",
        "/generate?n=20&seed=7",
        "/interpolate?seed_a=1&seed_b=2",
        "/traverse?seed=1&dims=0,1",
    ],
)
def test_every_call_serves_it_and_gives_the_same_again(service: Service, path: str) -> None:
    first, again = (service.post(f"{path}&{MODEL}") for _ in range(2))
    assert first.status_code == 200, first.text
    assert first.content == again.content


def test_an_image_does_not_depend_on_the_others_of_its_request(service: Service) -> None:
    images = service.get(f"/generate?n=5&seed=7&format=json&pixels=true&{MODEL}").json()["images"]
    alone = service.get(f"/generate?n=1&seed=9&format=json&pixels=true&{MODEL}").json()["images"]
    assert images[2]["pixels"] == alone[0]["pixels"]


def test_it_says_that_it_is_computed_in_float(service: Service) -> None:
    entry = service.get("/models/mine/1").json()
    assert entry["manifest"]["arithmetic"] == "float"
    assert entry["manifest"]["spec"]["network"]["kind"] == "onnx"
    assert "arithmetic: float" in entry["card"]
    pinned = service.get(f"/generate?n=1&seed=7&{MODEL}")
    assert pinned.headers["cache-control"] == "no-cache"
