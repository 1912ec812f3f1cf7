import torch

from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data, Optimiser, Preset
from training.planning.speed import measure_images_per_s


def tiny(hidden: int) -> Preset:
    return Preset(
        summary="",
        data=Data(dataset="folder"),
        model=ModelSpec(
            network=MLP(hidden=(hidden,)), latent=2, image=ImageShape(height=8, width=8)
        ),
        optimiser=Optimiser(batch_size=4),
    )


def test_a_small_network_trains_faster_than_a_much_larger_one():
    small, large = (measure_images_per_s(tiny(n), torch.device("cpu")) for n in (2, 20_000))
    assert small > 2 * large > 0


def test_the_measurement_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    measure_images_per_s(tiny(2), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
