"""Sliders, walks and strips that the page decodes by itself: the pictures of the service, without a request."""

import base64
import itertools
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx
import numpy as np
import pytest

from app.sampling import latents, paths
from model_store.arithmetic import rounding
from tests.api.service import digit
from tests.page.local_decoder import until_loaded, until_ready, without_the_network
from tests.page.slow_service import record_requests, sent
from tests.page.test_home import rgba, seen_png
from tests.page.visitor import Visitor

MODELS = ["lab@4", "mnist@11"]
"""Without a flow, and with one."""
STEPS = 5


def post(visitor: Visitor, path: str, **body: Any) -> Any:
    """Return the JSON that the service answers with, asked beside the browser."""
    answer = httpx.post(f"{visitor.address}/{path}&format=json", timeout=60, **body)
    return answer.raise_for_status().json()


def prepared(visitor: Visitor, ref: str) -> bytes:
    """Return a PNG of a digit as the model sees it."""
    answer = post(visitor, f"reconstruct?model={ref}", files={"image": digit(3)})
    return base64.b64decode(answer["images"][0]["input"])


def in_address(png: bytes) -> str:
    return base64.urlsafe_b64encode(png).decode().rstrip("=")


@pytest.mark.parametrize("path", ["slerp", "linear"])
@pytest.mark.parametrize("ref", MODELS)
def test_a_walk_between_seeds_is_that_of_the_service(visitor: Visitor, ref: str, path: str) -> None:
    visitor.open(f"#interpolate?model={ref}&a=seed:1&b=seed:2&steps={STEPS}&path={path}")
    until_ready(visitor, ref)
    with without_the_network(visitor):
        visitor.type("Seed of A", "77")
        visitor.shown.get_by_role("slider").fill("2")
        visitor.settled()
    query = f"interpolate?model={ref}&seed_a=77&seed_b=2&steps={STEPS}&path={path}"
    answer = post(visitor, query)
    frames = [rgba(frame["png"]) for frame in answer["frames"]]
    visitor.until(lambda: visitor.pixels(".strip img") == frames)
    assert visitor.pixels(".stage img") == [frames[2]]
    assert visitor.pixels(".slot img") == [rgba(answer["a"]), rgba(answer["b"])]


def test_a_walk_from_an_image_is_that_of_the_service(visitor: Visitor) -> None:
    ref = "mnist@11"
    png = prepared(visitor, ref)
    visitor.open(f"#interpolate?model={ref}&a=png:{in_address(png)}&b=seed:2&steps={STEPS}")
    until_ready(visitor, ref)
    with without_the_network(visitor):
        visitor.type("Seed of B", "9")
    query = f"interpolate?model={ref}&seed_b=9&steps={STEPS}&path=slerp&preprocess=none"
    answer = post(visitor, query, files={"a": png})
    visitor.until(
        lambda: visitor.pixels(".strip img") == [rgba(frame["png"]) for frame in answer["frames"]]
    )
    assert visitor.pixels(".slot img")[0] == rgba(answer["a"])


@pytest.mark.parametrize("ref", MODELS)
def test_the_strips_and_the_image_at_z_are_those_of_the_service(visitor: Visitor, ref: str) -> None:
    visitor.open(f"#traverse?model={ref}&seed=5&steps={STEPS}")
    until_ready(visitor, ref)
    with without_the_network(visitor):
        visitor.type("Seed to start from", "8")
        first = visitor.shown.locator(".strip").first.locator(".tile")
        first.nth(4).click()
        visitor.settled()
    dimension = int((first.nth(4).get_attribute("aria-label") or "").split(" ")[0][1:])
    (generated,) = post(visitor, f"generate?model={ref}&n=1&seed=8")["images"]
    z = generated["z"]
    z[dimension] = 3.0
    (image,) = post(visitor, f"decode?model={ref}", json={"z": [z]})["images"]
    assert visitor.pixels(".side img") == [rgba(image["png"])]
    rows = [[*z[:dimension], value, *z[dimension + 1 :]] for value in (-3.0, -1.5, 0.0, 1.5, 3.0)]
    strip = post(visitor, f"decode?model={ref}", json={"z": rows})["images"]
    canvases = f".strip:has([aria-label^='{'z' if ref == 'lab@4' else 'u'}{dimension} =']) canvas"
    visitor.until(lambda: visitor.pixels(canvases) == [rgba(image["png"]) for image in strip])


