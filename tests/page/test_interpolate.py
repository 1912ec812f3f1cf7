"""Interpolate: the two ends, the frames between them, and playing them."""

import io
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.page.visitor import Visitor


def test_the_first_frame_is_a_and_the_last_is_b(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8")
    frames = visitor.pixels(".strip img")
    assert len(frames) == 8
    assert visitor.pixels(".slot img") == [frames[0], frames[-1]]


def test_the_slider_and_the_strip_show_the_same_frame(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8&t=0")
    frames = visitor.pixels(".strip img")
    visitor.shown.get_by_role("slider").fill("3")
    visitor.settled()
    assert visitor.pixels(".stage img") == [frames[3]]
    visitor.shown.get_by_role("button", name="Frame 6", exact=True).last.click()
    visitor.settled()
    assert visitor.pixels(".stage img") == [frames[5]]
    assert visitor.shown.get_by_role("slider").input_value() == "5"


def test_the_frames_play_until_they_are_paused(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8&t=0")
    first = visitor.page.locator(".stage img").get_attribute("src")
    visitor.click("Play")
    visitor.page.wait_for_function(
        "first => document.querySelector('.stage img').src !== first", arg=first
    )
    visitor.click("Pause")
    assert visitor.shown.get_by_role("button", name="Play", exact=True).is_visible()


def test_the_linear_and_the_spherical_path_have_the_same_ends_only(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8&path=slerp")
    arc = visitor.pixels(".strip img")
    visitor.choose("Path", "linear")
    line = visitor.pixels(".strip img")
    assert (line[0], line[-1]) == (arc[0], arc[-1])
    assert line[4] != arc[4]


def test_the_ends_can_be_swapped_and_get_new_seeds(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8")
    frames = visitor.pixels(".strip img")
    visitor.click("Swap A and B")
    assert visitor.pixels(".strip img") == frames[::-1]
    visitor.type("Seed of A", "77")
    assert "a=seed:77" in visitor.state
    visitor.shown.get_by_role("button", name="New seed").last.click()
    visitor.settled()
    assert "b=seed:1" not in visitor.state.split("&")


def test_a_drawing_can_be_an_end(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#draw")
    visitor.draw((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    seen = visitor.pixels(".triptych img")[0]
    visitor.part("Interpolate")
    visitor.shown.get_by_role("button", name="Drawing").first.click()
    visitor.settled()
    assert visitor.pixels(".slot img")[0] == seen
    frames = visitor.pixels(".strip img")
    saved = visitor.saved("Save PNG").read_bytes()
    code = visitor.copied("Copy as Python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "interpolation.png").read_bytes() == saved
    visitor.open(visitor.state)
    assert visitor.pixels(".strip img") == frames


def test_an_image_can_be_dropped_on_an_end(visitor: Visitor) -> None:
    made = visitor.page.request.get(f"{visitor.address}/generate?n=1&seed=5&metadata=false").body()
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8")
    visitor.drop(made, ".slot:last-child")
    visitor.until(lambda: "b=png:" in visitor.state)
    visitor.settled()
    assert "a=seed:1" in visitor.state


def test_the_gif_plays_forwards_and_backwards(visitor: Visitor) -> None:
    visitor.open("#interpolate?a=seed:1&b=seed:2&steps=8")
    with Image.open(io.BytesIO(visitor.saved("Save GIF").read_bytes())) as picture:
        assert picture.format == "GIF"
        assert picture.n_frames == 14  # type: ignore[attr-defined]
        assert picture.size == (224, 224)
