"""Home under a flow: the diagram shows z and u, and both are those of the reference arithmetic."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.page.test_home import ROLLS, ask, nats, rgba, rows, seen_png
from tests.page.visitor import Visitor

FLOW = "mnist-flow@5"


@pytest.fixture(scope="module")
def reference() -> ExactModel:
    """Return the model under a flow, as the reference computes it."""
    stored = Store(SHIPPED).load(ModelRef.parse(FLOW))
    assert stored.network
    return ExactModel(
        stored.network, stored.manifest.spec, lambda function, _: NumpyExecutor(function)
    )


def shown_latents(visitor: Visitor) -> Any:
    """Return the latents of the request below the diagram, (rolls, latent), which are u."""
    command = visitor.page.locator("#request").text_content() or ""
    body = command.split("-d '")[1].split("'")[0]
    return np.array(json.loads(body)["z"], np.float32)


def mapped(visitor: Visitor) -> list[float]:
    """Return the numbers of the last column for the chosen roll."""
    numbers: list[float] = visitor.shown.locator(".equations tbody tr").evaluate_all(
        "rows => rows.map(row => Number(row.dataset.mapped))"
    )
    return numbers


def levels(png: bytes) -> Any:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("L"))[None, None]


def test_the_bells_are_those_of_z_and_the_flow_gives_u(
    visitor: Visitor, reference: ExactModel
) -> None:
    visitor.open(f"#home?model={FLOW}&seed=5")
    mu, logvar = reference.posterior(levels(seen_png(visitor)))
    u = shown_latents(visitor)
    assert len(u) == ROLLS
    z = reference.to_z(u)
    for row, in_u in zip(rows(visitor), mapped(visitor), strict=True):
        d = row["dimension"]
        assert row["name"] == f"z{d}"
        assert row["mu"] == pytest.approx(float(mu[0, d]), abs=1e-6)
        assert row["sigma"] == pytest.approx(float(np.exp(logvar[0, d] / 2)), rel=1e-6)
        assert in_u == pytest.approx(float(u[0, d]), abs=1e-6)
        assert row["rolls"] == [pytest.approx(float(each), abs=1e-4) for each in z[:, d]]
    assert "These bells describe z" in visitor.shown.inner_text()


def test_under_a_flow_kl_is_that_of_the_draws_of_the_service(visitor: Visitor) -> None:
    visitor.open(f"#home?model={FLOW}")
    path = f"score?model={FLOW}&preprocess=none&seed=0&draws=32&format=json"
    score = ask(visitor, path, seen_png(visitor))["images"][0]
    cost = nats(visitor)
    assert cost["kl"] == pytest.approx(score["kl_nats"], abs=1e-3)
    assert cost["loss"] == pytest.approx(-score["elbo_nats"], abs=1e-2)


def test_the_prior_is_that_of_u_and_the_flow_gives_z(
    visitor: Visitor, reference: ExactModel
) -> None:
    visitor.open(f"#home?model={FLOW}&source=prior&seed=5")
    images = ask(visitor, f"generate?model={FLOW}&n=10&seed=5&format=json")["images"]
    assert visitor.pixels(".ghost canvas") == [rgba(image["png"]) for image in images]
    z = reference.to_z(np.array([images[0]["z"]], np.float32))
    for row, in_z in zip(rows(visitor), mapped(visitor), strict=True):
        assert row["name"] == f"u{row['dimension']}"
        assert row["roll"] == pytest.approx(images[0]["z"][row["dimension"]], abs=1e-6)
        assert in_z == pytest.approx(float(z[0, row["dimension"]]), abs=1e-4)


def test_without_the_weights_the_service_draws_from_the_same_bells(
    visitor: Visitor, reference: ExactModel
) -> None:
    visitor.page.route("**/models/*/*/files/**", lambda route: route.abort())
    visitor.open(f"#home?model={FLOW}&seed=5")
    mu, logvar = reference.posterior(levels(seen_png(visitor)))
    u = shown_latents(visitor)
    for row, in_u in zip(rows(visitor), mapped(visitor), strict=True):
        d = row["dimension"]
        assert row["name"] == f"z{d}"
        assert row["mu"] == pytest.approx(float(mu[0, d]), abs=1e-6)
        assert row["sigma"] == pytest.approx(float(np.exp(logvar[0, d] / 2)), rel=1e-6)
        assert in_u == pytest.approx(float(u[0, d]), abs=1e-6)
    visitor.errors.clear()


def test_the_bells_have_one_order_whoever_computes(visitor: Visitor) -> None:
    visitor.open(f"#home?model={FLOW}&seed=5")
    order = bell_order(visitor)
    visitor.page.route("**/models/*/*/files/**", lambda route: route.abort())
    visitor.page.evaluate("caches.delete('zserve-exact')")
    visitor.open(f"#home?model={FLOW}&seed=5")
    assert bell_order(visitor) == order
    visitor.errors.clear()


def bell_order(visitor: Visitor) -> list[str]:
    """Return the dimensions of all bells in the order in which they are shown."""
    large = [f"z{row['dimension']}" for row in rows(visitor)]
    small: list[str] = visitor.shown.locator(".mini").evaluate_all(
        "all => all.map(one => one.title.split(':')[0])"
    )
    return large + small


@pytest.mark.parametrize("has_weights", [True, False])
def test_the_ghosts_under_a_flow_are_the_variants_that_the_service_draws(
    visitor: Visitor, has_weights: bool
) -> None:
    if not has_weights:
        visitor.page.route("**/models/*/*/files/**", lambda route: route.abort())
    visitor.open(f"#home?model={FLOW}&seed=5&sigma=1.5")
    path = f"augment?model={FLOW}&preprocess=none&n=10&seed=5&temperature=1.5&format=json"
    answer = ask(visitor, path, seen_png(visitor))
    expected = [rgba(image["png"]) for image in answer["images"]]
    assert visitor.pixels(".ghost canvas") == expected
    shown = shown_latents(visitor)
    np.testing.assert_array_equal(shown, np.array([each["z"] for each in answer["images"]], "f4"))
    visitor.errors.clear()
