import pytest

from model_store.spec import ImageShape
from training.data.images import affordable_batch


@pytest.mark.parametrize("most", [1000, 512, 50])
def test_images_of_up_to_32x32_in_colour_are_computed_in_full_batches(most: int):
    for shape in (ImageShape(), ImageShape(channels=3, height=32, width=32)):
        assert affordable_batch(most, shape.pixels) == most


@pytest.mark.parametrize("side", [48, 64, 128, 256])
@pytest.mark.parametrize("most", [1000, 500, 50, 1])
def test_a_batch_of_larger_images_has_no_more_values_and_at_least_one_image(side: int, most: int):
    pixels = ImageShape(channels=3, height=side, width=side).pixels
    batch = affordable_batch(most, pixels)
    assert batch >= 1
    assert batch == 1 or batch * pixels <= most * 3 * 32 * 32
