import torch

from model_store.vae import VAE
from training.data.images import Images
from training.fitting.targets import binarize, binarize_half


def test_binarized_pixels_are_zero_or_one_with_the_grey_value_as_their_mean():
    x = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(20_000, 4)
    binary = binarize(x, torch.Generator().manual_seed(0))
    assert set(binary.unique().tolist()) == {0.0, 1.0}
    deviation = (x * (1 - x) / len(x)).sqrt()[0]
    assert ((binary.mean(dim=0) - x[0]).abs() <= 4 * deviation).all()


def test_the_grey_likelihood_is_the_mean_over_binarized_images(vae: VAE, images: Images):
    x = images.batch(torch.arange(1)) * 0.5
    x_logits = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    noise = torch.Generator().manual_seed(3)
    binary = torch.cat([binarize(x, noise) for _ in range(4000)])
    drawn = vae.log_likelihood(binary, x_logits.expand(4000, 1, 28, 28))
    error = (drawn.std() / 4000**0.5).item()
    assert abs((drawn.mean() - vae.log_likelihood(x, x_logits)).item()) < 4 * error


def test_mixed_targets_are_either_grey_or_binary(images: Images):
    x = images.batch(torch.arange(64)) * 0.5
    mixed = binarize_half(x, torch.Generator().manual_seed(0))
    grey = (mixed == x).flatten(1).all(dim=1)
    binary = ((mixed == 0) | (mixed == 1)).flatten(1).all(dim=1)
    assert (grey ^ binary).all()
    assert 16 < grey.sum() < 48  # four standard deviations of 64 tosses