@pytest.mark.parametrize("ref", MODELS)
def test_strips_along_directions_are_those_of_the_service(visitor: Visitor, ref: str) -> None:
    visitor.open(f"#traverse?model={ref}&seed=5&steps={STEPS}&rows=directions")
    until_ready(visitor, ref)
    until_loaded(visitor, "directions.safetensors")
    with without_the_network(visitor):
        visitor.type("Seed to start from", "8")
        visitor.shown.get_by_label("slant +1.5", exact=True).click()
        visitor.settled()
    query = f"edit?model={ref}&direction=slant&by=1.5&seed=8"
    (moved,) = post(visitor, query)["images"]
    visitor.until(lambda: visitor.pixels(".side img") == [rgba(moved["png"])])
    query = f"traverse?model={ref}&direction=thickness&steps={STEPS}&span=3"
    (row,) = post(visitor, query, json={"z": [moved["z"]]})["directions"]
    expected = [rgba(image) for image in row["images"]]
    canvases = "[aria-label='Direction thickness'] canvas"
    visitor.until(lambda: visitor.pixels(canvases) == expected)


@pytest.mark.parametrize("ref", MODELS)
def test_the_sliders_of_draw_edit_as_the_service_does(visitor: Visitor, ref: str) -> None:
    png = prepared(visitor, ref)
    visitor.open(f"#draw?model={ref}&image={in_address(png)}")
    until_ready(visitor, ref)
    visitor.shown.locator(".typicality").wait_for()
    until_loaded(visitor, "directions.safetensors")
    with without_the_network(visitor):
        visitor.shown.get_by_label("slant", exact=True).fill("-1.5")
        visitor.shown.get_by_label("thickness", exact=True).fill("2")
        visitor.settled()
        query = f"edit?model={ref}&direction=thickness,slant&by=2,-1.5&preprocess=none"
        (edited,) = post(visitor, query, files={"image": png})["images"]
        visitor.until(lambda: visitor.pixels(".edit img") == [rgba(edited["png"])])


def test_the_slider_of_the_temperature_decodes_by_itself(visitor: Visitor) -> None:
    visitor.open("#generate?model=mnist@11&n=4&seed=4294967294")
    until_ready(visitor, "mnist@11")
    first = visitor.tiles.first.element_handle()
    with without_the_network(visitor):
        visitor.shown.get_by_role("slider").fill("0.35")
        visitor.settled()
    query = "generate?model=mnist@11&n=4&seed=4294967294&temperature=0.35"
    expected = [rgba(image["png"]) for image in post(visitor, query)["images"]]
    visitor.until(lambda: visitor.pixels(".tiles img") == expected)
    assert first.evaluate("tile => tile.isConnected")


def test_the_steps_of_a_slider_that_the_service_edits_are_sent_one_at_a_time(
    visitor: Visitor,
) -> None:
    record_requests(visitor, delay_ms=150)
    visitor.open(f"#draw?model=zmoving@1&image={in_address(prepared(visitor, 'zmoving@1'))}")
    visitor.shown.get_by_role("region", name="Edit").wait_for()
    visitor.until(lambda: len(visitor.pixels(".edit img")) == 1)
    before = len(sent(visitor, "edit"))
    slant = visitor.shown.get_by_label("slant", exact=True)
    for step in range(1, 9):
        slant.fill(str(step / 4))
    query = "edit?model=zmoving@1&direction=slant&by=2&preprocess=none"
    png = prepared(visitor, "zmoving@1")
    (edited,) = post(visitor, query, files={"image": png})["images"]
    visitor.until(lambda: visitor.pixels(".edit img") == [rgba(edited["png"])])
    asked = sent(visitor, "edit")[before:]
    assert 2 <= len(asked) < 8
    assert not any(one.aborted for one in asked)
    assert {one.in_flight for one in asked[1:]} == {0}


def test_the_map_follows_pointer_and_keys_by_itself(visitor: Visitor) -> None:
    visitor.open("#map?model=mnist@11&x=0&y=1&layer=images")
    until_ready(visitor, "mnist@11")
    board = visitor.shown.locator(".board")
    visitor.until(lambda: board.get_attribute("data-missing") == "0")
    with without_the_network(visitor):
        board.focus()
        visitor.page.keyboard.press("ArrowRight")
        board.hover(position={"x": 100, "y": 100})
        visitor.page.mouse.wheel(0, -240)
        live = visitor.shown.locator(".map-live")
        visitor.until(lambda: board.get_attribute("data-missing") == "0")
        at = live.get_attribute("data-at") or ""
        z = [0.0] * 32
        z[0], z[1] = map(float, at.split(","))
        (image,) = post(visitor, "decode?model=mnist@11", json={"z": [z]})["images"]
        visitor.until(lambda: visitor.pixels(".map-live") == [rgba(image["png"])])
        visitor.page.wait_for_timeout(400)  # until the place is stored in the address
        visitor.settled()


