"""Shared by all parts: themes, small screens, the choice of a model, error messages."""

import pytest

from tests.page.visitor import Visitor

PARTS = ["Generate", "Draw", "Interpolate", "Traverse", "Map", "Compare", "History", "Model"]


def test_samples_are_shown_before_any_click(visitor: Visitor) -> None:
    visitor.open()
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
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), part
    ground = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 384) is (theme == "light")


def test_every_part_can_be_reached_by_keyboard(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_role("link", name="Generate").focus()
    for part in PARTS[1:]:
        visitor.page.keyboard.press("Tab")
        visitor.page.keyboard.press("Enter")
        visitor.settled()
        assert visitor.shown.get_attribute("data-part") == part.lower()


def test_another_model_shows_its_own_numbers_and_images(visitor: Visitor) -> None:
    visitor.open()
    before = visitor.pixels(".tiles img")
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    visitor.page.locator("#numbers").get_by_text("2 dimensions").wait_for()
    visitor.settled()
    assert "model=notebook@2" in visitor.state
    assert visitor.pixels(".tiles img") != before


def test_an_older_version_can_be_chosen(visitor: Visitor) -> None:
    visitor.open("#generate?model=zcolour@2&n=4&seed=1")
    newer = visitor.pixels(".tiles img")
    visitor.page.get_by_label("Version").select_option("1")
    visitor.settled()
    assert "model=zcolour@1" in visitor.state
    assert visitor.pixels(".tiles img") != newer


def test_each_metric_is_shown_with_its_protocol(visitor: Visitor) -> None:
    visitor.open("#model?model=mnist@7")
    assert "86.84 nats" in visitor.shown.inner_text()
    visitor.shown.get_by_text("All metrics").click()
    assert "10,000 test images" in visitor.shown.inner_text()


def test_the_numbers_of_each_class_are_a_table_of_their_own(visitor: Visitor) -> None:
    visitor.open("#model?model=fashion@2")
    visitor.shown.get_by_text("Numbers of each class").click()
    metrics = visitor.page.request.get(f"{visitor.address}/models/fashion/2").json()["manifest"][
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
    assert "There is no model named nothing" in visitor.problem()
    assert visitor.tiles.count() == 4


def test_an_error_of_the_service_is_shown_with_its_remedy(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.route(
        "**/generate**", lambda route: route.continue_(url=f"{visitor.address}/generate?n=0")
    )
    visitor.click("New samples")
    text = visitor.problem()
    assert "at least 1" in text
    assert "What to do: " in text
    assert len(visitor.errors) == 2
    assert all(error.startswith(("422", "console")) for error in visitor.errors)
    visitor.errors.clear()


def test_the_back_button_shows_the_previous_images_again(visitor: Visitor) -> None:
    visitor.open()
    before = visitor.pixels(".tiles img")
    visitor.click("New samples")
    assert visitor.pixels(".tiles img") != before
    with visitor.page.expect_response("**/generate?**"):
        visitor.page.go_back()
    visitor.settled()
    assert visitor.pixels(".tiles img") == before
