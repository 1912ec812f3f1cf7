import math

import pytest
import torch

from training.config import Augmentation
from training.data.augmentation import apply_maps, augment, augment_some, random_maps

STILL = Augmentation(degrees=0, shift=0, scale=0)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dot(row: int, column: int, side: int = 29) -> torch.Tensor:
    x = torch.zeros(1, 1, side, side)
    x[0, 0, row, column] = 1
    return x


def test_limits_of_zero_change_nothing():
    x = torch.rand(5, 3, 8, 9, generator=noise())
    torch.testing.assert_close(augment(x, STILL, noise()), x, atol=1e-5, rtol=1e-5)


def test_half_of_the_images_are_mirrored():
    x = torch.rand(1, 1, 8, 8, generator=noise()).expand(400, 1, 8, 8)
    result = augment(x, Augmentation(degrees=0, shift=0, scale=0, mirror=True), noise(1))
    flipped = torch.tensor([torch.allclose(one, x[0].flip(2), atol=1e-5) for one in result])
    kept = torch.tensor([torch.allclose(one, x[0], atol=1e-5) for one in result])
    assert (flipped ^ kept).all()
    assert abs(flipped.float().mean().item() - 0.5) < 4 * 0.5 / math.sqrt(400)


def test_a_quarter_turn_takes_a_dot_on_the_right_to_the_top_or_the_bottom():
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    result = apply_maps(dot(14, 24), quarter)
    assert result.argmax().item() in {(4 * 29) + 14, (24 * 29) + 14}
    assert result.max().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        Augmentation(degrees=15, shift=0, scale=0),
        Augmentation(degrees=0, shift=0.05, scale=0),
        Augmentation(degrees=0, shift=0, scale=0.1),
    ],
)
def test_a_dot_moves_no_farther_than_its_limit(kind: Augmentation):
    side, row, column = 61, 30, 50
    result = augment(dot(row, column, side).expand(200, 1, side, side), kind, noise())
    at = result.flatten(1).argmax(dim=1)
    y, x = at // side, at % side
    distance = torch.hypot((y - row).float(), (x - column).float())
    radius = column - side // 2
    limit = {
        15: 2 * radius * math.sin(math.radians(7.5)),
        0: max(kind.shift * side * math.sqrt(2), radius * kind.scale),
    }[int(kind.degrees)]
    assert 0 < distance.max() <= limit + 1
    assert distance.max() >= limit / 2


def test_maps_depend_on_the_generator_only():
    one, same, other = (random_maps(4, Augmentation(), noise(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_images_are_augmented_with_the_given_probability_and_else_unchanged():
    x = torch.rand(400, 1, 8, 8, generator=noise())
    result = augment_some(x, 0.25, Augmentation(degrees=40), noise(1))
    still = (result == x).flatten(1).all(dim=1).float().mean().item()
    assert abs(still - 0.75) < 4 * math.sqrt(0.25 * 0.75 / 400)


def test_a_shear_shifts_rows_in_proportion_to_their_distance_from_the_middle():
    side, column = 61, 30
    limits = Augmentation(degrees=0, shift=0, scale=0, shear=0.2)
    maps = random_maps(200, limits, noise())
    result = apply_maps(dot(50, column, side).expand(200, 1, side, side), maps)
    at = result.flatten(1).argmax(dim=1)
    assert (at // side == 50).all()
    shifts = (at % side - column).float()
    torch.testing.assert_close(shifts, -20 * maps[:, 0, 1], atol=1, rtol=0)
    assert 3 < shifts.abs().max() <= 5


def test_angle_and_scale_are_drawn_first_and_in_this_order():
    angle, scale = (torch.empty(3).uniform_(-1, 1, generator=g) for g in [noise()] * 2)
    maps = random_maps(3, Augmentation(degrees=90, shift=0, scale=1), noise())
    determinant = maps[:, 0, 0] * maps[:, 1, 1] - maps[:, 0, 1] * maps[:, 1, 0]
    torch.testing.assert_close(determinant, 4.0**-scale)
    torch.testing.assert_close(torch.atan2(maps[:, 1, 0], maps[:, 1, 1]), angle * math.pi / 2)
