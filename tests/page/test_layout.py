"""Geometry that makes a part readable: nothing is cut, covered, ragged or without a label."""

import pytest
from playwright.sync_api import FloatRect, Locator, Route, expect

from tests.page.visitor import Visitor


def box(locator: Locator) -> FloatRect:
    place = locator.bounding_box()
    assert place
    return place


def boxes(locators: Locator) -> list[FloatRect]:
    return [box(each) for each in locators.all()]


def rows(locators: Locator) -> int:
    """Return in how many rows elements stand."""
    return len({round(place["y"]) for place in boxes(locators)})


def shows_its_option(select: Locator) -> bool:
    """Return true if a drop-down list is wide enough for the text of its selected option."""
    script = """select => {
        const brush = document.createElement("canvas").getContext("2d");
        const {font, paddingLeft, paddingRight} = getComputedStyle(select);
        brush.font = font;
        const text = brush.measureText(select.selectedOptions[0].text).width;
        return select.clientWidth >= text + parseFloat(paddingLeft) + parseFloat(paddingRight);
    }"""
    return bool(select.evaluate(script))


# --- the header ---


@pytest.mark.screen(width=1440)
@pytest.mark.parametrize("model", ["mnist", "faces", "notebook"])
def test_the_chosen_model_and_version_can_be_read(visitor: Visitor, model: str) -> None:
    visitor.open(f"#generate?model={model}&n=1")
    for name in ("Model", "Version"):
        assert shows_its_option(visitor.page.get_by_label(name, exact=True)), name


@pytest.mark.screen(width=390)
def test_on_a_phone_the_version_can_be_read_and_the_model_has_a_row(visitor: Visitor) -> None:
    visitor.open("#generate?n=1")
    model, version = (visitor.page.get_by_label(name, exact=True) for name in ("Model", "Version"))
    assert shows_its_option(version)
    assert box(model)["width"] > 340
    assert box(model)["y"] > box(version)["y"]


@pytest.mark.screen(width=768)
def test_the_choice_of_the_model_stands_beside_the_name_on_a_tablet(visitor: Visitor) -> None:
    visitor.open("#generate?n=1")
    name, version = visitor.page.get_by_role("heading", level=1), visitor.page.locator("#version")
    assert box(name)["y"] < box(version)["y"] + box(version)["height"] / 2
    assert box(name)["y"] + box(name)["height"] > box(version)["y"]
    assert box(version)["x"] + box(version)["width"] <= 768


def test_before_the_models_are_known_there_is_nothing_to_choose(visitor: Visitor) -> None:
    held: list[Route] = []
    visitor.page.route("**/models?**", lambda route: held.append(route))  # noqa: PLW0108
    visitor.page.goto(visitor.address)
    visitor.until(lambda: bool(held))
    picker = visitor.page.locator("#model")
    expect(picker).to_be_hidden()

    def is_visible_after_the_answer() -> bool:
        while held:
            held.pop().continue_()
        return picker.is_visible()

    visitor.until(is_visible_after_the_answer)


# --- the parts ---


@pytest.mark.screen(width=1440)
def test_256_images_stand_in_sixteen_rows(visitor: Visitor) -> None:
    visitor.open("#generate?n=256&seed=1")
    tops = visitor.tiles.evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
    assert len(set(tops)) == 16


@pytest.mark.screen(width=1440)
def test_the_buttons_of_an_end_stand_in_one_row(visitor: Visitor) -> None:
    visitor.open("#interpolate?model=notebook&steps=4")
    for slot in visitor.shown.locator(".slot").all():
        assert rows(slot.locator(".row button")) == 1


@pytest.mark.parametrize(
    "width",
    [pytest.param(width, marks=pytest.mark.screen(width=width)) for width in (390, 1440)],
)
@pytest.mark.parametrize("strips", ["dimensions", "directions"])
def test_values_stand_above_the_images_of_strips(visitor: Visitor, strips: str, width: int) -> None:
    visitor.open(f"#traverse?model=mnist&steps=9&span=2&rows={strips}")
    values = visitor.shown.locator(".strip-values span")
    assert values.all_inner_texts() == ["\u22122", "0", "+2"]
    tiles = boxes(visitor.shown.locator(".strip:visible").first.locator(".tile"))
    for value, tile in zip(boxes(values), [tiles[0], tiles[4], tiles[8]], strict=True):
        middle = value["x"] + value["width"] / 2
        assert tile["x"] < middle < tile["x"] + tile["width"], width
        assert value["y"] + value["height"] <= tile["y"]


