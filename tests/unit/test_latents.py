import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.sampling import latents, paths, posterior
from app.typing import Floats
from model_store.vae import kl_to_standard_normal

Path = Callable[[Floats, Floats, int], Floats]

SEEDS = latents.consecutive_seeds(0, 50_000)


def test_splitmix64_gives_the_published_sequence_of_state_1234567() -> None:
    words = latents.splitmix64(np.array([1234567], np.uint64), 5)
    assert words[0].tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_the_latents_behind_the_name_of_the_generator_are_fixed() -> None:
    assert latents.GENERATOR == "splitmix64-boxmuller-1"
    first = latents.standard_normal(np.array([0, 1, 2**32 - 1], np.uint64), 4)
    expected = [
        [1.1436928510665894, -1.8367867469787598, 1.3279662132263184, -0.22437259554862976],
        [0.7074683904647827, -1.8125969171524048, -0.7171523571014404, -0.0737466961145401],
        [1.5761264562606812, 0.045756202191114426, -0.990678071975708, 0.32772111892700195],
    ]
    assert first.tolist() == expected


def test_a_latent_depends_on_its_own_seed_only() -> None:
    together = latents.standard_normal(latents.consecutive_seeds(40, 30), 7)
    for i in range(30):
        single = latents.standard_normal(latents.consecutive_seeds(40 + i, 1), 7)
        assert np.array_equal(single[0], together[i])


def test_a_longer_latent_begins_with_the_shorter_one() -> None:
    seeds = latents.consecutive_seeds(3, 5)
    longest = latents.standard_normal(seeds, 41)
    for latent in range(1, 41):
        assert np.array_equal(latents.standard_normal(seeds, latent), longest[:, :latent])


def test_seeds_wrap_around_at_two_to_the_32() -> None:
    assert latents.consecutive_seeds(2**32 - 2, 4).tolist() == [2**32 - 2, 2**32 - 1, 0, 1]


def test_a_random_seed_is_valid_in_a_request() -> None:
    seeds = {latents.random_seed() for _ in range(100)}
    assert len(seeds) > 90
    assert all(0 <= seed < 2**32 for seed in seeds)


def normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + torch.erf(torch.from_numpy(x / math.sqrt(2)))).numpy())


def test_the_latents_of_many_seeds_are_standard_normal_by_kolmogorov_and_smirnov() -> None:
    z = np.sort(latents.standard_normal(SEEDS, 4).astype(np.float64).ravel())
    n = len(z)
    empirical = np.arange(1, n + 1) / n
    distance = np.max(np.abs(empirical - normal_cdf(z)))
    assert distance < 1.63 / math.sqrt(n)  # 1 % level


def test_the_first_four_moments_are_those_of_a_normal_distribution() -> None:
    z = latents.standard_normal(SEEDS, 4).astype(np.float64)
    n = z.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * math.sqrt(variance / n)


def test_neighbouring_seeds_and_neighbouring_dimensions_are_not_correlated() -> None:
    z = latents.standard_normal(SEEDS, 6).astype(np.float64)
    n = len(z)
    between_dimensions = np.corrcoef(z.T) - np.eye(6)
    between_seeds = np.corrcoef(z[:-1].T, z[1:].T)[:6, 6:]
    between_magnitudes = np.corrcoef(np.abs(z[:-1]).T, np.abs(z[1:]).T)[:6, 6:]
    for correlation in (between_dimensions, between_seeds, between_magnitudes):
        assert np.abs(correlation).max() < 4.5 / math.sqrt(n)


