"""Map: the latents of test images on it, its planes through them, and the image of the user."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect

from tests.page.mapped import CLASSES, mapped_images, mapped_latents
from tests.page.test_map import board, point, wait_for_state, wait_until_drawn
from tests.page.visitor import Visitor

Floats = NDArray[np.float64]


def run(visitor: Visitor, module: str, function: str, *arguments: Any) -> Any:
    """Call a function of a module of the map in the page."""
    return visitor.page.evaluate(
        """async ([module, name, parameters]) => {
            const answer = (await import(`${location.origin}/static/js/map/${module}.js`))[name](...parameters);
            return JSON.parse(JSON.stringify(answer, (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value));
        }""",
        [module, function, list(arguments)],
    )


def wait_for_points(visitor: Visitor, count: int = 300) -> None:
    expect(board(visitor)).to_have_attribute("data-points", str(count))


def requested_latent(visitor: Visitor) -> list[float]:
    """Return the latent in the request that the page offers to copy."""
    request = visitor.page.locator("#request").text_content() or ""
    return [float(number) for number in re.findall(r"\[\[(.*)\]\]", request)[0].split(",")]


def nearest(visitor: Visitor) -> int:
    """Return the index of the test image that is shown beside the place."""
    index = visitor.shown.locator(".map-near").get_attribute("data-index")
    return int(index or -1)


@pytest.mark.parametrize(("images", "latent"), [(200, 5), (50, 32), (4, 9)])
def test_principal_axes_are_those_of_numpy(visitor: Visitor, images: int, latent: int) -> None:
    visitor.open("#map?model=zmapped@1")
    u = np.random.default_rng(1).standard_normal((images, latent)) * np.arange(1, latent + 1)
    answer = run(visitor, "pca", "principalAxes", u.ravel().tolist(), images, latent)
    centred = u - u.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(answer["mean"], u.mean(axis=0))
    assert np.allclose(answer["variances"], lengths[:2] ** 2 / images)
    for shown, expected in zip(np.array(answer["axes"]), axes[:2], strict=True):
        assert abs(abs(shown @ expected) - 1) < 1e-9
        assert shown[np.abs(shown).argmax()] > 0


def test_a_posterior_is_projected_onto_a_plane_whose_axes_are_not_at_right_angles(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=zmapped@1")
    noise = np.random.default_rng(2)
    across, up = noise.standard_normal((2, 6))
    logvar = noise.standard_normal(6)
    axes = {"across": across.tolist(), "up": up.tolist()}
    ss, st, tt = run(visitor, "planes", "projectedCovariance", axes, logvar.tolist())
    projection = np.linalg.pinv(np.stack([across, up], axis=1))
    expected = projection @ np.diag(np.exp(logvar)) @ projection.T
    assert np.allclose([[ss, st], [st, tt]], expected)
    ellipse = run(visitor, "planes", "ellipseOf", [ss, st, tt])
    variances, directions = np.linalg.eigh(expected)
    assert np.allclose(ellipse["radii"], np.sqrt(variances[::-1]))
    first = np.array([np.cos(ellipse["angle"]), np.sin(ellipse["angle"])])
    assert abs(abs(first @ directions[:, 1]) - 1) < 1e-9


def test_the_points_are_the_published_latents_in_the_colours_of_their_classes(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=zmapped@1&x=0&y=1&layer=points")
    wait_for_points(visitor)
    u = mapped_latents()
    alone = [i for i in range(300) if np.sort(np.hypot(*(u[:, :2] - u[i, :2]).T))[1] > 0.2]
    box = visitor.shown.locator(".board-points").bounding_box()
    assert box
    colours = run(visitor, "colours", "colourOf", 0), run(visitor, "colours", "colourOf", 1)
    assert colours[0] != colours[1]
    shown = visitor.shown.locator(".board-points").evaluate(
        """(canvas, places) => {
            const {width, height} = canvas;
            const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
            return places.map(([x, y]) => {
                const first = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
                return Array.from(data.slice(first, first + 4));
            });
        }""",
        [[(u[i, 0] + 3) / 6, (3 - u[i, 1]) / 6] for i in alone],
    )
    labels = mapped_images().labels
    assert labels is not None
    for i, pixel in zip(alone, shown, strict=True):
        expected = run(visitor, "colours", "colourOf", int(labels[i]))
        difference = np.array(pixel[:3], int) - list(bytes.fromhex(expected.removeprefix("#")))
        assert np.abs(difference).max() <= 2, (i, pixel, expected)
    assert len(alone) > 10


def test_the_nearest_point_is_shown_beside_the_place_as_the_model_rebuilds_it(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=zmapped@1&x=0&y=1")
    wait_for_points(visitor)
    point(visitor, 0.7, 0.4)
    u, place = mapped_latents(), np.array([1.2, 0.6])
    expected = int(np.hypot(*(u[:, :2] - place).T).argmin())
    visitor.until(lambda: nearest(visitor) == 7 * expected)
    away = np.linalg.norm(u[expected, 2:])
    caption = visitor.shown.locator(".map-near-figure figcaption").inner_text()
    assert f"test image {7 * expected}, class {CLASSES[expected % 3]}" in caption
    assert f"{away:.1f} away from this plane" in caption
    shown = visitor.pixels(".map-near")[0]
    answer = visitor.page.request.post(
        f"{visitor.address}/decode?model=zmapped@1&format=json", data={"z": [u[expected].tolist()]}
    )
    [image] = answer.json()["images"]
    png = f"data:image/png;base64,{image['png']}"
    visitor.page.evaluate(
        "png => document.body.append(Object.assign(new Image(), {id: 'x', src: png}))", png
    )
    visitor.page.locator("#x").evaluate("image => image.decode()")
    assert shown == visitor.page.locator("#x").evaluate(
        """image => { const brush = new OffscreenCanvas(8, 8).getContext("2d");
            brush.drawImage(image, 0, 0); return Array.from(brush.getImageData(0, 0, 8, 8).data); }"""
    )


def test_one_class_can_be_looked_at_alone(visitor: Visitor) -> None:
    visitor.open("#map?model=zmapped@1&x=0&y=1")
    wait_for_points(visitor)
    visitor.click("9")
    assert "only=9" in visitor.state
    expect(visitor.shown.get_by_role("button", name="9", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    board(visitor).focus()
    u = mapped_latents()
    expected = min(range(1, 300, 3), key=lambda i: float(np.hypot(*u[i, :2])))
    visitor.until(lambda: nearest(visitor) == 7 * expected)
    visitor.click("9")
    assert "only=" not in visitor.state


def test_the_plane_by_pca_contains_the_axes_of_largest_variance(visitor: Visitor) -> None:
    visitor.open("#map?model=zmapped@1&plane=pca&at=1,0.5")
    wait_for_points(visitor)
    u = mapped_latents()
    _, _, axes = np.linalg.svd(u - u.mean(axis=0), full_matrices=False)
    axes *= np.sign(axes[np.arange(4), np.abs(axes).argmax(axis=1)])[:, None]
    z = requested_latent(visitor)
    assert np.allclose(z, u.mean(axis=0) + axes[0] + 0.5 * axes[1], atol=1e-6)


def test_the_plane_between_two_classes_goes_through_their_means(visitor: Visitor) -> None:
    visitor.open("#map?model=zmapped@1&plane=classes")
    wait_for_points(visitor)
    assert visitor.shown.get_by_label("From class").input_value() == "4"
    assert visitor.shown.get_by_label("To class").input_value() == "9"
    assert visitor.shown.locator(".corners span").all_inner_texts() == ["4", "9"]
    u = mapped_latents()
    for at, label in (("0,0", 0), ("1,0", 1)):
        visitor.open(f"#map?model=zmapped@1&plane=classes&at={at}")
        z = requested_latent(visitor)
        assert np.allclose(z, u[label::3].mean(axis=0), atol=1e-6)
    visitor.choose("To class", "b")
    assert "from=4" in visitor.state
    assert "to=b" in visitor.state
    assert visitor.shown.locator(".corners span").all_inner_texts() == ["4", "b"]


def test_a_version_without_latents_of_test_images_says_what_is_missing(visitor: Visitor) -> None:
    visitor.open("#map?model=zmoving@1")
    expect(visitor.shown.locator("#map-points")).to_contain_text(
        "zmoving@1 was published without latents of test images, so no points are shown"
    )
    expect(visitor.shown.locator("#map-points")).to_contain_text("python -m training complete")
    options = visitor.shown.get_by_label("Plane through").locator("option")
    assert options.evaluate_all("all => all.map(one => one.disabled)") == [False, False, True, True]
    visitor.open("#map?model=zmoving@1&plane=pca")
    expect(
        visitor.page.get_by_text("without latents of test images, which this plane")
    ).to_be_visible()
    assert visitor.shown.get_by_label("Plane through").input_value() == "dimensions"


def test_a_drawing_is_a_dot_at_its_mu_and_is_kept_in_the_link(visitor: Visitor) -> None:
    visitor.open("#draw?model=digits@4")
    visitor.draw((0.3, 0.2), (0.7, 0.2), (0.45, 0.85))
    visitor.part("Map")
    wait_for_state(visitor, "image=")
    expect(board(visitor)).to_have_attribute("data-mine", re.compile("."))
    with_image = visitor.state
    link = re.search(r"image=([\w-]+)", with_image)
    assert link
    mu = encoded(visitor, "digits@4", link[1])
    shown = [float(value) for value in (board(visitor).get_attribute("data-mine") or "").split(",")]
    assert np.allclose(shown, [mu[11], mu[10]], atol=1e-3)
    visitor.click("Plane through it")
    wait_for_state(visitor, "z=")
    visitor.click("Remove")
    assert "image=" not in visitor.state
    visitor.open(with_image)
    expect(board(visitor)).to_have_attribute("data-mine", re.compile("."))


def encoded(visitor: Visitor, model: str, base64url: str) -> list[float]:
    """Return the mu that the service gives a PNG in an address."""
    import base64

    png = base64.urlsafe_b64decode(base64url + "==")
    answer = visitor.page.request.post(
        f"{visitor.address}/encode?model={model}&preprocess=none",
        headers={"content-type": "image/png"},
        data=png,
    )
    mu: list[float] = answer.json()["images"][0]["mu"]
    return mu


def test_a_chosen_file_is_shown_on_the_map(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#map?model=digits@4")
    answer = visitor.page.request.get(f"{visitor.address}/generate?n=1&seed=1&model=digits@4")
    file = tmp_path / "seven.png"
    file.write_bytes(answer.body())
    visitor.shown.get_by_label("Image file").set_input_files(file)
    wait_for_state(visitor, "image=")
    expect(board(visitor)).to_have_attribute("data-mine", re.compile("."))


def test_no_two_colours_look_alike_to_people_with_any_kind_of_colour_vision(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=zmapped@1")
    texts = [run(visitor, "colours", "colourOf", label) for label in range(10)]
    rgb = np.array([list(bytes.fromhex(text[1:])) for text in texts]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    contrast = (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05
    assert contrast.min() > 4
    for name, matrix in VISIONS.items():
        seen = oklab(np.clip(linear @ np.array(matrix).T, 0, 1))
        closest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
        assert closest > 0.12, name


VISIONS = {
    "ordinary": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
"""Matrices on linear RGB, Machado, Oliveira and Fernandes 2009, severity 1."""


def oklab(linear: Floats) -> Floats:
    """Convert linear RGB to OKLab, Ottosson 2020."""
    lms = linear @ np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                             [0.2119034982, 0.6806995451, 0.1073969566],
                             [0.0883024619, 0.2817188376, 0.6299787005]]).T  # fmt: skip
    lab: Floats = np.cbrt(lms) @ np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                                      [1.9779984951, -2.4285922050, 0.4505937099],
                                      [0.0259040371, 0.7827717662, -0.8086757660]]).T  # fmt: skip
    return lab


@pytest.mark.screen(width=390, theme="dark")
def test_the_map_fits_a_phone_with_the_images_above_it(visitor: Visitor) -> None:
    visitor.open("#map?model=zmapped@1")
    wait_for_points(visitor)
    wait_until_drawn(visitor)
    assert visitor.is_as_wide_as_the_window()
    face, map_ = visitor.shown.locator(".map-face").bounding_box(), board(visitor).bounding_box()
    assert face
    assert map_
    assert face["y"] + face["height"] <= map_["y"]
    assert map_["y"] + map_["height"] - face["y"] < 800, "both are visible at once"