def test_what_u_is_stands_above_the_strips_of_a_flow(visitor: Visitor) -> None:
    visitor.open("#traverse?model=mnist&steps=5")
    note = visitor.shown.locator(".flow-note")
    assert box(note)["y"] < box(visitor.shown.locator(".strip").first)["y"]
    visitor.open("#traverse?model=notebook&steps=5")
    expect(note).to_be_hidden()


def test_the_ring_of_the_place_leaves_the_label_under_it_readable(visitor: Visitor) -> None:
    visitor.open("#map?plane=seeds&model=mnist")
    ring = visitor.shown.locator(".cross")
    label = visitor.shown.locator(".corners span", has_text="A")
    inner = ring.evaluate("e => e.clientWidth")
    assert inner >= box(label)["width"]
    assert box(ring)["x"] < box(label)["x"] < box(ring)["x"] + box(ring)["width"]


@pytest.mark.parametrize(
    "width",
    [pytest.param(width, marks=pytest.mark.screen(width=width)) for width in (390, 768)],
)
def test_32_dimensions_stand_in_two_full_rows_on_narrow_screens(
    visitor: Visitor, width: int
) -> None:
    visitor.open("#draw?model=mnist")
    tops = [place["y"] for place in boxes(visitor.shown.locator(".dimension"))]
    assert [tops.count(top) for top in sorted(set(tops))] == [16, 16], width


@pytest.mark.screen(width=768)
def test_the_bars_of_the_costs_have_room_on_a_tablet(visitor: Visitor) -> None:
    visitor.open("#home?model=notebook")
    assert box(visitor.shown.locator(".track").first)["width"] > 300


def test_the_unit_of_a_chart_covers_no_number(visitor: Visitor) -> None:
    visitor.open("#model?model=mnist")
    for chart in visitor.shown.locator(".curves svg").all():
        unit = box(chart.locator("text", has_text="nats"))
        numbers = boxes(chart.locator('text[text-anchor="end"]'))
        assert len(numbers) > 2
        assert all(unit["x"] + unit["width"] <= number["x"] for number in numbers)


@pytest.mark.screen(width=390)
def test_on_a_phone_the_stage_shows_three_versions_beside_each_other(visitor: Visitor) -> None:
    visitor.open("#scenes?list=shipped&at=5")
    sides = visitor.shown.locator(".compared")
    expect(sides).to_have_count(3)
    assert rows(sides) == 1


# --- wide windows ---


@pytest.mark.screen(width=2560)
def test_a_wide_window_is_used_and_its_text_is_larger(visitor: Visitor) -> None:
    visitor.open("#generate?n=16&seed=1")
    tiles = boxes(visitor.tiles)
    assert tiles[7]["x"] + tiles[7]["width"] - tiles[0]["x"] > 0.75 * 2560
    assert visitor.page.evaluate("getComputedStyle(document.body).fontSize") == "20px"


@pytest.mark.screen(width=2560)
def test_words_stand_beside_the_map_in_a_wide_window(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook")
    board = box(visitor.shown.locator(".board"))
    for words in (".legend", "#map-help", "#map-points"):
        place = box(visitor.shown.locator(words))
        assert place["x"] > board["x"] + board["width"], words
        assert place["y"] + place["height"] <= board["y"] + board["height"], words


@pytest.mark.parametrize(
    "width",
    [pytest.param(width, marks=pytest.mark.screen(width=width)) for width in (1800, 2560)],
)
def test_strips_of_a_walk_begin_where_the_numbers_begin(visitor: Visitor, width: int) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&input=walk&a=seed:1&b=seed:2&steps=4")
    left = [box(visitor.shown.locator(each).first)["x"] for each in (".walk-strips", ".ranking")]
    assert left[0] == left[1], width


@pytest.mark.screen(width=1440)
def test_the_chart_of_32_dimensions_is_one_row_as_wide_as_the_pictures(visitor: Visitor) -> None:
    visitor.open("#draw?model=mnist")
    assert rows(visitor.shown.locator(".dimension")) == 1
    chart, pictures = (box(visitor.shown.locator(each)) for each in (".chart", ".triptych"))
    assert abs(chart["width"] - pictures["width"]) < 1