@pytest.mark.parametrize("latent", [1, 2, 19, 20])
def test_the_word_after_those_of_the_latent_chooses_the_component(
    latent: int,
) -> None:
    seeds = latents.consecutive_seeds(0, 20_000)
    uniforms, eps = (part[:, 0] for part in latents.class_draws(seeds, latent, 1))
    state = latents._mix64(seeds * latents._MULTIPLIER + latents._INCREMENT)
    word = latents.splitmix64(state, 12)[:, (latent + 1) // 2]
    assert np.array_equal(uniforms, (word >> np.uint64(11)) / 2.0**53)
    assert 0 <= uniforms.min() < 0.001
    assert 0.999 < uniforms.max() < 1
    z = latents.standard_normal(seeds, latent)
    assert np.array_equal(eps, z)
    assert abs(np.corrcoef(uniforms, z[:, -1])[0, 1]) < 4.5 / math.sqrt(len(seeds))
    assert np.histogram(uniforms, 10, (0, 1))[0] == pytest.approx(2000, abs=4.5 * 2000**0.5)


def test_further_draws_use_the_words_that_follow() -> None:
    seeds = latents.consecutive_seeds(5, 50)
    first, several = (latents.class_draws(seeds, 6, tries) for tries in (1, 3))
    for one, all_of_them in zip(first, several, strict=True):
        assert np.array_equal(one[:, 0], all_of_them[:, 0])
    longer = latents.standard_normal(seeds, 14)  # words 0 to 6; the first draw uses 0 to 3
    assert np.array_equal(several[1][:, 1], longer[:, 8:14])


@pytest.mark.parametrize("path", [paths.lerp, paths.slerp])
def test_a_path_begins_and_ends_exactly_at_its_ends(path: Path) -> None:
    a, b = latents.standard_normal(latents.consecutive_seeds(1, 2), 20)
    z = path(a, b, 9)
    assert z.shape == (9, 20)
    assert z.dtype == np.float32
    assert np.array_equal(z[0], a)
    assert np.array_equal(z[-1], b)


def test_lerp_takes_equal_steps_on_a_straight_line() -> None:
    z = paths.lerp(np.zeros(2, np.float32), np.array([3, 4], np.float32), 6)
    assert np.allclose(np.linalg.norm(np.diff(z, axis=0), axis=1), 1.0)


def test_slerp_between_orthogonal_unit_vectors_is_the_quarter_circle() -> None:
    a, b = np.eye(2, dtype=np.float32)
    angles = np.linspace(0, np.pi / 2, 7)
    expected = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert np.allclose(paths.slerp(a, b, 7), expected, atol=1e-6)


def test_slerp_keeps_the_norm_if_both_ends_have_the_same() -> None:
    a, b = latents.standard_normal(latents.consecutive_seeds(5, 2), 20)
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    assert np.allclose(np.linalg.norm(paths.slerp(a, b, 9), axis=1), np.linalg.norm(a), rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-7, 2.0, -1.0, 0.0])
def test_slerp_between_parallel_opposite_or_zero_vectors_is_lerp(factor: float) -> None:
    a = latents.standard_normal(latents.consecutive_seeds(5, 1), 20)[0]
    b = a * np.float32(factor)
    assert np.array_equal(paths.slerp(a, b, 5), paths.lerp(a, b, 5))


def test_a_traversal_changes_one_dimension_at_a_time() -> None:
    z = latents.standard_normal(latents.consecutive_seeds(9, 1), 5)[0]
    values = paths.traversal_values(3.0, 7)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    rows = paths.traversal(z, (4, 0), values).reshape(2, 7, 5)
    for row, d in zip(rows, (4, 0), strict=True):
        assert row[:, d].tolist() == values.tolist()
        others = [other for other in range(5) if other != d]
        assert (row[:, others] == z[others]).all()


def test_kl_equals_that_of_model_store() -> None:
    mu, logvar = latents.standard_normal(latents.consecutive_seeds(2, 8), 40).reshape(2, 8, 20)
    expected = kl_to_standard_normal(torch.from_numpy(mu), torch.from_numpy(logvar))
    assert np.allclose(posterior.kl_to_standard_normal(mu, logvar), expected.numpy(), rtol=1e-5)


def test_kl_of_a_shifted_unit_gaussian_is_half_the_squared_distance() -> None:
    mu = np.array([[3.0, 4.0]], np.float32)
    assert posterior.kl_to_standard_normal(mu, np.zeros_like(mu)).tolist() == [12.5]
