"""/score: likelihood, typicality and verdict of uploads."""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from model_store.arithmetic.golden import executor_maker
from model_store.arithmetic.model import ExactModel
from model_store.spec import MLP, Flow, ModelRef, ModelSpec
from model_store.store import Store
from model_store.typicality import LEVELS
from tests.api.service import Service, digit, problem, publish, started
from tests.api.typical_versions import IMAGES, SIDE, black, noise, publish_typical
from tests.unit.arithmetic.networks import SPECS, exact_network

FLOW = ModelSpec(network=MLP(hidden=(8,)), latent=3, prior=Flow(couplings=2, hidden=4))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scored")
    for kind in ("mlp", "flow"):
        publish_typical(root, kind)
    publish(root, "plain")
    publish(root, "float-flow", spec=FLOW)
    return root


@pytest.fixture(scope="module")
def scored(root: Path) -> Iterator[Service]:
    settings = Settings(
        store=root, model="flow", device="cpu", log_requests=False, max_score_draws=600
    )
    with started(settings) as service:
        yield service


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("image", ("image.png", content, "image/png")) for content in contents]


@pytest.mark.parametrize("model", ["mlp", "flow"])
def test_an_image_like_the_data_is_typical_and_a_black_one_is_out_of_distribution(
    scored: Service, model: str
) -> None:
    answer = scored.post(
        f"/score?model={model}&seed=1&preprocess=none", files=form(noise(101), black())
    )
    assert answer.status_code == 200, answer.text
    usual, foreign = answer.json()["images"]
    assert usual["verdict"] == "typical"
    assert 0 <= usual["quantile"] < 0.99
    assert (foreign["verdict"], foreign["quantile"]) == ("out_of_distribution", 1)
    assert foreign["score"] > usual["score"]


@pytest.mark.parametrize("model", ["mlp", "flow", "plain", "float-flow"])
def test_elbo_and_likelihood_are_bounds_in_the_right_order(scored: Service, model: str) -> None:
    image = noise(3) if model in SPECS else digit()
    answer = scored.post(f"/score?model={model}&seed=7&draws=200", files=form(image)).json()
    (scores,) = answer["images"]
    assert (answer["seed"], answer["draws"]) == (7, 200)
    assert scores["elbo_nats"] <= -scores["nll_nats"]
    assert 1 <= scores["effective_samples"] <= 200
    parts = scores["reconstruction_nats"] + scores["kl_nats"]
    assert scores["elbo_nats"] == pytest.approx(-parts, rel=1e-4)
    pixels = SIDE * SIDE if model in SPECS else 784
    assert scores["bits_per_dimension"] == pytest.approx(scores["nll_nats"] / pixels / math.log(2))


def test_the_kl_of_a_model_without_a_flow_is_near_the_exact_one(scored: Service) -> None:
    files = form(noise(3))
    exact = scored.post("/encode?model=mlp", files=files).json()["images"][0]["kl_nats"]
    drawn = scored.post("/score?model=mlp&seed=7&draws=600", files=files).json()["images"][0]
    assert drawn["kl_nats"] == pytest.approx(exact, abs=0.4)


def test_the_estimates_are_those_of_the_equations(scored: Service) -> None:
    """Compute one draw by hand: ln w = ln p(x | z) + ln p(z) - ln q(z | x)."""
    model = ExactModel(exact_network("flow"), SPECS["flow"], executor_maker("numpy"))
    x = IMAGES[5:6]
    mu, logvar = model.posterior(x)
    seed_z = np.array(scored.get("/generate?n=1&seed=9&format=json").json()["images"][0]["z"])
    z = (mu + np.exp(0.5 * logvar) * seed_z).astype(np.float32)
    log_px, log_pz = model.log_joint(x, z)
    log_q = (-0.5 * seed_z**2 - 0.5 * logvar - 0.5 * math.log(2 * math.pi)).sum()
    answer = scored.post("/score?seed=9&draws=1&preprocess=none", files=form(noise(5))).json()
    expected = float(log_px[0] + log_pz[0] - log_q)
    assert answer["images"][0]["elbo_nats"] == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_alone_and_among_others(scored: Service) -> None:
    alone = scored.post("/score?seed=5&draws=20", files=form(noise(1)))
    again = scored.post("/score?seed=5&draws=20", files=form(noise(1)))
    others = scored.post("/score?seed=4&draws=20", files=form(noise(0), noise(1), noise(2)))
    assert alone.content == again.content
    assert alone.headers["x-seed"] == "5"
    assert others.json()["images"][1] == alone.json()["images"][0]


def test_a_seed_is_chosen_and_returned(scored: Service) -> None:
    first = scored.post("/score?draws=8", files=form(noise(1)))
    seed = first.headers["x-seed"]
    assert scored.post(f"/score?draws=8&seed={seed}", files=form(noise(1))).content == first.content


def test_numbers_are_answered_as_arrays_too(scored: Service) -> None:
    json = scored.post("/score?seed=5&draws=8", files=form(noise(1), noise(2))).json()["images"]
    answer = scored.post("/score?seed=5&draws=8&format=npz", files=form(noise(1), noise(2)))
    arrays = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert arrays["nll_nats"].tolist() == [image["nll_nats"] for image in json]
    assert arrays["verdict"].tolist() == [image["verdict"] for image in json]
    assert arrays["inputs"].shape == (2, SIDE, SIDE)


def test_a_version_without_a_table_says_why_it_has_no_verdict(scored: Service) -> None:
    answer = scored.post("/score?model=plain&seed=1", files=form(digit())).json()
    assert "typicality.json" in answer["notice"]
    assert "republish" in answer["notice"]
    assert answer["images"][0]["verdict"] is None
    assert answer["images"][0]["nll_quantile"] is None
    assert answer["images"][0]["nll_nats"] > 0


def test_more_draws_than_allowed_are_refused_with_the_limit(scored: Service) -> None:
    answer = scored.post("/score?draws=301", files=form(noise(1), noise(2)))
    assert problem(answer, 422, "limit-exceeded")["limit"] == 600
    assert scored.post("/score?draws=300", files=form(noise(1), noise(2))).status_code == 200
    problem(scored.post("/score?draws=0", files=form(noise(1))), 422, "limit-exceeded")


def test_a_request_without_an_image_is_told_what_to_send(scored: Service) -> None:
    assert scored.post("/score").status_code in {400, 415, 422}


def test_quantiles_of_the_likelihood_are_those_of_the_table(scored: Service, root: Path) -> None:
    stored = Store(root).load(ModelRef.parse("flow@1")).typicality
    assert stored is not None
    (scores,) = scored.post("/score?seed=1", files=form(noise(1))).json()["images"]
    below = sum(value < scores["nll_nats"] for value in stored.nll_nats) / len(LEVELS)
    assert scores["nll_quantile"] == pytest.approx(below, abs=0.03)
    above = sum(value < scores["elbo_nats"] for value in stored.elbo_nats) / len(LEVELS)
    assert scores["elbo_quantile"] == pytest.approx(above, abs=0.03)
    assert 0 < scores["elbo_quantile"] < 1
