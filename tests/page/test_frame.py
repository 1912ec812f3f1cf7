"""Shared by all parts: themes, small screens, the choice of a model, error messages."""

import pytest

from tests.page.visitor import Visitor

PARTS = [
    "Home",
    "Generate",
    "Draw",
    "Interpolate",
    "Traverse",
    "Map",
    "Learn",
    "Compare",
    "History",
    "Model",
    "Scenes",
]


def test_samples_are_shown_before_any_click(visitor: Visitor) -> None:
    visitor.open("#generate")
    assert visitor.tiles.count() == 16
    assert any(map(any, visitor.pixels(".tiles img")))


def test_the_first_picture_needs_no_script(visitor: Visitor) -> None:
    visitor.page.route(
        "**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript")
    )
    visitor.page.goto(visitor.address)
    assert visitor.page.locator("#first").evaluate("image => image.decode().then(() => true)")


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param("light", marks=pytest.mark.screen(width=375, theme="light")),
        pytest.param("dark", marks=pytest.mark.screen(width=375, theme="dark", motion="reduce")),
    ],
)
def test_every_part_fits_a_phone_in_either_theme(visitor: Visitor, theme: str) -> None:
    visitor.open()
    for part in PARTS:
        visitor.part(part)
        if part == "Draw":
            visitor.draw((0.5, 0.15), (0.48, 0.85))
        assert visitor.is_as_wide_as_the_window(), part
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 384) is (theme == "light")


@pytest.mark.screen(width=390)
def test_no_link_of_the_navigation_is_cut_on_a_phone(visitor: Visitor) -> None:
    visitor.open("#generate?n=4")
    for link in visitor.page.get_by_role("navigation").get_by_role("link").all():
        box = link.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


@pytest.mark.screen(width=390)
@pytest.mark.parametrize(
    "state",
    ["#traverse?model=letters", "#traverse?model=letters&rows=directions", "#interpolate?steps=64"],
)
def test_strips_are_a_few_screens_long_on_a_phone(visitor: Visitor, state: str) -> None:
    visitor.open(state)
    assert visitor.page.evaluate("document.documentElement.scrollHeight") < 3 * 844


def test_less_informative_dimensions_are_drawn_when_they_are_opened(visitor: Visitor) -> None:
    visitor.open("#traverse?model=mnist@11&steps=3")
    more = visitor.shown.locator(".more-dimensions")
    assert "18 more dimensions" in more.locator("summary").inner_text()
    assert not any(any(image) for image in visitor.pixels(".more-dimensions canvas"))
    more.locator("summary").click()
    visitor.until(lambda: all(any(image) for image in visitor.pixels(".more-dimensions canvas")))


def test_a_menu_lies_within_a_low_window(visitor: Visitor) -> None:
    visitor.open("#generate?n=4")
    visitor.page.set_viewport_size({"width": 844, "height": 300})
    visitor.tiles.first.click()
    box = visitor.page.locator("#menu").bounding_box()
    assert box
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 300
    visitor.page.keyboard.press("End")
    last = visitor.page.get_by_role("menuitem").last.bounding_box()
    assert last
    assert last["y"] + last["height"] <= 300


@pytest.mark.parametrize(
    ("opener", "box"), [(".tile >> nth=3", "#menu"), ("[data-term=z]", "#meaning")]
)
def test_an_open_box_stays_beside_its_opener(visitor: Visitor, opener: str, box: str) -> None:
    visitor.open("#generate?n=16&seed=1")
    visitor.shown.locator(opener).click()

    def is_beside() -> bool:
        at, floating = (
            where.bounding_box()
            for where in (visitor.shown.locator(opener), visitor.page.locator(box))
        )
        assert at
        assert floating
        left = min(at["x"], visitor.page.viewport_size["width"] - floating["width"] - 8)  # type: ignore[index]
        below = abs(floating["y"] - (at["y"] + at["height"] + 6)) <= 1
        above = abs(floating["y"] + floating["height"] + 6 - at["y"]) <= 1
        return abs(floating["x"] - left) <= 1 and (below or above)

    visitor.until(is_beside)
    for width in (700, 390, 1200):
        visitor.page.set_viewport_size({"width": width, "height": 800})
        visitor.until(is_beside)
    visitor.page.mouse.wheel(0, 60)
    visitor.until(lambda: bool(visitor.page.evaluate("scrollY > 0")))
    visitor.until(is_beside)


def test_data_sets_and_models_are_described(visitor: Visitor) -> None:
    visitor.open("#generate?model=notebook@3&n=4")
    about = visitor.page.locator("#about").inner_text()
    assert about == (
        "MNIST: handwritten digits, 28\N{MULTIPLICATION SIGN}28. "
        "notebook: two dimensions, so that the whole latent space is one map."
    )
    groups = visitor.page.locator("#model optgroup").evaluate_all("all => all.map(g => g.label)")
    assert "Letters: letters and digits of open fonts, 32\N{MULTIPLICATION SIGN}32" in groups
    assert len(groups) == len(set(groups))


PRIMARY = {
    "Home": "Roll",
    "Generate": "New samples",
    "Interpolate": "Play",
    "Traverse": "New seed",
    "Learn": "Play",
    "Compare": "New samples",
    "Scenes": "Present",
}
"""The primary action of each part. The others have a canvas or a map, a list or a table instead."""


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_at_most_one_primary_action(visitor: Visitor, part: str) -> None:
    visitor.open("#generate?n=4")
    visitor.part(part)
    primary = visitor.shown.locator(".primary:visible")
    assert [" ".join(text.split()) for text in primary.all_inner_texts()] == (
        [PRIMARY[part]] if part in PRIMARY else []
    )


