"""Density and coverage, on sets for which the paper's formulas give the result."""

import pytest
import torch
from torch import Tensor

from training.evaluation.density_coverage import density_and_coverage


def features(images: int = 400, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(images, size, generator=torch.Generator().manual_seed(seed))


def line(*places: float) -> Tensor:
    return torch.tensor(places).unsqueeze(1)


def test_a_set_compared_with_itself_has_density_and_coverage_one():
    # the open ball around an image holds the image and its k - 1 nearest others
    same = density_and_coverage(features(), features())
    assert (same.density, same.coverage) == (1.0, 1.0)


def test_a_disjoint_set_has_density_and_coverage_zero():
    apart = density_and_coverage(features() + 100, features())
    assert (apart.density, apart.coverage) == (0.0, 0.0)


def test_other_images_of_the_distribution_have_density_one_and_the_coverage_of_the_papers_lemma():
    # Naeem et al. 2020, eq. 8: 1 - (N - 1)...(N - k) / ((2N - 1)...(2N - k)) for sets of one size
    size, k = 2000, 5
    expected = 1.0
    for i in range(1, k + 1):
        expected *= (size - i) / (2 * size - i)
    placed = density_and_coverage(features(size, 4), features(size, 4, seed=1), k=k)
    assert placed.density == pytest.approx(1, abs=0.05)
    assert placed.coverage == pytest.approx(1 - expected, abs=0.015)


def test_points_on_a_line_give_the_values_counted_by_hand():
    # radii for k = 1: 1, 1, 3, 3, so the balls are (-1, 1), (0, 2), (2, 8), (5, 11)
    real = line(0.0, 1.0, 5.0, 8.0)
    made = line(0.5, 6.0, 6.5, 20.0)
    placed = density_and_coverage(made, real, k=1)
    assert placed.density == (1 + 1 + 2 + 2) / (1 * 4)
    assert placed.covered.tolist() == [True, True, True, True]
    assert density_and_coverage(line(0.5), real, k=1).covered.tolist() == [True, True, False, False]


def test_an_image_on_the_border_of_a_neighbourhood_is_outside():
    placed = density_and_coverage(line(2.0), line(0.0, 1.0), k=1)
    assert (placed.density, placed.coverage) == (0.0, 0.0)


def test_one_outlier_among_real_images_raises_density_far_less_than_a_large_manifold_would():
    # the ball of the outlier holds every image, and counts once in k x images
    real = torch.cat((features(200, 2), torch.tensor([[1000.0, 0.0]])))
    made = features(200, 2, seed=1) + torch.tensor([50.0, 0.0])
    placed = density_and_coverage(made, real)
    assert placed.density == pytest.approx(1 / 5)
    assert placed.coverage == pytest.approx(1 / 201)


def test_images_of_one_mode_cover_only_that_mode():
    real = torch.cat((features(300), features(300, seed=1) + 50))
    placed = density_and_coverage(features(300, seed=2), real)
    assert placed.covered[:300].double().mean() > 0.9
    assert not placed.covered[300:].any()


def test_the_size_of_a_chunk_changes_nothing():
    made, real = features(50, 3), features(40, 3, seed=1)
    whole = density_and_coverage(made, real)
    for chunk in (1, 7):
        parts = density_and_coverage(made, real, chunk=chunk)
        assert parts.density == whole.density
        assert torch.equal(parts.covered, whole.covered)


def test_far_from_the_origin_distances_are_still_exact():
    # in float32, the differences of features near 3,000 would drown in rounding
    made, real = features(200, 4), features(200, 4, seed=1)
    shift = torch.full((4,), 4096.0)
    near = density_and_coverage((made + shift) - shift, (real + shift) - shift)
    far = density_and_coverage(made + shift, real + shift)
    assert far.density == near.density
    assert torch.equal(far.covered, near.covered)


def test_a_fifth_neighbour_needs_more_than_five_images():
    with pytest.raises(ValueError, match="more than 5 images, got 5"):
        density_and_coverage(features(9), features(5))
