import pytest
import torch

from training.evaluation.class_mixtures import (
    IMAGE_STD_SCALE,
    STD_SCALE,
    affordable_components,
    draw_of_class,
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


def test_a_small_class_has_a_component_for_each_image():
    labels = torch.arange(2).repeat(30)
    mu = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    logvar = torch.full_like(mu, -2.0)
    classes = fit_class_mixtures(mu, logvar, labels, before_flow=True)
    assert classes.before_flow
    for label, mixture in enumerate(classes):
        assert mixture.means == pytest.approx(mu[labels == label].numpy())
        assert mixture.weights == pytest.approx([1 / 30] * 30)
        sigma = IMAGE_STD_SCALE * torch.tensor(-1.0).exp().item()
        assert mixture.factors == pytest.approx(
            torch.eye(8).mul(sigma).expand(30, 8, 8).numpy(), rel=1e-6
        )


def test_draws_of_a_small_class_stay_near_its_images():
    """On two interlocked rings, a Gaussian of each class would draw from the middle of both."""
    angles = torch.linspace(0, 6.2, 40)
    ring = torch.stack([angles.cos(), angles.sin(), *[torch.zeros(40)] * 6], dim=1)
    mu, labels = torch.cat([3 * ring, 6 * ring]), torch.arange(2).repeat_interleave(40)
    classes = fit_class_mixtures(mu, torch.full_like(mu, -6.0), labels)
    noise = torch.Generator().manual_seed(0)
    for label, radius in enumerate((3, 6)):
        drawn = draw_of_class(classes, label, 50, noise)[:, :2].norm(dim=1)
        assert drawn.numpy() == pytest.approx([radius] * 50, abs=0.5)


def test_the_images_of_a_large_file_are_chosen_evenly():
    labels = torch.zeros(300, dtype=torch.long)
    mu = torch.arange(300.0).unsqueeze(1).expand(300, 100)
    (mixture,) = fit_class_mixtures(mu, torch.zeros_like(mu), labels)
    steps = torch.from_numpy(mixture.means[:, 0].copy()).diff()
    assert len(mixture.weights) < 300
    assert (mixture.means[0, 0], mixture.means[-1, 0]) == (0, 299)
    assert steps.max() - steps.min() <= 1
