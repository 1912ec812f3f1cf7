"""Batches of augmented images, and samples as a data set of PyTorch."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tests.zserve.test_vae import images_of
from zserve import VAE, load
from zserve.torch_data import SampledImages


@pytest.fixture(scope="module")
def open_vae(tiny: Path) -> Any:
    return cache(lambda name: load(name, store=tiny))


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "flow", "exact", "exact-flow"])
def test_each_image_of_an_epoch_is_a_variant_that_augment_draws(name: str, open_vae: Any):
    vae: VAE = open_vae(name)
    x = images_of(vae, 5)
    batches = vae.augmented_batches(
        x, np.arange(5), batch_size=2, seed=10, temperature=0.5, shuffle=False
    )
    for epoch in range(2):
        drawn = list(batches)
        assert [len(images) for images, _ in drawn] == [2, 2, 1]
        assert len(batches) == 3
        images = np.concatenate([each for each, _ in drawn])
        assert np.concatenate([targets for _, targets in drawn]).tolist() == [0, 1, 2, 3, 4]
        for i in range(5):
            variant = vae.augment(x[i], 1, seed=10 + 5 * epoch + i, temperature=0.5)[0]
            assert np.array_equal(np.rint(images[i, 0] * 255), variant)


def test_an_epoch_has_every_image_once_in_an_order_that_the_seed_repeats(open_vae: Any):
    vae: VAE = open_vae("plain")
    x = images_of(vae, 50)

    def epochs(seed: int) -> list[list[int]]:
        batches = vae.augmented_batches(x, np.arange(50), batch_size=8, seed=seed)
        return [[int(t) for _, targets in batches for t in targets] for _ in range(2)]

    first, second = epochs(1)
    ascending = list(range(50))
    assert sorted(first) == sorted(second) == ascending
    assert first != second
    assert ascending not in (first, second)
    assert epochs(1) == [first, second]
    assert epochs(2) != [first, second]


def test_an_epoch_can_be_set_to_resume_a_training(open_vae: Any):
    vae: VAE = open_vae("plain")
    x = images_of(vae, 6)
    batches = vae.augmented_batches(x, batch_size=6)
    list(batches)
    ((second,),) = list(batches)
    resumed = vae.augmented_batches(x, batch_size=6)
    resumed.epoch = 1
    ((again,),) = list(resumed)
    assert np.array_equal(second, again)


def test_temperature_zero_gives_reconstructions_as_torch_takes_them(open_vae: Any):
    vae: VAE = open_vae("exact")
    x = images_of(vae, 3)
    ((images,),) = list(vae.augmented_batches(x, temperature=0, shuffle=False))
    assert images.shape == (3, *vae.manifest.spec.image.shape)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.array_equal(np.rint(images[:, 0] * 255), vae.reconstruct(x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"targets": [1]}, "3 images have 1 targets"),
    ],
)
def test_wrong_batches_are_refused(options: dict[str, Any], words: str, open_vae: Any):
    vae: VAE = open_vae("plain")
    with pytest.raises(ValueError, match=words):
        vae.augmented_batches(images_of(vae, 3), **options)
    with pytest.raises(ValueError, match="no images"):
        vae.augmented_batches(images_of(vae, 0))


# --- a data set of PyTorch -----------------------------------------------------------------------


def levels(image: torch.Tensor) -> Any:
    return np.rint(image.numpy() * 255)[0]


def test_items_are_the_samples_of_their_seeds_and_classes(open_vae: Any):
    vae: VAE = open_vae("labelled")
    dataset = vae.dataset(7, seed=4, labels=["7", "Dress"])
    assert isinstance(dataset, Dataset)
    assert len(dataset) == 7
    for i in range(7):
        image, target = dataset[i]
        label = ["7", "Dress"][i % 2]
        assert vae.classes[target] == label
        assert image.shape == (1, 28, 28)
        assert image.dtype == torch.float32
        assert np.array_equal(levels(image), vae.sample(1, seed=4 + i, label=label)[0])
    image, target = vae.dataset(3, seed=1)[-1]
    assert target == -1
    assert np.array_equal(levels(image), vae.sample(1, seed=3)[0])


def test_indices_beyond_the_data_set_are_refused(open_vae: Any):
    dataset = open_vae("labelled").dataset(3)
    for index in (3, -4):
        with pytest.raises(IndexError, match="the data set has 3"):
            dataset[index]
    with pytest.raises(ValueError, match="labels are empty"):
        open_vae("labelled").dataset(3, labels=[])


def as_arrays(loader: "DataLoader[Any]") -> tuple[Any, list[int]]:
    batches = list(loader)
    return torch.cat([x for x, _ in batches]).numpy(), torch.cat([t for _, t in batches]).tolist()


@pytest.mark.processes
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_loader_give_what_one_process_gives(method: str, open_vae: Any):
    vae: VAE = open_vae("exact")
    dataset = SampledImages(vae, 40, seed=2)
    alone, targets = as_arrays(DataLoader(dataset, batch_size=16))
    shared, same = as_arrays(
        DataLoader(dataset, batch_size=16, num_workers=1, multiprocessing_context=method)
    )
    assert np.array_equal(alone, shared)
    assert targets == same
    assert np.array_equal(np.rint(alone[:, 0] * 255), vae.sample(40, seed=2))