@pytest.mark.parametrize(
    "width",
    [pytest.param(w, marks=pytest.mark.screen(width=w)) for w in (390, 768, 1440, 2560)],
)
@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_as_wide_as_the_window(visitor: Visitor, part: str, width: int) -> None:
    visitor.open(f"#{part.lower()}?model=lab@4")
    assert visitor.is_as_wide_as_the_window()
    boxes = visitor.shown.locator("button:visible, input:visible, select:visible, canvas:visible")
    for box in boxes.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())"):
        is_clipped = box["width"] <= 1  # for screen readers
        assert is_clipped or -1 <= box["left"] <= box["right"] <= width + 1, box


@pytest.mark.parametrize(
    "width",
    [pytest.param(w, marks=pytest.mark.screen(width=w)) for w in (390, 768, 1440, 2560)],
)
def test_header_navigation_and_parts_have_the_same_edges(visitor: Visitor, width: int) -> None:
    visitor.open("#generate?n=4")
    for part in PARTS:
        visitor.part(part)
        bar, links, main = (visitor.page.locator(each) for each in (".bar", "nav.parts", "main"))
        edges = [
            each.evaluate(
                """box => {
                    const { left, right } = box.getBoundingClientRect();
                    const style = getComputedStyle(box);
                    return [left + parseFloat(style.paddingLeft),
                            right - parseFloat(style.paddingRight)];
                }"""
            )
            for each in (bar, links, main)
        ]
        assert edges[1] == pytest.approx(edges[0], abs=1), part
        assert edges[2] == pytest.approx(edges[0], abs=1), part


def test_every_part_can_be_reached_by_keyboard(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_role("navigation").get_by_role("link", name="Home").focus()
    for part in PARTS[1:]:
        visitor.page.keyboard.press("Tab")
        visitor.page.keyboard.press("Enter")
        visitor.settled()
        assert visitor.shown.get_attribute("data-part") == part.lower()


def test_another_model_shows_its_own_numbers_and_images(visitor: Visitor) -> None:
    visitor.open("#generate")
    before = visitor.pixels(".tiles img")
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    visitor.page.locator("#numbers").get_by_text("2 dimensions").wait_for()
    visitor.settled()
    assert "model=notebook@3" in visitor.state
    assert visitor.pixels(".tiles img") != before


def test_an_older_version_can_be_chosen(visitor: Visitor) -> None:
    visitor.open("#generate?model=zcolour@2&n=4&seed=1")
    newer = visitor.pixels(".tiles img")
    visitor.page.get_by_label("Version").select_option("1")
    visitor.settled()
    assert "model=zcolour@1" in visitor.state
    assert visitor.pixels(".tiles img") != newer


def test_each_metric_is_shown_with_its_protocol(visitor: Visitor) -> None:
    visitor.open("#model?model=mnist@11")
    assert "86.95 nats" in visitor.shown.inner_text()
    visitor.shown.get_by_text("All metrics").click()
    assert "10,000 test images" in visitor.shown.inner_text()


def test_the_numbers_of_each_class_are_a_table_of_their_own(visitor: Visitor) -> None:
    visitor.open("#model?model=fashion@3")
    visitor.shown.get_by_text("Numbers of each class").click()
    metrics = visitor.page.request.get(f"{visitor.address}/models/fashion/3").json()["manifest"][
        "metrics"
    ]
    coat = visitor.shown.locator(".by-class tr").filter(has_text="Coat").inner_text().split()
    right, recall = (metrics[f"label_{name}[Coat]"]["value"] for name in ("right", "recall"))
    assert f"{100 * right:.1f}" in coat
    assert coat[-2:] == [f"{100 * recall:.1f}", "%"]
    visitor.shown.get_by_text("All metrics").click()
    assert "label_recall[Coat]" not in visitor.shown.locator(".measured").inner_text()
    assert "label_recall" in visitor.shown.locator(".measured").inner_text()


def test_an_unknown_model_gives_an_error_message_and_the_default_is_shown(visitor: Visitor) -> None:
    visitor.open("#generate?model=nothing@1&n=4&seed=1")
    assert "There is no model named nothing. mnist@11 is shown instead." in visitor.problem()
    assert visitor.tiles.count() == 4


def test_an_error_of_the_service_is_shown_with_its_remedy(visitor: Visitor) -> None:
    visitor.open("#generate")
    refused = f"{visitor.address}/generate?n=0"
    visitor.page.route("**/generate**", lambda r: r.fulfill(response=r.fetch(url=refused)))
    visitor.click("New samples")
    text = visitor.problem()
    assert "at least 1" in text
    assert "What to do: " in text
    assert visitor.errors  # the answer, and in Chromium a message in the console
    assert all(error.startswith(("422", "console")) for error in visitor.errors)
    visitor.errors.clear()


def test_the_back_button_shows_the_previous_images_again(visitor: Visitor) -> None:
    visitor.open("#generate")
    before = visitor.pixels(".tiles img")
    visitor.click("New samples")
    assert visitor.pixels(".tiles img") != before
    with visitor.page.expect_response("**/generate?**"):
        visitor.page.go_back()
    visitor.settled()
    assert visitor.pixels(".tiles img") == before
