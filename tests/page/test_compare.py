"""Compare: two to four versions on the same seeds, the same image, or the same walk."""

import io
import re

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, expect

from tests.page.visitor import Visitor

SEEDS = "#compare?model=lab@4&other=notebook@3&n=4&seed=8"
INHERITED = ["constructor", "__proto__", "toString"]


def a_seven() -> bytes:
    """Return a 7 as it could be drawn: white lines on black, 28x28."""
    drawing = Image.new("L", (280, 280), 0)
    ImageDraw.Draw(drawing).line([(70, 70), (200, 70), (120, 220)], fill=255, width=26)
    file = io.BytesIO()
    drawing.resize((28, 28)).save(file, "PNG")
    return file.getvalue()


def columns(visitor: Visitor) -> list[str]:
    return visitor.shown.locator(".compared h3").all_inner_texts()


def view(visitor: Visitor, name: str) -> None:
    visitor.click(name, within="[aria-label=View]")


def wiped_share(visitor: Visitor) -> float:
    """Return the share of the width that shows the first picture, as it is painted."""
    clip = visitor.shown.locator(".wipe-over").evaluate("over => getComputedStyle(over).clipPath")
    hidden = re.search(r"inset\(0px ([\d.]+)%", clip)
    return 1 - float(hidden[1]) / 100 if hidden else 1.0


# --- versions ---


def test_the_default_address_pins_both_versions_of_one_data_set(visitor: Visitor) -> None:
    visitor.open("#compare")
    first, second = columns(visitor)
    assert f"#compare?model={first}&other={second}&" in visitor.state
    assert visitor.shown.locator("tbody tr", has_text="Trained on").locator(
        "td"
    ).all_inner_texts() == ["MNIST", "MNIST"]
    visitor.open(visitor.state)
    assert columns(visitor) == [first, second]


