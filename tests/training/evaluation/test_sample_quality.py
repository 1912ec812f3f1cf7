"""Measures of image sets, on features for which the result is known."""

import pytest
import torch
from torch import Tensor

from training.classifier.model import Predictions
from training.evaluation.sample_quality import (
    class_shares,
    frechet_distance,
    frechet_distance_of_gaussians,
    label_agreement,
    measure_class_quality,
    measure_quality,
    neighbour_radii,
    precision_and_recall,
    share_within,
    sure_share,
    total_variation,
)


def features(images: int = 400, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(images, size, generator=torch.Generator().manual_seed(seed))


def predictions(labels: list[int], confidence: float = 0.99, classes: int = 4) -> Predictions:
    labels_t = torch.tensor(labels)
    probabilities = torch.full((len(labels), classes), (1 - confidence) / (classes - 1))
    probabilities[torch.arange(len(labels)), labels_t] = confidence
    return Predictions(
        5.0 * torch.eye(classes)[labels_t] + features(len(labels), classes), probabilities
    )


def test_the_frechet_distance_of_a_set_to_itself_is_zero():
    assert frechet_distance(features(), features()) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_of_a_shifted_set_is_the_squared_shift():
    shift = torch.tensor([3.0, 4.0] + [0.0] * 6)
    assert frechet_distance(features(), features() + shift) == pytest.approx(25, rel=1e-5)


def test_the_frechet_distance_of_gaussians_with_equal_means_depends_on_their_sigmas():
    # commuting covariances: the sum of (sigma_a - sigma_b)^2
    zero = torch.zeros(3, dtype=torch.float64)
    turn = torch.linalg.qr(features(3, 3).double()).Q
    sigma_a, sigma_b = (
        torch.tensor([1.0, 2.0, 0.0]).double(),
        torch.tensor([4.0, 2.0, 0.5]).double(),
    )
    cov_a, cov_b = (turn @ torch.diag(sigma**2) @ turn.T for sigma in (sigma_a, sigma_b))
    distance = frechet_distance_of_gaussians(zero, cov_a, zero, cov_b)
    assert distance == pytest.approx(9 + 0 + 0.25, abs=1e-6)


def test_the_frechet_distance_agrees_with_the_root_of_the_product():
    # tr (A B)^(1/2) is the sum of the roots of the eigenvalues of A B, which is not symmetric
    a, b = (part.T.cov().double() for part in (features(50, 5), features(50, 5, seed=1)))
    mean = torch.zeros(5, dtype=torch.float64)
    root_trace = torch.linalg.eigvals(a @ b).real.sqrt().sum()
    expected = (a.trace() + b.trace() - 2 * root_trace).item()
    assert frechet_distance_of_gaussians(mean, a, mean, b) == pytest.approx(expected, abs=1e-9)


def test_the_frechet_distance_is_symmetric_even_for_fewer_images_than_features():
    a, b = features(5, 8), features(6, 8, seed=1) + 1
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_identical_sets_have_precision_and_recall_one_and_disjoint_sets_zero():
    assert precision_and_recall(features(), features()) == (1.0, 1.0)
    assert precision_and_recall(features(), features() + 100) == (0.0, 0.0)


def test_a_set_of_one_mode_is_precise_and_recalls_only_that_mode():
    real = torch.cat((features(300), features(300, seed=1) + 50))
    one_mode = features(300, seed=2)
    precision, recall = precision_and_recall(one_mode, real)
    same_precision, same_recall = precision_and_recall(one_mode, features(300))
    assert precision == same_precision > 0.5
    assert recall == pytest.approx(same_recall / 2)


def test_junk_lowers_precision_by_its_share_and_leaves_recall_at_one():
    real = features(300)
    with_junk = torch.cat((real, features(100, seed=3) + 50))
    precision, recall = precision_and_recall(with_junk, real)
    assert precision == 0.75
    assert recall == 1.0


def test_radii_and_membership_equal_brute_force_for_any_chunk_size():
    points, queries = features(60, 3), features(40, 3, seed=1)
    apart = (points.unsqueeze(1) - points).norm(dim=2)
    radii = apart.sort(dim=1).values[:, 3]
    inside = ((queries.unsqueeze(1) - points).norm(dim=2) <= radii).any(dim=1)
    for chunk in (1, 7, 1000):
        torch.testing.assert_close(neighbour_radii(points, 3, chunk), radii, atol=1e-3, rtol=0)
        assert share_within(queries, points, radii, chunk) == inside.double().mean().item()


def test_a_third_neighbour_needs_more_than_three_images():
    with pytest.raises(ValueError, match="more than 3 images, got 3"):
        neighbour_radii(features(3), k=3)


def test_an_image_is_sure_from_a_probability_of_95_percent():
    assert sure_share(torch.tensor([0.94, 0.951, 0.99, 0.5])) == 0.5


def test_class_shares_sum_to_one_and_their_total_variation_is_between_zero_and_one():
    shares = class_shares(torch.tensor([0, 0, 1, 3]), classes=4)
    assert shares.tolist() == [0.5, 0.25, 0.0, 0.25]
    uniform = torch.full((4,), 0.25).double()
    assert total_variation(shares, uniform) == 0.25
    assert total_variation(shares, shares) == 0
    assert total_variation(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])) == 1


def test_label_agreement_is_the_share_of_equal_labels():
    assert label_agreement(predictions([0, 1, 2, 3]), predictions([0, 1, 2, 0])) == 0.75


def test_a_set_compared_with_itself_gets_the_best_value_of_every_measure():
    real = predictions([0, 1, 2, 3] * 25)
    quality = measure_quality(real, real)
    assert (quality.sure_share, quality.relative_sure_share) == (1, 1)
    assert quality.class_distance == 0
    assert quality.frechet_distance == pytest.approx(0, abs=1e-9)
    assert (quality.precision, quality.recall) == (1, 1)
    assert (quality.density, quality.coverage) == (1, 1)


def test_each_class_is_measured_separately():
    labels = [0, 1, 2, 3] * 25
    real = predictions(labels)
    asked = torch.tensor(labels)
    made = predictions(
        [1 if label == 0 else label for label in labels]
    )  # images for class 0 look like class 1
    zero, one, *_ = measure_class_quality(made, asked, real, asked)
    assert (zero.right, one.right) == (0, 1)
    assert zero.precision < 0.5 < one.precision


def test_real_images_against_other_real_images_are_nearly_perfect():
    real = predictions([0, 1, 2, 3] * 250)
    floor = measure_quality(real[:500], real[500:])
    assert floor.relative_sure_share == 1
    assert floor.class_distance < 0.1
    assert floor.frechet_distance < 0.5
    assert floor.precision > 0.9
    assert floor.density > 0.9
    assert floor.coverage > 0.9
