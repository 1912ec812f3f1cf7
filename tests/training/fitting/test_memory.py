import pytest
import torch

from model_store.spec import ImageShape, ModelSpec, Residual
from training.config import Data, Optimiser, Preset
from training.errors import OutOfMemoryError
from training.fitting.memory import advising_on_memory, check_memory, estimate_memory
from training.fitting.trainer import Trainer, initialise


def preset(side: int, batch: int, *, channels: tuple[int, ...] = (8, 16)) -> Preset:
    return Preset(
        summary="",
        data=Data(dataset="folder"),
        model=ModelSpec(
            latent=4,
            upload="resize",
            likelihood="discretised_logistic",
            image=ImageShape(channels=3, height=side, width=side),
            network=Residual(channels=channels, hidden=16, batch_norm=True),
        ),
        optimiser=Optimiser(batch_size=batch),
    )


class KeptBytes:
    """Count the bytes of the tensors that a backward pass needs, each storage once."""

    def __init__(self) -> None:
        self.storages: dict[int, int] = {}
        self.alive: list[torch.Tensor] = []

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        self.storages[storage.data_ptr()] = storage.nbytes()
        self.alive.append(tensor)  # so that no later tensor gets the same place
        return tensor


@pytest.mark.parametrize(("side", "batch"), [(32, 8), (64, 4), (64, 8)])
def test_a_step_keeps_as_many_bytes_as_estimated_within_a_factor_of_two(side: int, batch: int):
    settings = preset(side, batch)
    trainer = Trainer(initialise(settings.model, 0), settings.objective, settings.optimiser, 0)
    kept = KeptBytes()
    with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
        trainer.step(torch.rand(batch, *settings.model.image.shape), 0.0)
    measured = sum(kept.storages.values())
    assert 0.5 < estimate_memory(settings, 100).batch / measured < 2.0


def test_memory_grows_with_batch_images_and_sides():
    base = estimate_memory(preset(32, 8), 100)
    assert estimate_memory(preset(32, 16), 100).batch == 2 * base.batch
    assert estimate_memory(preset(32, 8), 200).images == 2 * base.images
    assert estimate_memory(preset(64, 8), 100).batch == pytest.approx(4 * base.batch)


def test_measuring_takes_about_the_same_for_images_of_any_size():
    small, large = (estimate_memory(preset(side, 8), 100).measuring for side in (32, 256))
    assert large < 1.5 * small


def test_enough_memory_is_accepted_and_so_is_a_system_that_does_not_say():
    settings = preset(32, 8)
    check_memory(settings, 100, estimate_memory(settings, 100).total)
    check_memory(settings, 100, None)


@pytest.mark.parametrize(
    ("settings", "images", "words"),
    [
        (preset(256, 256), 100, ["optimiser.batch_size=64", "256x256"]),
        (preset(32, 1), 10**8, ["data.train_images"]),
        (preset(32, 1), 10, ["smaller than 32x32"]),
    ],
)
def test_too_little_memory_is_refused_with_the_remedy_of_its_cause(
    settings: Preset, images: int, words: list[str]
):
    needed = estimate_memory(settings, images).total
    with pytest.raises(OutOfMemoryError, match="training needs about") as caught:
        check_memory(settings, images, needed - 1)
    assert all(word in str(caught.value) for word in words)


def test_an_allocation_that_fails_ends_in_advice():
    advice = r"out of memory: try --set optimiser\.batch_size=64"
    with pytest.raises(OutOfMemoryError, match=advice), advising_on_memory(preset(256, 256)):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(OutOfMemoryError), advising_on_memory(preset(256, 256)):
        raise MemoryError


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match="inconsistent"), advising_on_memory(preset(32, 8)):
        torch.zeros(2) @ torch.zeros(3)