def test_another_model_in_the_header_gets_a_partner_of_its_own_data_set(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4")
    visitor.page.get_by_label("Model", exact=True).select_option("fashion")
    visitor.page.wait_for_url(re.compile(r"model=fashion@3&other=fashion-flow@\d"))
    visitor.settled()
    assert columns(visitor)[0] == "fashion@3"


def test_a_partner_that_the_user_chose_stays(visitor: Visitor) -> None:
    visitor.open(SEEDS)
    visitor.page.get_by_label("Model", exact=True).select_option("fashion")
    visitor.settled()
    assert columns(visitor) == ["fashion@3", "notebook@3"]


def test_a_version_alone_in_its_data_set_is_paired_with_none_by_default(visitor: Visitor) -> None:
    visitor.open("#compare?model=letters&n=4")
    assert len(columns(visitor)) == 1
    assert "Nothing else was trained on Letters" in visitor.shown.inner_text()
    visitor.click("Add a version")
    assert len(columns(visitor)) == 2
    verdict = visitor.shown.locator(".verdict")
    expect(verdict).to_contain_text("Not ranked: letters@3 was trained on Letters, ")
    groups = visitor.shown.locator("select optgroup")
    labels = {group.get_attribute("label") for group in groups.all()}
    assert {"Letters", "Faces"} <= labels
    assert not labels & {"glyphs", "avatars"}


def test_versions_are_added_up_to_four_and_removed(visitor: Visitor) -> None:
    visitor.open(SEEDS)
    visitor.click("Add a version")
    visitor.click("Add a version")
    expect(visitor.shown.locator(".compared")).to_have_count(4)
    assert visitor.shown.get_by_role("button", name="Add a version").count() == 0
    assert len(set(columns(visitor))) == 4
    visitor.click("Remove notebook@3")
    expect(visitor.shown.locator(".compared")).to_have_count(3)
    assert "notebook@3" not in columns(visitor)
    assert visitor.page.evaluate("document.activeElement !== document.body")


def test_an_alias_in_the_address_is_pinned(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab&other=notebook@production,mnist-gaussian&n=1")
    assert "other=notebook@3,mnist-gaussian@2" in visitor.state
    assert columns(visitor) == ["lab@4", "notebook@3", "mnist-gaussian@2"]


@pytest.mark.parametrize("name", INHERITED)
def test_names_that_every_object_inherits_are_no_versions(visitor: Visitor, name: str) -> None:
    for other in (name, f"lab@{name}", f"lab@4,{name}"):
        visitor.open(f"#compare?model=lab@4&other={other}&n=1")
        assert name in visitor.page.locator("#notice").inner_text()
        assert columns(visitor)[0] == "lab@4"
    visitor.open(f"#compare?model=lab@4&other=notebook@3&n=1&input={name}&view={name}&a={name}:1")
    assert columns(visitor) == ["lab@4", "notebook@3"]
    assert visitor.page.evaluate("Object.keys(Object.prototype).length") == 0


# --- ranking ---


def test_the_best_and_the_worst_of_three_are_marked(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=mnist@11,notebook@3&n=1")
    row = visitor.shown.locator("tr", has_text="Frechet distance of samples").locator("td")
    assert [text.split()[1:] for text in row.all_inner_texts()] == [
        [],
        ["▲", "best"],
        ["▼", "worst"],
    ]
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "mnist@11 makes the best samples: their Frechet distance from real images is 0.30, "
        "against 10.25 of lab@4 and 26.56 of notebook@3."
    )


def test_numbers_of_two_data_sets_are_never_in_one_row(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=fashion@3,notebook@3&n=1")
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "Not ranked: lab@4 was trained on MNIST, fashion@3 on Fashion-MNIST, notebook@3 on MNIST, "
        "and measurements of different data sets cannot be compared."
    )
    tables = visitor.shown.locator("table")
    assert [table.locator("thead th").all_inner_texts()[1:] for table in tables.all()] == [
        ["lab@4", "notebook@3"],
        ["fashion@3"],
    ]
    assert tables.nth(0).locator(".mark").count() > 0
    assert tables.nth(1).locator(".mark").count() == 0


# --- views ---


def test_the_wipe_uncovers_the_second_picture_by_pointer_and_by_keyboard(
    visitor: Visitor,
) -> None:
    visitor.open(f"{SEEDS}&view=wipe")
    beside = visitor.shown.locator(".wipe-pictures canvas")
    assert beside.count() == 2
    assert wiped_share(visitor) == 0.5
    box = beside.first.bounding_box()
    assert box
    visitor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 30, steps=3)
    visitor.page.mouse.up()
    visitor.settled()
    assert wiped_share(visitor) == pytest.approx(0.2, abs=0.02)
    assert re.search(r"wipe=0\.(2|19|21)\b", visitor.state)
    slider = visitor.shown.get_by_label("Position of the wipe")
    slider.press("End")
    visitor.settled()
    assert wiped_share(visitor) == 1
    expect(slider).to_be_focused()
    assert slider.get_attribute("aria-valuetext") == "100 % lab@4, 0 % notebook@3"


def test_a_wipe_shows_the_pixels_of_both_versions(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&n=1&seed=8")
    tiles = visitor.pixels(".tiles img")
    view(visitor, "Wipe")
    assert visitor.pixels(".wipe-over canvas, .wipe-under canvas") == [tiles[1], tiles[0]]


def test_the_wiped_version_is_chosen_among_four(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3,mnist@11&n=4&view=wipe")
    visitor.choose("Wipe to", "2")
    assert visitor.shown.locator(".wipe-name").all_inner_texts() == ["lab@4", "mnist@11"]
    assert "against=2" in visitor.state


def test_a_difference_with_a_gain_is_that_of_the_pixels(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&n=1&seed=8")
    first, second = visitor.pixels(".tiles img")
    visitor.open("#compare?model=lab@4&other=notebook@3&n=1&seed=8&view=difference&gain=3")
    [shown] = visitor.pixels(".tiles canvas")
    at = max(range(0, len(first), 4), key=lambda i: abs(second[i] - first[i]))
    for i in range(0, len(first), 4):
        change = second[i] - first[i]
        strength = min(1.0, 3 * abs(change) / 255)
        colour = (255, 140, 60) if change > 0 else (80, 150, 255)
        assert shown[i : i + 3] == pytest.approx([level * strength for level in colour], abs=1)
    assert shown[at : at + 3] in ([255, 140, 60], [80, 150, 255])
    mean = sum(abs(second[i] - first[i]) for i in range(0, len(first), 4)) / 784 / 255
    assert f"{100 * mean:.1f} %" in visitor.captions()


def test_a_version_does_not_differ_from_itself(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=lab@4&n=1&seed=8&view=difference&gain=32")
    assert "no difference" in visitor.captions()
    [shown] = visitor.pixels(".tiles canvas")
    assert {value for i, value in enumerate(shown) if i % 4 != 3} == {0}


@pytest.mark.parametrize("name", ["wipe", "difference"])
def test_images_of_two_sizes_are_shown_beside_each_other_and_the_page_says_why(
    visitor: Visitor, name: str
) -> None:
    visitor.open(f"#compare?model=lab@4&other=letters&n=1&view={name}")
    assert re.search(r"lab@4 makes 28.28 pixels, letters@", visitor.shown.inner_text())
    assert visitor.tiles.count() == 2


def test_moving_the_gain_asks_the_service_for_nothing(visitor: Visitor) -> None:
    visitor.open(f"{SEEDS}&view=difference")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    before = visitor.pixels(".tiles canvas")
    visitor.shown.get_by_label("Gain").press("End")
    visitor.settled()
    assert "gain=32" in visitor.state
    assert visitor.pixels(".tiles canvas") != before
    assert [url for url in asked if "/static/" not in url] == []


# --- inputs ---


def test_images_follow_the_temperature_while_its_slider_moves(visitor: Visitor) -> None:
    visitor.open(SEEDS)
    refused: list[str] = []
    visitor.page.on("requestfailed", lambda request: refused.append(request.url))
    slider = visitor.shown.get_by_label("Temperature")
    pixels = visitor.pixels(".tiles img")
    script = """(slider, value) => {
        slider.value = value;
        slider.dispatchEvent(new Event("input", {bubbles: true}));
    }"""
    for step in range(20):
        slider.evaluate(script, 1.5 - 0.05 * step)
    visitor.until(lambda: visitor.pixels(".tiles img") != pixels)
    assert "temperature=" not in visitor.state
    assert refused == []
    slider.evaluate("slider => slider.dispatchEvent(new Event('change', {bubbles: true}))")
    visitor.settled()
    assert "temperature=0.55" in visitor.state
    followed = visitor.pixels(".tiles img")
    visitor.open(visitor.state)
    assert visitor.pixels(".tiles img") == followed


def test_all_versions_reconstruct_the_image_that_was_drawn_here(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&input=drawing")
    assert "Draw a digit" in visitor.shown.inner_text()
    pad = visitor.shown.locator(".own-pad").bounding_box()
    assert pad
    visitor.page.mouse.move(pad["x"] + 40, pad["y"] + 40)
    visitor.page.mouse.down()
    visitor.page.mouse.move(pad["x"] + 120, pad["y"] + 40, steps=4)
    visitor.page.mouse.move(pad["x"] + 70, pad["y"] + 130, steps=4)
    visitor.page.mouse.up()
    expect(visitor.shown.locator(".compared")).to_have_count(2)
    visitor.settled()
    seen = visitor.pixels(".seen img")
    assert seen[0] == seen[1]
    assert any(any(pixel != 255 for pixel in picture) for picture in seen)
    state = visitor.state
    assert "input=drawing&" in state
    assert "&image=iVBOR" in state
    shown = visitor.pixels(".tiles img")
    visitor.open(state)
    assert visitor.pixels(".tiles img") == shown


def test_the_numbers_of_an_upload_are_ranked_if_all_versions_got_the_same_pixels(
    visitor: Visitor,
) -> None:
    visitor.open("#compare?model=notebook@3&other=mnist@11&input=drawing")
    visitor.drop(a_seven(), ".own-image")
    expect(visitor.shown.locator(".compared")).to_have_count(2)
    visitor.settled()
    row = visitor.shown.locator("tr", has_text="This image: reconstruction error")
    assert [text.split()[-1] for text in row.locator("td").all_inner_texts()] == ["worse", "better"]


def test_the_difference_of_a_drawing_is_from_what_the_model_got(visitor: Visitor) -> None:
    visitor.open("#compare?model=notebook@3&other=mnist@11&input=drawing&view=difference")
    visitor.drop(a_seven(), ".own-image")
    expect(visitor.shown.locator(".compared canvas")).to_have_count(2)
    first, second = (float(text.split()[0]) for text in visitor.captions() if "%" in text)
    assert first > second > 0


def test_a_walk_has_the_same_ends_and_one_position_for_all_versions(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&input=walk&a=seed:4&b=seed:9&steps=6&t=0")
    strips = visitor.shown.locator(".strip")
    assert strips.count() == 2
    frames = visitor.pixels(".strip img")
    assert visitor.pixels(".tiles img") == [frames[0], frames[6]]
    visitor.shown.get_by_label("Position of the walk").press("End")
    visitor.settled()
    assert visitor.pixels(".tiles img") == [frames[5], frames[11]]
    assert "t=1" in visitor.state
    visitor.click("New seed for B")
    assert visitor.pixels(".strip img")[5] != frames[5]


def test_play_moves_the_walk(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3&input=walk&steps=4&t=0")
    slider = visitor.shown.get_by_label("Position of the walk")
    visitor.click("Play")
    visitor.until(lambda: slider.input_value() == "3")
    visitor.click("Pause")


# --- layout ---


@pytest.mark.parametrize(
    "across",
    [
        pytest.param(across, marks=pytest.mark.screen(width=width), id=str(width))
        for width, across in ((390, 2), (768, 4), (1440, 4), (2560, 4))
    ],
)
def test_four_versions_fit_every_screen(visitor: Visitor, across: int) -> None:
    visitor.open("#compare?model=lab@4&other=notebook@3,mnist@11,mnist-gaussian@2&n=4")
    assert visitor.is_as_wide_as_the_window()
    tops = [_top(column) for column in visitor.shown.locator(".compared").all()]
    assert tops.count(tops[0]) == across


def _top(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return box["y"]


def test_numbers_that_are_shown_alike_are_not_called_better_and_worse(visitor: Visitor) -> None:
    visitor.open("#compare?model=mnist-gaussian@2&other=notebook@3&n=1")
    named = visitor.shown.locator("tbody tr", has_text="Sample quality")
    assert named.locator("td").all_inner_texts() == 2 * ["82 % as recognisable as real images"]
    assert visitor.shown.locator(".mark").count() > 0
