import torch

from model_store.encoded_images import MAX_BYTES
from model_store.spec import MLP, ModelSpec
from tests.training.conftest import bars
from training.data.images import Images
from training.evaluation.encoded_images import choose, encoded_images
from training.evaluation.posteriors import posteriors
from training.fitting.trainer import initialise


def test_each_class_has_its_share_of_the_chosen_images():
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([500, 300, 150, 50]))
    chosen = choose(labels, 1000, 100)
    assert torch.bincount(labels[chosen]).tolist() == [50, 30, 15, 5]


def test_no_image_is_chosen_twice_and_the_choice_is_the_same_again():
    for images, most in [(10, 3), (7, 7), (5, 9), (1, 1), (1000, 999)]:
        chosen = choose(torch.zeros(images, dtype=torch.int64), images, most)
        assert len(set(chosen.tolist())) == len(chosen) == min(images, most)
        assert torch.equal(chosen, chosen.sort().values)
        assert torch.equal(chosen, choose(torch.zeros(images, dtype=torch.int64), images, most))


def test_images_without_labels_are_chosen_from_the_whole_split():
    chosen = choose(None, 1000, 100)
    halves = int((chosen < 500).sum())
    assert 30 < halves < 70


def test_latents_are_mu_of_the_images_they_name(spec: ModelSpec):
    vae, images = initialise(spec, seed=0), bars(50)
    mu = posteriors(vae, images).mu.detach()
    encoded = encoded_images(images, posteriors(vae, images))
    assert encoded.indices.tolist() == list(range(50))
    assert encoded.labels is not None
    assert images.labels is not None
    assert encoded.labels.tolist() == images.labels.tolist()
    off = (torch.from_numpy(encoded.u) - mu).abs().max(dim=0).values
    assert (off <= mu.abs().max(dim=0).values * 0.51 / 127).all()


def test_a_latent_space_with_many_dimensions_has_fewer_images_instead_of_a_larger_file():
    spec = ModelSpec(network=MLP(hidden=(4,)), latent=1000)
    images = Images(bars(200).pixels)
    encoded = encoded_images(images, posteriors(initialise(spec, seed=0), images))
    assert encoded.labels is None
    assert 100 < len(encoded) < 150
    assert encoded.levels.nbytes < MAX_BYTES
