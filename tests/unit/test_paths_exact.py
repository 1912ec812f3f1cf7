"""Paths and posteriors beside decimals: the float32 nearest to the real number, on every machine."""

from decimal import Decimal

import numpy as np
import pytest

from app.errors import NotFiniteError
from app.sampling import paths, posterior
from app.typing import Floats
from model_store.arithmetic import rounding


def latents(rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((rows, 6)).astype(np.float32)


def test_points_of_an_arc_are_the_nearest_float32():
    a, b = latents(2)
    arc = paths.slerp(a, b, 7)
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    squares = rounding.sequential_sum(np.stack([a64 * a64, b64 * b64, a64 * b64]))
    cosine = float(squares[2]) / float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    for step in range(1, 6):
        for d in range(6):
            exact = paths._point(float(np.linspace(0, 1, 7)[step]), cosine, a64[d], b64[d])
            assert arc[step, d] == rounding.nearest_float32(exact)


def test_an_arc_does_not_show_the_last_digit_of_a_library(monkeypatch: pytest.MonkeyPatch):
    pairs = latents(200).reshape(100, 2, 6)
    expected = [paths.slerp(a, b, 9) for a, b in pairs]
    sin, arccos = np.sin, np.arccos
    monkeypatch.setattr(np, "sin", lambda x: sin(x) * (1 + 3e-16))
    monkeypatch.setattr(np, "arccos", lambda x: arccos(x) * (1 - 2e-16))
    assert all(
        np.array_equal(paths.slerp(a, b, 9), arc)
        for (a, b), arc in zip(pairs, expected, strict=True)
    )


@pytest.mark.parametrize("cosine", ["-0.999", "-0.3", "0", "0.5", "0.9999"])
def test_an_angle_has_the_cosine_that_it_was_made_of(cosine: str):
    angle = rounding.acos_radians(Decimal(cosine), float(np.arccos(float(cosine))))
    assert abs(rounding.cos_radians(angle) - Decimal(cosine)) < Decimal("1e-27")


def test_kl_and_draws_do_not_show_the_last_digit_of_a_library(monkeypatch: pytest.MonkeyPatch):
    mu, logvar, eps = latents(300, 1), latents(300, 2), latents(300, 3)
    kl = posterior.kl_to_standard_normal(mu, logvar)
    drawn = posterior.sample_posterior(mu[0], logvar[0], eps, 0.7)
    exp = np.exp
    monkeypatch.setattr(np, "exp", lambda x: exp(x) * (1 + 4e-16))
    assert np.array_equal(posterior.kl_to_standard_normal(mu, logvar), kl)
    assert np.array_equal(posterior.sample_posterior(mu[0], logvar[0], eps, 0.7), drawn)


def test_an_arc_that_leaves_float32_is_refused():
    a, b = np.array([[3e38, 3e38], [3e38, -3e38]], np.float32)
    with pytest.raises(NotFiniteError, match="float32"):
        paths.slerp(a, b, 3)  # the middle is (4.2e38, 0)
    assert paths.lerp(a, b, 3)[1].tolist() == [a[0], 0]


def test_a_posterior_that_leaves_float32_is_refused():
    mu, logvar, eps = np.zeros(2, np.float32), np.array([0, 2000], np.float32), latents(1)[:, :2]
    with pytest.raises(NotFiniteError, match="sigma"):
        posterior.sample_posterior(mu, logvar, eps, 1.0)
    with pytest.raises(NotFiniteError, match="KL"):
        posterior.kl_to_standard_normal(mu[None], logvar[None])
