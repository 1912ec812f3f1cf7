"""Thickness, slant, width, height and length of drawn strokes whose measures are known."""

import math

import numpy as np
import pytest

from training.data.digit_measures import MEASURES, measure


def bar(thickness: int, height: int = 20, shear: float = 0.0) -> np.ndarray:
    """A bar of this thickness and height, drawn with soft edges; `shear` leans it to the right."""
    fine = 8
    y, x = (np.mgrid[0 : 28 * fine, 0 : 28 * fine] + 0.5) / fine
    inside = (np.abs(x - 14 + shear * (y - 14)) < thickness / 2) & (np.abs(y - 14) < height / 2)
    grey = inside.reshape(28, fine, 28, fine).mean(axis=(1, 3))
    return np.asarray(np.rint(255 * grey), np.uint8)


def ring(radius: float, thickness: float) -> np.ndarray:
    fine = 8
    y, x = (np.mgrid[0 : 28 * fine, 0 : 28 * fine] + 0.5) / fine
    inside = np.abs(np.hypot(x - 14, y - 14) - radius) < thickness / 2
    return np.asarray(np.rint(255 * inside.reshape(28, fine, 28, fine).mean(axis=(1, 3))), np.uint8)


def values(image: np.ndarray) -> dict[str, float]:
    return {name: float(value[0]) for name, value in measure(image[None]).items()}


@pytest.mark.parametrize("thickness", [2, 3, 4, 6])
def test_an_upright_bar_is_as_thick_as_it_was_drawn(thickness: int):
    measured = values(bar(thickness))
    assert measured["thickness"] == pytest.approx(thickness, abs=0.4)
    assert measured["width"] == pytest.approx(thickness, abs=1.6)
    assert measured["height"] == pytest.approx(20, abs=0.8)
    assert measured["slant"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("degrees", [-30.0, -10.0, 5.0, 20.0, 40.0])
def test_slant_is_the_angle_by_which_a_bar_leans_to_the_right(degrees: float):
    # 98 % of the ink of an enlarged image include most of its soft edges.
    measured = values(bar(3, shear=math.tan(math.radians(degrees))))
    assert measured["slant"] == pytest.approx(degrees, abs=1.0)
    assert measured["width"] == pytest.approx(3, abs=2)


@pytest.mark.parametrize(("radius", "thickness"), [(8, 2), (8, 4), (6, 3)])
def test_the_stroke_of_a_ring_is_as_long_as_its_circle(radius: float, thickness: float):
    measured = values(ring(radius, thickness))
    # A path on a grid is longer than a circle: by 5.5 % on average over all angles.
    assert measured["length"] == pytest.approx(2 * math.pi * radius, rel=0.15)
    assert measured["thickness"] == pytest.approx(thickness, abs=0.4)
    assert measured["width"] == pytest.approx(2 * radius + thickness, abs=1.2)


def test_a_mirrored_digit_leans_the_other_way_and_keeps_its_other_measures():
    image = bar(4, shear=0.5)
    one, other = values(image), values(image[:, ::-1])
    assert one["slant"] == pytest.approx(-other["slant"], abs=0.01)
    for name in ("thickness", "width", "height"):
        assert one[name] == pytest.approx(other[name], abs=0.15)


def test_an_image_without_ink_has_no_measures():
    for level in (0, 80, 255):
        assert all(math.isnan(v) for v in values(np.full((28, 28), level, np.uint8)).values())


def test_an_image_is_measured_alike_alone_and_among_many_others():
    images = np.stack([bar(2 + i % 5, shear=0.1 * (i % 7)) for i in range(503)])
    together = measure(images)
    for i in (0, 499, 500, 502):
        alone = values(images[i])
        assert alone == {name: float(together[name][i]) for name in MEASURES}


def test_ink_up_to_the_edge_is_measured_as_if_paper_surrounded_it():
    image = np.zeros((28, 28), np.uint8)
    image[:, :3] = 255
    measured = values(image)
    assert measured["thickness"] == pytest.approx(3, abs=0.5)
    assert measured["height"] == pytest.approx(28, abs=0.7)


def test_no_images_have_no_measures():
    assert all(len(value) == 0 for value in measure(np.zeros((0, 28, 28), np.uint8)).values())
