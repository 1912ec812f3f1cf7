"""/augment under a flow: variants are drawn where the encoder puts the upload, before the flow."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.sampling import latents
from app.sampling.posterior import sample_posterior
from app.settings import Settings
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.spec import ModelRef
from model_store.store import Store
from model_store.vae import VAE
from tests.api.service import (
    Service,
    digit,
    pixels,
    publish_labelled_before_a_flow,
    started,
    tiles,
)
from tests.unit.exact_versions import publish_exact

SEEDS = latents.consecutive_seeds(2**32 - 1, 3)
QUERY = f"n=3&seed={2**32 - 1}&temperature=0.5&format=json"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    publish_exact(root, "exactflow", kind="flow")
    return root


@pytest.fixture(scope="module")
def vae(store: Path) -> VAE:
    return publish_labelled_before_a_flow(store, "floatflow")


@pytest.fixture(scope="module")
def flows(store: Path, vae: VAE) -> Iterator[Service]:
    settings = Settings(store=store, model="floatflow", device="cpu", log_requests=False)
    assert vae.spec.prior
    with started(settings) as service:
        yield service


def seen(service: Service, png: bytes) -> Any:
    """Return the upload as the model sees it, (1, height, width) in 0..255."""
    answer = service.post("/encode?format=npz", files={"image": png})
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        return arrays["inputs"]


def test_variants_are_drawn_before_the_flow_and_mapped_by_it(flows: Service, vae: VAE) -> None:
    body = flows.post(f"/augment?{QUERY}", files={"image": digit(9)}).json()
    with torch.no_grad():
        mu, logvar = vae.posterior(torch.tensor(seen(flows, digit(9)))[None] / 255)
        eps = torch.tensor(latents.standard_normal(SEEDS, vae.spec.latent))
        u = vae.to_u(mu + 0.5 * torch.exp(0.5 * logvar) * eps)
    np.testing.assert_allclose(body["mu"], mu[0], atol=1e-5)
    np.testing.assert_allclose(body["logvar"], logvar[0], atol=1e-5)
    np.testing.assert_allclose([image["z"] for image in body["images"]], u, atol=1e-4)
    encoded = flows.post("/encode", files={"image": digit(9)}).json()["images"][0]
    assert not np.allclose(body["mu"], encoded["mu"], atol=1e-3)


def test_decoding_the_z_of_variants_under_a_flow_gives_their_images(flows: Service) -> None:
    images = flows.post(f"/augment?{QUERY}", files={"image": digit(9)}).json()["images"]
    z = [image["z"] for image in images]
    decoded = flows.post("/decode?format=json", json={"z": z}).json()["images"]
    assert [image["png"] for image in decoded] == [image["png"] for image in images]
    single = flows.post("/augment?n=1&seed=1&temperature=0.5", files={"image": digit(9)})
    sheet = flows.post("/augment?n=3&seed=0&temperature=0.5", files={"image": digit(9)})
    assert np.array_equal(pixels(single), tiles(pixels(sheet))[1])


def test_at_temperature_zero_every_variant_under_a_flow_is_the_reconstruction(
    flows: Service,
) -> None:
    expected = tiles(pixels(flows.post("/reconstruct", files={"image": digit(9)})))[1]
    variants = flows.post("/augment?n=4&temperature=0", files={"image": digit(9)})
    for tile in tiles(pixels(variants)):
        assert np.abs(tile.astype(int) - expected.astype(int)).max() <= 1


def test_variants_of_an_exact_version_have_the_bits_of_the_arithmetic(
    flows: Service, store: Path
) -> None:
    stored = Store(store).load(ModelRef.parse("exactflow@1"))
    assert stored.network
    model = ExactModel(
        stored.network, stored.manifest.spec, lambda function, _: NumpyExecutor(function)
    )
    levels = np.arange(36, dtype=np.uint8).reshape(6, 6) * 7
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "png")
    query = f"{QUERY}&model=exactflow&preprocess=none"
    body = flows.post(f"/augment?{query}", files={"image": file.getvalue()}).json()
    mu, logvar = model.posterior(levels[None, None])
    eps = latents.standard_normal(SEEDS, 5)
    u = model.to_u(sample_posterior(mu[0], logvar[0], eps, 0.5))
    assert np.array_equal(np.array(body["mu"], np.float32), mu[0])
    drawn = np.array([image["z"] for image in body["images"]], np.float32)
    assert np.array_equal(drawn, u)
