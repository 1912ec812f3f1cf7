import io

import numpy as np
import torch
from PIL import Image

from model_store import VAE
from training import figures
from training.data import Images
from training.fit import Averages, EpochDone

CELL = (28 + 2) * 3


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def tile(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """One image of a grid, not magnified any more; (28, 28) uint8."""
    top, left = row * CELL + 6, column * CELL + 6
    return picture[top : top + 84 : 3, left : left + 84 : 3, 0]


def test_samples_are_decoded_from_the_prior_in_the_order_of_one_seed(vae: VAE):
    picture = pixels(figures.samples(vae, rows=3))
    assert picture.shape == (3 * CELL + 6, 3 * CELL + 6, 3)
    z = torch.randn((9, 3), generator=torch.Generator().manual_seed(figures.SEED))
    with torch.no_grad():
        expected = vae.mean_image(vae.decode(z))[5, 0].numpy() * 255
    assert np.abs(tile(picture, row=1, column=2) - expected).max() <= 1


def test_the_same_model_gives_the_same_file(vae: VAE):
    assert figures.samples(vae) == figures.samples(vae)


def test_reconstructions_stand_below_their_originals(vae: VAE, images: Images):
    x = images.batch(torch.arange(8))
    picture = pixels(figures.reconstructions(vae, x, columns=4))
    assert picture.shape == (4 * CELL + 6, 4 * CELL + 6, 3)
    with torch.no_grad():
        mean = vae.mean_image(vae.decode(vae.encode(x)[0]))
    for row, source in ((2, x), (3, mean)):
        assert np.abs(tile(picture, row, column=1) - source[5, 0].numpy() * 255).max() <= 1


def test_a_traversal_has_the_most_informative_dimension_first_and_zero_in_the_middle(vae: VAE):
    picture = pixels(figures.traversal(vae, (0.1, 2.5, 0.0), columns=5, span=2.0))
    grid = picture[-(3 * CELL + 6) :, -(5 * CELL + 6) :]
    with torch.no_grad():
        first = vae.mean_image(vae.decode(torch.tensor([[0.0, -2.0, 0.0]])))[0, 0].numpy() * 255
    assert np.abs(tile(grid, row=0, column=0) - first).max() <= 1
    assert np.array_equal(tile(grid, row=0, column=2), tile(grid, row=2, column=2))


def test_the_labels_of_a_traversal_are_written_beside_the_images_and_not_over_them(vae: VAE):
    picture = pixels(figures.traversal(vae, (0.1, 2.5, 0.0), columns=5))
    left = picture.shape[1] - (5 * CELL + 6)
    for row in range(3):
        top = picture.shape[0] - (3 - row) * CELL
        assert (picture[top : top + CELL, :left] < 128).any()


def test_a_loss_curve_of_a_single_epoch_can_be_drawn():
    averages = Averages(loss=100.0, reconstruction=80.0, kl=20.0)
    picture = pixels(figures.loss_curve([EpochDone(1, averages, averages, 1.0)]))
    assert picture.shape[:2] == (340, 960)
    assert (picture < 128).any()
