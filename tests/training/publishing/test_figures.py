import io

import numpy as np
import torch
from PIL import Image

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.spec import MLP, EpochRecord, ImageShape, ModelSpec
from model_store.vae import VAE
from training.data.images import Images
from training.fitting.trainer import initialise
from training.publishing import figures

CELL = (28 + 2) * 3


def pixels(png: bytes) -> np.ndarray:
    """Decode a PNG; (height, width, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def tile(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cut one image out of a grid, without magnification; (28, 28) uint8."""
    top, left = row * CELL + 6, column * CELL + 6
    return picture[top : top + 84 : 3, left : left + 84 : 3, 0]


def test_samples_are_decoded_from_the_prior_with_one_seed(vae: VAE):
    picture = pixels(figures.samples(vae, rows=3))
    assert picture.shape == (3 * CELL + 6, 3 * CELL + 6, 3)
    z = torch.randn((9, 3), generator=torch.Generator().manual_seed(figures.SEED))
    with torch.no_grad():
        expected = vae.mean_image(vae.decode(z))[5, 0].numpy() * 255
    assert np.abs(tile(picture, row=1, column=2) - expected).max() <= 1


def test_the_same_model_gives_the_same_file(vae: VAE):
    assert figures.samples(vae) == figures.samples(vae)


def test_large_images_are_not_magnified():
    colour = ImageShape(channels=3, height=64, width=64)
    vae = initialise(ModelSpec(network=MLP(hidden=(4,)), latent=2, image=colour), seed=0)
    assert pixels(figures.samples(vae, rows=3)).shape == (3 * 66 + 2, 3 * 66 + 2, 3)


def test_figures_of_large_images_have_fewer_rows():
    large = ImageShape(channels=3, height=128, width=128)
    vae = initialise(ModelSpec(network=MLP(hidden=(2,)), latent=3, image=large), seed=0)
    assert pixels(figures.samples(vae)).shape == (4 * 130 + 2, 4 * 130 + 2, 3)
    assert pixels(figures.seed_interpolations(vae)).shape[0] == 130 + 2
    small = pixels(figures.traversal(vae, (1.0, 2.0, 3.0), columns=5))
    assert small.shape[0] == 30 + 3 * 130 + 2


def test_grey_figures_are_stored_in_one_channel(vae: VAE):
    modes = [
        Image.open(io.BytesIO(png)).mode
        for png in (figures.samples(vae), figures.loss_curve([RECORD]))
    ]
    assert modes == ["L", "RGB"]


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


def test_the_labels_of_a_traversal_are_beside_the_images(vae: VAE):
    picture = pixels(figures.traversal(vae, (0.1, 2.5, 0.0), columns=5))
    left = picture.shape[1] - (5 * CELL + 6)
    for row in range(3):
        top = picture.shape[0] - (3 - row) * CELL
        assert (picture[top : top + CELL, :left] < 128).any()


RECORD = EpochRecord(
    epoch=1,
    train_loss=100,
    train_reconstruction=80,
    train_kl=20,
    test_loss=110,
    test_reconstruction=85,
    test_kl=25,
)


def test_a_loss_curve_of_a_single_epoch_can_be_drawn():
    picture = pixels(figures.loss_curve([RECORD]))
    assert picture.shape[:2] == (340, 960)
    assert (picture < 128).any()


def test_the_curves_of_several_versions_are_in_one_figure():
    histories = {"a@1": [RECORD], "b@1": [RECORD, RECORD.model_copy(update={"epoch": 2})]}
    assert pixels(figures.compared_curves(histories)).shape[:2] == (360, 960)


def test_an_interpolation_begins_and_ends_with_the_images_themselves(vae: VAE, images: Images):
    x = images.batch(torch.arange(6))
    picture = pixels(figures.interpolations(vae, x, steps=4))
    assert picture.shape == (3 * CELL + 6, 6 * CELL + 6, 3)
    for column, image in ((0, x[1]), (5, x[4])):
        assert np.abs(tile(picture, 1, column) - image[0].numpy() * 255).max() <= 1
    with torch.no_grad():
        mu = vae.encode(x)[0]
        third = vae.mean_image(vae.decode(mu[1:2] + (mu[4:5] - mu[1:2]) / 3))[0, 0].numpy() * 255
    assert np.abs(tile(picture, 1, 2) - third).max() <= 1


def test_an_interpolation_between_seeds_changes_along_its_row(vae: VAE):
    picture = pixels(figures.seed_interpolations(vae, rows=2, steps=5))
    assert picture.shape == (2 * CELL + 6, 5 * CELL + 6, 3)
    assert not np.array_equal(tile(picture, 0, 0), tile(picture, 0, 4))


def test_the_manifold_has_the_origin_in_its_middle_and_z1_pointing_up():
    vae = initialise(ModelSpec(network=MLP(hidden=(8,)), latent=2), seed=1)
    picture = pixels(figures.manifold(vae, side=3))
    assert picture.shape == (3 * 56, 3 * 56, 3)
    normal = torch.distributions.Normal(0.0, 1.0)
    top, right = normal.icdf(torch.tensor(5 / 6)), normal.icdf(torch.tensor(5 / 6))
    for row, column, z in ((1, 1, (0.0, 0.0)), (0, 2, (right, top)), (2, 2, (right, -top))):
        with torch.no_grad():
            expected = vae.mean_image(vae.decode(torch.tensor([z])))[0, 0].numpy() * 255
        shown = picture[row * 56 : row * 56 + 56 : 2, column * 56 : column * 56 + 56 : 2, 0]
        assert np.abs(shown - expected).max() <= 1


def test_the_scatter_of_latents_is_coloured_by_class():
    mu = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    plain = pixels(figures.latent_scatter(mu, None, None))
    coloured = pixels(figures.latent_scatter(mu, torch.arange(40) % 2, ("a", "b")))
    assert plain.shape == coloured.shape
    assert not np.array_equal(plain, coloured)


def test_each_class_has_a_row_of_samples(vae: VAE):
    still = GaussianMixture(np.ones(1), np.zeros((1, 3)), 1e-6 * np.eye(3)[None])
    picture = pixels(figures.classes(vae, ClassLatents((still, still)), ("no", "yes"), columns=4))
    grid = picture[-(2 * CELL + 6) :, -(4 * CELL + 6) :]
    assert np.array_equal(tile(grid, 0, 0), tile(grid, 1, 3))


def test_samples_of_two_versions_use_the_same_latents(vae: VAE):
    picture = pixels(figures.compared_samples({"a": vae, "b": vae}, columns=3, rows=1))
    grid = picture[-(2 * CELL + 6) :, -(3 * CELL + 6) :]
    assert np.array_equal(tile(grid, 0, 2), tile(grid, 1, 2))


def test_traversals_of_two_versions_are_below_each_other(vae: VAE):
    kl_nats = {"a": (0.1, 2.5, 0.0), "b": (3.0, 0.0, 1.0)}
    picture = pixels(figures.compared_traversals({"a": vae, "b": vae}, kl_nats, columns=3, rows=2))
    assert picture.shape[0] == 4 * CELL + 6 + 30
