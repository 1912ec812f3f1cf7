"""Measures of latents for which the result is known."""

import math

import pytest
import torch
from torch import Tensor

from model_store.vae import kl_to_standard_normal
from training.evaluation.latent_metrics import (
    active_units,
    knn_accuracy,
    linear_probe_accuracy,
    majority_label,
    mean_kl_per_dimension,
    nearest,
    nearest_other,
    variance_of_means,
)


def clusters(images: int, classes: int, latent: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw clusters at ten times the unit vectors, with standard deviation 1."""
    noise = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=noise)
    return 10 * torch.eye(latent)[labels] + torch.randn(images, latent, generator=noise), labels


def test_a_unit_is_active_if_the_variance_of_its_means_exceeds_one_hundredth():
    image = torch.randn(5000, 4, generator=torch.Generator().manual_seed(0))
    std = torch.tensor([1.0, 0.11, 0.09, 0.0])
    assert active_units(3 + std * image) == 2
    torch.testing.assert_close(
        variance_of_means(std * image), std.square().double(), rtol=0.06, atol=0
    )


def test_the_kl_per_dimension_has_its_closed_form_and_sums_to_the_total():
    mu, logvar = torch.randn(50, 3), torch.randn(50, 3)
    kl = mean_kl_per_dimension(mu, logvar)
    whole = kl_to_standard_normal(mu, logvar).mean().double()
    torch.testing.assert_close(kl.sum(), whole, rtol=1e-5, atol=0)
    half = mean_kl_per_dimension(torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1))
    assert half.item() == 0.5


def test_a_linear_probe_labels_separable_clusters_without_a_mistake():
    train, test = clusters(600, 4, 6, seed=0), clusters(300, 4, 6, seed=1)
    assert linear_probe_accuracy(*train, *test) == 1.0


def test_a_linear_probe_of_noise_is_as_good_as_chance():
    train, test = clusters(2000, 4, 6, seed=0), clusters(2000, 4, 6, seed=1)
    noise = torch.randn(2000, 6, generator=torch.Generator().manual_seed(2))
    assert abs(linear_probe_accuracy(noise, train[1], noise.flip(0), test[1]) - 0.25) < 0.05


def test_a_linear_probe_reaches_the_accuracy_of_the_best_linear_rule():
    # two unit Gaussians at distance 2: the best rule is right with probability Phi(1)
    noise = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (40_000,), generator=noise)
    mu = torch.randn(40_000, 5, generator=noise)
    mu[:, 0] += 2.0 * labels
    train, test = (mu[:20_000], labels[:20_000]), (mu[20_000:], labels[20_000:])
    best = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert abs(linear_probe_accuracy(*train, *test) - best) < 0.01


def test_a_linear_probe_accepts_constant_dimensions_and_inference_mode_tensors():
    with torch.inference_mode():
        mu, labels = clusters(300, 3, 5, seed=0)
        mu[:, 4] = 0.0
    assert linear_probe_accuracy(mu, labels, mu, labels) == 1.0


def test_the_linear_probe_gives_the_same_number_twice():
    noise = torch.randn(500, 6, generator=torch.Generator().manual_seed(2))
    labels = clusters(500, 4, 6, seed=0)[1]
    first = linear_probe_accuracy(noise, labels, noise, labels)
    assert first == linear_probe_accuracy(noise, labels, noise, labels)


def test_the_nearest_points_equal_brute_force_for_any_chunk_size():
    noise = torch.Generator().manual_seed(0)
    points, queries = torch.randn(200, 7, generator=noise), torch.randn(60, 7, generator=noise)
    labels = torch.randint(3, (200,), generator=noise)
    truth = torch.randint(3, (60,), generator=noise)
    brute = []
    for query in queries:
        squared = [(float((point - query).square().sum()), i) for i, point in enumerate(points)]
        brute.append([i for _, i in sorted(squared)[:5]])
    assert nearest(queries, points, 5).tolist() == brute
    voted = majority_label(labels[torch.tensor(brute)])
    expected = (voted == truth).double().mean().item()
    for chunk in (1, 7, 100):
        assert knn_accuracy(points, labels, queries, truth, k=5, chunk=chunk) == expected


@pytest.mark.parametrize(
    ("labels", "winner"),
    [
        ([2, 0, 0, 1, 0], 0),  # three of five
        ([1, 0, 0, 1, 2], 1),  # two each: the nearest decides
        ([2, 0, 1, 0, 1], 0),  # two each: the second nearest decides
        ([3, 1, 2, 0, 4], 3),  # all different: the nearest
    ],
)
def test_the_most_frequent_label_wins_and_a_tie_goes_to_the_nearer(labels: list[int], winner: int):
    assert majority_label(torch.tensor([labels])).item() == winner


def test_the_nearest_other_is_never_the_point_itself_even_among_equal_points():
    points = torch.tensor([[0.0], [1.0], [1.0], [3.5], [9.0]])
    for chunk in (1, 2, 500):
        assert nearest_other(points, chunk).tolist() == [1, 2, 1, 1, 3]


def test_a_nearest_other_needs_two_points():
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        nearest_other(torch.zeros(1, 3))
