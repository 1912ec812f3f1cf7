"""Map: a plane through the latent space, the image under the pointer, and moving the view."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.page.browsers import Browsers
from tests.page.visitor import Visitor, run_in_a_shell


def board(visitor: Visitor) -> Locator:
    return visitor.shown.get_by_role("application")


def point(visitor: Visitor, x: float, y: float) -> None:
    """Move the pointer over the map, whose top left is (0, 0) and bottom right (1, 1)."""
    board(visitor).scroll_into_view_if_needed()
    box = board(visitor).bounding_box()
    assert box
    visitor.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def place(visitor: Visitor) -> tuple[float, float]:
    """Return the place whose image is shown."""
    at = visitor.shown.locator(".map-live").get_attribute("data-at")
    assert at
    x, y = map(float, at.split(","))
    return x, y


def wait_for_place(visitor: Visitor, x: float, y: float) -> None:
    """Wait until the image of a place within 0.02 is shown."""

    def is_shown() -> bool:
        shown_x, shown_y = place(visitor)
        return abs(shown_x - x) < 0.02 and abs(shown_y - y) < 0.02

    visitor.until(is_shown)


def wait_for_state(visitor: Visitor, part: str) -> None:
    visitor.until(lambda: part in visitor.state)
    visitor.settled()


def shown_image(visitor: Visitor) -> list[int]:
    pixels: list[int] = visitor.pixels(".map-live")[0]
    return pixels


def wait_until_drawn(visitor: Visitor) -> None:
    """Wait until all pictures of the view are decoded and painted."""
    visitor.settled()
    expect(board(visitor)).to_have_attribute("data-missing", "0")


def picture(visitor: Visitor) -> bytes:
    """Return the pictures of the map as a PNG."""
    pictures = visitor.shown.locator(".board-pictures")
    address = pictures.evaluate("canvas => canvas.toDataURL()")
    return base64.b64decode(address.split(",")[1])


def cells(visitor: Visitor, side: int, count: int = 15) -> NDArray[np.uint8]:
    """Return the pictures of the map, (count, count, side, side), grey: rows, columns, pixels."""
    plane = np.asarray(Image.open(io.BytesIO(picture(visitor))).convert("L"))
    places = ((np.arange(count * side) + 0.5) * len(plane) / (count * side)).astype(int)
    chosen: NDArray[np.uint8] = plane[np.ix_(places, places)]
    return chosen.reshape(count, side, count, side).transpose(0, 2, 1, 3)


def view(visitor: Visitor) -> list[float]:
    """Return s, t and half of the view in the address."""
    shown = re.search(r"view=([-\d.,e]+)", visitor.state)
    return [float(value) for value in shown[1].split(",")] if shown else []


def touch(browsers: Browsers, visitor: Visitor, *moments: list[tuple[float, float]]) -> None:
    """Touch the map with one or two fingers, which move from one moment to the next."""
    board(visitor).scroll_into_view_if_needed()
    box = board(visitor).bounding_box()
    assert box

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    browsers.touch(visitor.page, [[place(x, y) for x, y in fingers] for fingers in moments])


def image_from_service(visitor: Visitor, path: str, **request: object) -> list[int]:
    """Return the RGBA values of an image that the service returns."""
    answer = visitor.page.request.post(f"{visitor.address}/{path}", **request)  # type: ignore[arg-type]
    rgba = Image.open(io.BytesIO(answer.body())).convert("RGBA")
    return [int(value) for value in np.asarray(rgba).ravel()]


def decoded(visitor: Visitor, model: str, z: list[float]) -> list[int]:
    return image_from_service(visitor, f"decode?model={model}", data={"z": [z]})


def test_the_map_of_a_model_with_two_dimensions_is_its_whole_latent_space(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3")
    wait_until_drawn(visitor)
    tiles = cells(visitor, 28)
    centre = np.array(decoded(visitor, "notebook@3", [0, 0])).reshape(28, 28, 4)[..., 0]
    assert np.abs(tiles[7, 7].astype(int) - centre).max() <= 1
    assert tiles.reshape(225, -1).any(axis=1).all()


def test_the_image_follows_the_pointer_and_a_click_keeps_it(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3")
    at_home = shown_image(visitor)
    point(visitor, 0.2, 0.3)
    wait_for_place(visitor, -1.8, 1.2)
    assert shown_image(visitor) == decoded(visitor, "notebook@3", list(place(visitor)))
    assert "at=" not in visitor.state
    visitor.page.mouse.move(5, 5)
    wait_for_place(visitor, 0, 0)
    assert shown_image(visitor) == at_home
    point(visitor, 0.2, 0.3)
    visitor.page.mouse.down()
    visitor.page.mouse.up()
    wait_for_state(visitor, "at=")
    kept = shown_image(visitor)
    visitor.page.mouse.move(5, 5)
    visitor.settled()
    assert shown_image(visitor) == kept == visitor.pixels(".map-face img")[0]


def test_arrow_keys_and_sliders_move_the_place(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3&at=0,0")
    board(visitor).focus()
    visitor.page.keyboard.press("ArrowRight")
    visitor.page.keyboard.press("Shift+ArrowUp")
    wait_for_place(visitor, 0.1, 0.5)
    wait_for_state(visitor, "at=0.1,0.5")
    visitor.shown.get_by_role("slider", name="z1").press("Home")
    wait_for_place(visitor, 0.1, -3)
    wait_for_state(visitor, "at=0.1,-3")
    board(visitor).press("Home")
    wait_for_state(visitor, "at=0,0")


def test_a_touch_selects_a_place(visitor: Visitor, browsers: Browsers) -> None:
    visitor.open("#map?model=notebook@3")
    touch(browsers, visitor, [(0.75, 0.25)])
    wait_for_place(visitor, 1.5, 1.5)
    wait_for_state(visitor, "at=1.5,1.5")


def test_a_swipe_moves_the_map_and_not_the_page_or_the_place(
    visitor: Visitor, browsers: Browsers
) -> None:
    visitor.open("#map?model=notebook@3&at=0.5,0.5")
    board(visitor).scroll_into_view_if_needed()
    before = visitor.page.evaluate("scrollY")
    touch(browsers, visitor, [(0.5, 0.5)], [(0.5, 0.55)], [(0.6, 0.7)], [(0.75, 0.75)])
    wait_for_state(visitor, "view=")
    s, t, half = view(visitor)
    assert (round(s, 1), round(t, 1), half) == (-1.5, 1.5, 3)
    assert "at=0.5,0.5" in visitor.state
    assert visitor.page.evaluate("scrollY") == before


def test_two_fingers_that_move_apart_zoom_in_around_their_middle(
    visitor: Visitor, browsers: Browsers
) -> None:
    visitor.open("#map?model=notebook@3")
    fingers = [[(0.75 - d, 0.5), (0.75 + d, 0.5)] for d in (0.05, 0.07, 0.1, 0.15, 0.2)]
    touch(browsers, visitor, *fingers)
    wait_for_state(visitor, "view=")
    s, t, half = view(visitor)
    assert 0.7 < half < 0.8
    assert abs(s + half / 2 - 1.5) < 0.05
    assert abs(t) < 0.05
    assert "at=0,0" in visitor.state


def test_dragging_moves_the_map_and_decodes_what_comes_into_view(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3")
    wait_until_drawn(visitor)
    before = cells(visitor, 28)
    point(visitor, 0.3, 0.5)
    visitor.page.mouse.down()
    point(visitor, 0.5, 0.5)
    visitor.page.mouse.up()
    wait_for_state(visitor, "view=")
    assert view(visitor) == [-1.2, 0, 3]
    wait_until_drawn(visitor)
    moved = cells(visitor, 28)
    assert np.array_equal(moved[:, 3:], before[:, :-3])
    expected = np.array(decoded(visitor, "notebook@3", [-3.6, 0])).reshape(28, 28, 4)[..., 0]
    assert np.abs(moved[7, 1].astype(int) - expected).max() <= 1


def test_the_wheel_zooms_around_the_pointer_into_smaller_cells(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3")
    point(visitor, 0.75, 0.25)
    wait_for_place(visitor, 1.5, 1.5)
    for _ in range(4):
        visitor.page.mouse.wheel(0, -100)
    wait_for_state(visitor, "view=")
    s, t, half = view(visitor)
    assert abs(half - 3 * np.exp(-0.64)) < 0.01
    assert abs(s + half / 2 - 1.5) < 0.01
    assert abs(t + half / 2 - 1.5) < 0.01
    wait_until_drawn(visitor)
    before = picture(visitor)
    visitor.open(visitor.state)
    wait_until_drawn(visitor)
    assert picture(visitor) == before


def test_the_map_is_zoomed_and_reset_by_keys_and_buttons(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3&at=2.5,0")
    board(visitor).press("+")
    wait_for_state(visitor, "view=")
    s, _, half = view(visitor)
    assert half == 2
    assert s + half >= 2.5, "the place stays visible"
    board(visitor).press("0")
    visitor.until(lambda: "view=" not in visitor.state)
    visitor.click("Zoom out")
    wait_for_state(visitor, "view=0,0,6")
    visitor.click("Reset the view")
    visitor.until(lambda: "view=" not in visitor.state)
    assert "at=2.5,0" in visitor.state


def test_arrow_keys_move_the_view_along_when_the_place_leaves_it(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3&at=2.9,0")
    for _ in range(4):
        board(visitor).press("Shift+ArrowRight")
    wait_for_place(visitor, 4.9, 0)
    wait_for_state(visitor, "at=4.9,0")
    s, _, half = view(visitor)
    assert s + half > 4.9


def test_live_images_are_requested_one_at_a_time(visitor: Visitor) -> None:
    # Playwright does not know what Firefox sends, so the page itself keeps it
    visitor.page.add_init_script("""
        window.asked = [];
        window.inFlight = 0;
        const send = window.fetch;
        window.fetch = async (address, options) => {
            if (!/decode.*metadata=false/.test(address)) return send(address, options);
            inFlight += 1;
            asked.push({ z: JSON.parse(options.body).z[0], inFlight });
            const answer = await send(address, options);
            inFlight -= 1;
            return answer;
        };
    """)
    visitor.open("#map?model=zmapped@1")
    wait_until_drawn(visitor)
    before = len(visitor.page.evaluate("asked"))
    for i in range(40):
        point(visitor, 0.1 + 0.8 * i / 39, 0.5)
    wait_for_place(visitor, 2.4, 0)
    asked = visitor.page.evaluate("asked")[before:]
    assert {request["inFlight"] for request in asked} == {1}
    assert len(asked) <= 40
    assert asked[-1]["z"][1::-1] == list(place(visitor))


def test_the_map_of_a_larger_model_starts_with_its_two_most_informative_dimensions(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=digits@4")
    assert visitor.shown.get_by_label("Horizontal").input_value() == "11"
    assert visitor.shown.get_by_label("Vertical").input_value() == "10"
    point(visitor, 0.75, 0.25)
    wait_for_place(visitor, 1.5, 1.5)
    x, y = place(visitor)
    z = [0.0] * 20
    z[11], z[10] = x, y
    assert shown_image(visitor) == decoded(visitor, "digits@4", z)
    before = picture(visitor)
    visitor.choose("Horizontal", "3")
    wait_until_drawn(visitor)
    assert "x=3" in visitor.state
    assert picture(visitor) != before


def test_a_plane_through_three_seeds_contains_their_images(visitor: Visitor) -> None:
    for at, seed in (("0,0", 1), ("1,0", 2), ("0,1", 3)):
        visitor.open(f"#map?model=digits@4&plane=seeds&a=1&b=2&c=3&at={at}")
        at_place = np.array(visitor.pixels(".map-face img")[0])
        by_seed = np.array(image_from_service(visitor, f"generate?model=digits@4&n=1&seed={seed}"))
        assert np.abs(at_place - by_seed).max() <= 1, seed
    assert visitor.shown.locator(".corners span").all_inner_texts() == ["A", "B", "C"]


def test_an_image_from_another_part_is_the_first_place_of_its_map(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1&model=digits@4")
    image = visitor.pixels(".tiles img")[2]
    visitor.menu(visitor.tiles.nth(2), "Map around here")
    assert visitor.pixels(".map-face img") == [image]
    visitor.menu(visitor.shown.locator(".map-face .tile"), "Interpolate from here")
    assert visitor.shown.get_attribute("data-part") == "interpolate"


def test_a_reopened_map_shows_the_same_pixels(visitor: Visitor) -> None:
    visitor.open("#map?model=digits@4&x=3&y=7&seed=5&at=1.2,-0.4&span=2")
    wait_until_drawn(visitor)
    before = picture(visitor), visitor.pixels(".map-face img, .map-live")
    visitor.open(visitor.state)
    wait_until_drawn(visitor)
    assert (picture(visitor), visitor.pixels(".map-face img, .map-live")) == before


def test_a_copied_curl_gives_the_image_of_the_place(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#map?model=notebook@3&at=-1.5,0.3")
    saved = visitor.saved("Save PNG").read_bytes()
    command = visitor.copied("Copy as curl")
    run_in_a_shell(command, tmp_path)
    assert (tmp_path / "image.png").read_bytes() == saved


def test_another_model_gets_a_map_of_its_own(
    visitor: Visitor,
) -> None:
    visitor.open("#map?model=digits@4&plane=seeds&at=0.5,0.5")
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    expect(visitor.shown.get_by_role("slider", name="z0")).to_be_visible()
    visitor.settled()
    assert shown_image(visitor) == decoded(visitor, "notebook@3", list(place(visitor)))
