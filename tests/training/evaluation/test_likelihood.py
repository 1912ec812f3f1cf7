from model_store.spec import ImageShape
from training.evaluation.likelihood import nll_images


def values(side: int, channels: int) -> int:
    return ImageShape(channels=channels, height=side, width=side).pixels


def test_the_nll_of_large_images_is_estimated_on_fewer_of_them():
    assert nll_images(values(28, 1)) == 1000
    assert nll_images(values(32, 3)) == 1000
    assert nll_images(values(64, 3)) == 250
    assert nll_images(values(128, 3)) == 100
