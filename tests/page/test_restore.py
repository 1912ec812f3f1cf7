"""A dropped PNG that the service made restores its settings."""

import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

from tests.page.visitor import Visitor


@pytest.mark.parametrize(
    ("request_path", "state"),
    [
        (
            "generate?model=lab&n=4&seed=9&temperature=0.7&label=3",
            "#generate?model=lab@4&n=4&seed=9&temperature=0.7&label=3",
        ),
        (
            "interpolate?seed_a=4&seed_b=5&steps=8&path=linear&scale=3",
            "#interpolate?model=mnist@11&a=seed:4&b=seed:5&steps=8&path=linear&t=0.5",
        ),
        (
            "traverse?model=notebook&seed=3&steps=5&span=2",
            "#traverse?model=notebook@3&seed=3&steps=5&span=2&rows=dimensions",
        ),
    ],
)
def test_a_dropped_png_restores_its_state(visitor: Visitor, request_path: str, state: str) -> None:
    png = visitor.page.request.post(f"{visitor.address}/{request_path}").body()
    visitor.open()
    visitor.drop(png)
    visitor.page.wait_for_url("**" + state)
    visitor.settled()


@pytest.mark.parametrize("scale", [1, 4])
def test_a_dropped_reconstruction_restores_its_input(visitor: Visitor, scale: int) -> None:
    visitor.open("#draw")
    visitor.page.get_by_role("group", name="Samples").get_by_role("button").nth(4).click()
    visitor.settled()
    before = visitor.pixels(".triptych img")
    png = visitor.saved("Save PNG").read_bytes()
    with Image.open(io.BytesIO(png)) as picture:
        larger = picture.resize((picture.width * scale, picture.height * scale), 0)
        file = io.BytesIO()
        larger.save(file, "PNG", pnginfo=_text_of(picture))
    visitor.open()
    visitor.drop(file.getvalue())
    visitor.page.wait_for_selector("#part-draw:not([hidden]) .triptych img")
    visitor.settled()
    assert visitor.pixels(".triptych img") == before


def test_a_dropped_image_of_a_z_restores_the_z(visitor: Visitor) -> None:
    visitor.open("#traverse?seed=5")
    visitor.shown.get_by_role("radio").nth(0).click()
    visitor.settled()
    state, png = visitor.state, visitor.saved("Save PNG").read_bytes()
    before = visitor.pixels(".side img")
    visitor.open()
    visitor.drop(png)
    visitor.page.wait_for_url(f"**{state.split('&seed')[0]}**")
    visitor.settled()
    assert visitor.pixels(".side img") == before


def test_a_setting_of_a_png_that_cannot_be_shown_is_replaced_and_named(visitor: Visitor) -> None:
    settings = {"endpoint": "/generate", "model": "lab@4", "n": 4, "seed": "nine", "label": "3"}
    text = PngInfo()
    text.add_text("parameters", json.dumps(settings))
    file = io.BytesIO()
    Image.new("L", (28, 28)).save(file, "PNG", pnginfo=text)
    visitor.open()
    visitor.drop(file.getvalue())
    visitor.page.wait_for_url("**#generate?model=lab@4&n=4&seed=1&temperature=1&label=3")
    visitor.settled()
    expect(visitor.page.locator("#notice")).to_contain_text(
        "seed=nine cannot be shown: seed must be a whole number from 0 to 4294967295. "
        "seed=1 is used instead."
    )


def _text_of(picture: Image.Image) -> PngInfo:
    """Return the settings in a PNG, to be saved in another one."""
    text = PngInfo()
    text.add_text("parameters", picture.info["parameters"])
    return text
