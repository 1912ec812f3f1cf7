import pytest
import torch

from training.evaluation.class_mixtures import (
    STD_SCALE,
    affordable_components,
    fit_class_mixtures,
)


@pytest.mark.parametrize(
    ("images", "latent", "classes", "components"),
    [(6000, 20, 10, 10), (6000, 40, 10, 10), (6000, 64, 10, 6), (1000, 64, 10, 3), (30, 20, 10, 1)],
)
def test_the_number_of_components_is_limited_by_images_and_by_file_size(
    images: int, latent: int, classes: int, components: int
):
    assert affordable_components(images, latent, classes) == components


def test_each_class_gets_a_mixture_in_the_order_of_the_labels():
    labels = torch.arange(3).repeat(200)
    mu = 5.0 * labels.unsqueeze(1) + torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    mixtures = fit_class_mixtures(
        mu, torch.zeros_like(mu), labels, components=1, covariance="diagonal"
    )
    for label, mixture in enumerate(mixtures):
        assert mixture.means[0].tolist() == pytest.approx([5 * label, 5 * label], abs=0.3)
        wide = STD_SCALE * 2**0.5
        assert mixture.factors[0].diagonal().tolist() == pytest.approx([wide] * 2, rel=0.1)