@pytest.mark.parametrize("ref", MODELS)
def test_the_die_and_the_slider_of_home_decode_by_themselves(visitor: Visitor, ref: str) -> None:
    visitor.open(f"#home?model={ref}")
    until_ready(visitor, ref)
    visitor.shown.locator(".costs-chart:not(.awaiting)").wait_for()
    with without_the_network(visitor):
        visitor.click("Roll")
        visitor.shown.get_by_role("slider").fill("2")
        visitor.settled()
    seed = dict(parse_qsl(visitor.state.partition("?")[2]))["seed"]
    query = f"augment?model={ref}&n=10&seed={seed}&temperature=2&preprocess=none"
    images = post(visitor, query, files={"image": seen_png(visitor)})["images"]
    visitor.until(
        lambda: visitor.pixels(".ghost canvas") == [rgba(image["png"]) for image in images]
    )


_LATENTS = """async ([seeds, steps]) => {
    const { standardNormal } = await import("/static/js/noise.js");
    const { pathBetween } = await import("/static/js/paths.js");
    const drawn = seeds.map(seed => standardNormal(seed, 33));
    const pairs = drawn.slice(1).map((z, i) => [drawn[i], z]);
    const walks = path => pairs.map(([a, b]) => pathBetween(a, b, steps, path));
    return { drawn, slerp: walks("slerp"), linear: walks("linear") };
}"""


def test_draws_and_paths_have_the_bits_of_the_service(visitor: Visitor) -> None:
    visitor.open("#generate?n=1")
    seeds = [*range(300), 2**31, 2**32 - 1]
    got = visitor.page.evaluate(_LATENTS, [seeds, 7])
    drawn = latents.standard_normal(np.array(seeds, np.uint64), 33)
    np.testing.assert_array_equal(np.array(got["drawn"], np.float32), drawn)
    for name, path in (("slerp", paths.slerp), ("linear", paths.lerp)):
        expected = [path(a, b, 7) for a, b in itertools.pairwise(drawn)]
        np.testing.assert_array_equal(np.array(got[name], np.float32), np.array(expected))


_EXACT = """async ([a, b]) => {
    const fixed = await import("/static/js/exact/fixed_point.js");
    const { BITS } = await import("/static/js/exact/rounding.js");
    const digits = value => value.toString();
    const unit = fixed.fixed(a);
    return {
        bits: Number(BITS), cos: digits(fixed.cos(unit)), sin: digits(fixed.sin(unit)),
        acos: digits(fixed.acos(fixed.fixed(b), Math.acos(b))), sqrt: digits(fixed.sqrt(unit)),
    };
}"""


@pytest.mark.parametrize(("a", "b"), [(0.7, 0.3), (3.1, -0.999), (6.2, 0.9999), (1e-3, 0.0)])
def test_the_functions_that_decide_a_rounding_have_fifty_digits(
    visitor: Visitor, a: float, b: float
) -> None:
    visitor.open("#generate?n=1")
    got = visitor.page.evaluate(_EXACT, [a, b])
    context = rounding.DIGITS
    angle = Decimal(a)
    expected = {
        "cos": rounding.cos_radians(angle),
        "sin": rounding.sin_radians(angle),
        "acos": rounding.acos_radians(Decimal(b), float(np.arccos(b))),
        "sqrt": context.sqrt(angle),
    }
    for name, value in expected.items():
        result = context.divide(Decimal(got[name]), context.power(Decimal(2), got["bits"]))
        assert abs(context.subtract(result, value)) < Decimal("1e-44"), name


NEARLY_PARALLEL = [([1.0, 0.0], [1.0, 1e-4]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [1.0, 2.0])]


@pytest.mark.parametrize(("a", "b"), NEARLY_PARALLEL)
def test_ends_without_an_arc_are_joined_by_a_line(
    visitor: Visitor, a: list[float], b: list[float]
) -> None:
    visitor.open("#generate?n=1")
    script = """async ([a, b]) => {
        const { pathBetween } = await import("/static/js/paths.js");
        return pathBetween(a.map(Math.fround), b.map(Math.fround), 4, "slerp");
    }"""
    got = np.array(visitor.page.evaluate(script, [a, b]), np.float32)
    first, last = (np.array(end, np.float32) for end in (a, b))
    np.testing.assert_array_equal(got, paths.slerp(first, last, 4))
