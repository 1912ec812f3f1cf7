"""Names from an address, a PNG or an answer that every JavaScript object inherits."""

import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Route

from tests.page.visitor import Visitor

INHERITED = ["constructor", "__proto__", "toString", "hasOwnProperty", "__defineGetter__"]


def png_with(parameters: object) -> bytes:
    """Return a grey drawing with these parameters in its text chunk."""
    text = PngInfo()
    text.add_text("parameters", json.dumps(parameters))
    drawing = Image.new("L", (28, 28), 0)
    drawing.paste(255, (12, 4, 16, 24))
    file = io.BytesIO()
    drawing.save(file, "PNG", pnginfo=text)
    return file.getvalue()


def is_unharmed(visitor: Visitor) -> bool:
    """Return True if no object of the page got a property or lost one."""
    script = """() => Object.keys(Object.prototype).length === 0 && Object.keys(Object).length === 0
        && typeof {}.toString === "function" && {}.part === undefined && {}.n === undefined"""
    return bool(visitor.page.evaluate(script))


@pytest.mark.parametrize("name", INHERITED)
def test_a_part_that_every_object_inherits_is_no_part(visitor: Visitor, name: str) -> None:
    for address in (f"#{name}", f"#{name}?model=lab@4&n=4&seed=9"):
        visitor.open(address)
        assert visitor.page.locator("#part-home").is_visible()
        assert visitor.page.locator("#problem").is_hidden()
        assert visitor.page.locator("#part-home .ghost canvas").count() > 0
    assert is_unharmed(visitor)


@pytest.mark.parametrize("name", INHERITED)
def test_a_value_that_every_object_inherits_is_ignored(visitor: Visitor, name: str) -> None:
    visitor.open(f"#generate?model=lab@4&{name}=5&n=4&seed=9")
    request = visitor.page.locator("#request").text_content() or ""
    assert "generate?model=lab@4&n=4&seed=9&temperature=1" in request
    assert name not in request
    visitor.open(f"#interpolate?model=lab@4&a={name}:1&path={name}&steps=2")
    request = visitor.page.locator("#request").text_content() or ""
    assert "seed_a=50" in request
    assert "path=slerp" in request
    assert is_unharmed(visitor)


@pytest.mark.parametrize("name", INHERITED)
def test_an_alias_or_model_that_every_object_inherits_does_not_exist(
    visitor: Visitor, name: str
) -> None:
    for reference, words in (
        (f"lab@{name}", f"lab has no version {name}"),
        (name, f"There is no model named {name}"),
    ):
        visitor.open(f"#generate?model={reference}&n=4&seed=9")
        assert words in visitor.page.locator("#problem").inner_text()
        assert visitor.state.startswith("#generate?model=mnist@")


@pytest.mark.parametrize(
    "parameters",
    [
        *(
            {"model": "lab@4", "endpoint": name, "part": "generate", "values": {}}
            for name in INHERITED
        ),
        *(
            {"model": "lab@4", "endpoint": "draw", "part": name, "values": {}}
            for name in INHERITED[:2]
        ),
        {"model": {"name": "lab"}, "endpoint": "/generate"},
        {"model": ["lab@4"], "endpoint": "/generate"},
        {"model": "lab@4", "endpoint": ["/generate"]},
        {"model": "lab@4", "endpoint": "/decode", "z": {"0": [1]}},
        {"model": "lab@4"},
        ["lab@4"],
        "lab@4",
        None,
        7,
    ],
    ids=lambda parameters: json.dumps(parameters)[:60],
)
def test_a_png_whose_settings_are_none_of_ours_is_a_drawing(
    visitor: Visitor, parameters: object
) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=9")
    visitor.drop(png_with(parameters))
    visitor.page.wait_for_selector("#part-draw:not([hidden]) .triptych img")
    visitor.settled()
    assert is_unharmed(visitor)


def test_values_in_a_png_that_no_control_can_have_are_replaced(visitor: Visitor) -> None:
    values = {"n": "constructor", "seed": 9, "temperature": {"a": 1}, "label": None, "__proto__": 1}
    visitor.open("#generate?model=lab@4&n=4&seed=1")
    visitor.drop(png_with({"model": "lab@4", "endpoint": "/generate", **values}))
    visitor.page.wait_for_url("**#generate?model=lab@4&n=16&seed=9&temperature=1")
    visitor.settled()
    assert is_unharmed(visitor)


@pytest.mark.parametrize("name", INHERITED)
def test_an_alias_of_an_answer_may_have_any_name(visitor: Visitor, name: str) -> None:
    def add_alias(route: Route) -> None:
        answer = json.loads(route.fetch().text())
        lab = next(model for model in answer["models"] if model["name"] == "lab")
        lab["aliases"][name] = lab["versions"][0]
        route.fulfill(json=answer)

    visitor.page.route("**/models?**", add_alias)
    visitor.open(f"#generate?model=lab@{name}&n=4&seed=9")
    assert visitor.page.locator("#problem").is_hidden()
    assert visitor.state.startswith("#generate?model=lab@4&n=4&seed=9")
    assert name in (visitor.page.locator("#version").text_content() or "")
    assert is_unharmed(visitor)
