"""Learn: the snapshots of a training along its time, and a family of models along beta."""

import json

import numpy as np
import pytest
from playwright.sync_api import Locator, Route, expect

from tests.page.learning import EPOCHS, TEST_IMAGES
from tests.page.visitor import Visitor
from tests.unit.training_snapshots import snapshots

LAST = len(EPOCHS) - 1


def time(visitor: Visitor) -> Locator:
    return visitor.shown.get_by_label("Time")


def beta(visitor: Visitor) -> Locator:
    return visitor.shown.get_by_label("beta", exact=True)


def words(visitor: Visitor) -> str:
    return visitor.shown.locator(".learn-words").inner_text()


def move(visitor: Visitor, slider: Locator, value: int) -> None:
    slider.fill(str(value))
    visitor.settled()


def moments(visitor: Visitor) -> set[str]:
    """Return the snapshots that the three canvases show."""
    shown = visitor.shown.locator("canvas").evaluate_all("all => all.map(c => c.dataset.at)")
    assert len(shown) == 3
    return set(shown)


def test_time_moves_samples_reconstructions_points_and_losses_together(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    assert moments(visitor) == {str(LAST)}
    assert time(visitor).get_attribute("aria-valuetext") == "epoch 4 of 4"
    trained = visitor.pixels("canvas")
    mark = visitor.shown.locator("line.now")
    end = mark.get_attribute("x1")
    move(visitor, time(visitor), 1)
    assert moments(visitor) == {"1"}
    assert time(visitor).get_attribute("aria-valuetext") == "epoch 0.25 of 4"
    assert all(a != b for a, b in zip(trained, visitor.pixels("canvas"), strict=True))
    assert mark.get_attribute("x1") != end
    assert "0.25 of the first pass" in words(visitor)
    assert "at=1" in visitor.state


def test_the_pictures_and_numbers_are_those_of_the_file(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1&at=1")
    kept = snapshots(
        shape=(1, 28, 28), labels=(0, 1), beta=1.0, epochs=EPOCHS, test_images=TEST_IMAGES
    )
    tiles = kept.tiles()[1, :, 0]
    for canvas, first, count in (("samples", 0, 16), ("rebuilt", 16, 8)):
        (rgba,) = visitor.pixels(f".learn-{canvas} canvas")
        pixels = np.array(rgba).reshape(-1, 4 * 29 - 1, 4)[..., 0]
        for i in range(count):
            top, left = 29 * (i // 4), 29 * (i % 4)
            assert (pixels[top : top + 28, left : left + 28] == tiles[first + i]).all()
    for part in (f"{kept.reconstruction_nats[1]:.1f} nats", f"{kept.kl_nats[1]:.1f} nats"):
        expect(visitor.shown.locator(".learn-legend")).to_contain_text(part)
    expect(visitor.shown.locator(".learn-bars")).to_contain_text(
        f"z1{kept.dimension_kl_nats[1][0]:.2f} nats"
    )


def test_play_runs_from_the_untrained_network_to_the_end(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    visitor.page.evaluate(
        """() => {
            const scatter = document.querySelector(".learn-scatter");
            window.seen = [];
            new MutationObserver(() => window.seen.push(Number(scatter.dataset.at)))
                .observe(scatter, {attributeFilter: ["data-at"]});
        }"""
    )
    visitor.shown.get_by_role("button", name="Play").click()
    visitor.until(lambda: f"at={LAST}" in visitor.state)
    assert list(dict.fromkeys(visitor.page.evaluate("seen"))) == list(range(LAST + 1))
    expect(visitor.shown.get_by_role("button", name="Play")).to_be_visible()


def test_play_can_be_stopped(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    play = visitor.shown.get_by_role("button", name="Play")
    names = play.evaluate(
        "b => { b.click(); const name = b.textContent; b.click(); return [name, b.textContent]; }"
    )
    visitor.settled()
    assert names == ["Pause", "Play"]
    assert "at=0" in visitor.state
    assert moments(visitor) == {"0"}


@pytest.mark.screen(motion="reduce")
def test_with_reduced_motion_a_button_shows_one_snapshot_at_a_time(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    for expected in ("0", "1"):
        visitor.click("Next")
        assert moments(visitor) == {expected}
    assert visitor.shown.get_by_role("button", name="Play").count() == 0


def test_beta_tells_gaps_collapse_and_blur_by_their_numbers(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1&at=2")
    assert "which bounds" in words(visitor)
    assert not any(word in words(visitor) for word in ("Gaps", "Collapse", "Blur"))
    plain = visitor.pixels(".learn-scatter")
    move(visitor, beta(visitor), 0)
    assert beta(visitor).get_attribute("aria-valuetext") == "beta 0"
    assert "Gaps: " in words(visitor)
    assert "30.0 nats better than with beta 1" in words(visitor)
    assert visitor.pixels(".learn-scatter") != plain
    assert moments(visitor) == {"2"}
    move(visitor, beta(visitor), 2)
    assert "Collapse: 1 of 3 dimensions says" in words(visitor)
    assert "Blur: " in words(visitor)
    assert "24.5 nats worse than with beta 1" in words(visitor)


def test_a_class_has_the_colour_that_it_has_on_the_map(visitor: Visitor):
    colours = "all => all.map(dot => [dot.parentElement.innerText, dot.style.background])"
    visitor.open("#learn?model=mnist-beta-1@1")
    here = visitor.shown.locator(".learn-classes .swatch").evaluate_all(colours)
    visitor.open("#map?model=mnist")
    assert len(here) == 10
    assert here == visitor.shown.locator(".legend .swatch").evaluate_all(colours)


def test_a_member_of_the_family_becomes_the_model_of_the_page(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    move(visitor, beta(visitor), 2)
    assert "model=zbeta-10@1" in visitor.state
    picker = visitor.page.get_by_label("Model", exact=True)
    assert picker.input_value() == "zbeta-10"
    # Firefox 153 crashes if Playwright looks for options in a group by nested locators
    group = "select => [...select.selectedOptions[0].parentElement.children].map(o => o.value)"
    assert picker.evaluate(group) == [
        "zbeta-0",
        "zbeta-1",
        "zbeta-10",
    ]


def test_a_model_without_snapshots_stays_selected_and_the_family_is_shown(visitor: Visitor):
    visitor.open("#learn?model=lab@4&family=zbetas")
    assert "lab@4 was published without snapshots" in visitor.shown.inner_text()
    assert beta(visitor).get_attribute("aria-valuetext") == "beta 1"
    move(visitor, beta(visitor), 0)
    assert "model=lab@4" in visitor.state
    assert "beta=0" in visitor.state
    assert visitor.shown.locator(".learn-scatter").get_attribute("data-ref") == "zbeta-0@1"
    visitor.open(visitor.state)
    assert visitor.shown.locator(".learn-scatter").get_attribute("data-ref") == "zbeta-0@1"


def test_a_model_with_snapshots_and_without_a_family_has_no_beta_to_choose(visitor: Visitor):
    visitor.open("#learn?model=zalone@1")
    assert visitor.shown.locator(".learn-scatter").get_attribute("data-ref") == "zalone@1"
    expect(beta(visitor)).to_be_hidden()
    visitor.choose("Show", "zbetas")
    assert visitor.shown.locator(".learn-scatter").get_attribute("data-ref") == "zbeta-1@1"
    expect(beta(visitor)).to_be_visible()
    visitor.choose("Show", "")
    expect(beta(visitor)).to_be_hidden()


def test_snapshots_are_asked_for_once(visitor: Visitor):
    asked: list[str] = []
    visitor.page.on(
        "request", lambda r: asked.append(r.url) if r.url.endswith("/snapshots.json") else None
    )
    visitor.open("#learn?model=zbeta-1@1")
    beta(visitor).focus()
    for value in (0, 1, 2, 1):
        move(visitor, beta(visitor), value)
        move(visitor, time(visitor), value)
    assert sorted(url.split("/models/")[1] for url in asked) == [
        f"zbeta-{each}/1/files/snapshots.json" for each in ("0", "1", "10")
    ]


def test_the_arrow_keys_move_time_and_beta(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    time(visitor).press("ArrowLeft")
    visitor.settled()
    assert moments(visitor) == {str(LAST - 1)}
    time(visitor).press("Home")
    visitor.settled()
    assert "Before training" in words(visitor)
    beta(visitor).press("ArrowRight")
    visitor.settled()
    assert "model=zbeta-10@1" in visitor.state


def test_without_any_snapshots_the_part_says_how_to_get_some(visitor: Visitor):
    def without_families(route: Route) -> None:
        answer = route.fetch()
        models = [model for model in answer.json()["models"] if "family" not in model]
        route.fulfill(response=answer, body=json.dumps({"models": models, "unreadable": []}))

    visitor.page.route("**/models?**", without_families)
    visitor.open("#learn?model=lab@4")
    assert "no other model here has any" in visitor.shown.inner_text()
    expect(time(visitor)).to_be_hidden()


@pytest.mark.screen(width=390)
def test_on_a_phone_time_and_pictures_are_in_view_together(visitor: Visitor):
    visitor.open("#learn?model=zbeta-1@1")
    assert visitor.is_as_wide_as_the_window()
    visitor.shown.locator(".learn-scatter").scroll_into_view_if_needed()
    expect(time(visitor)).to_be_in_viewport()
    expect(visitor.shown.locator(".learn-scatter")).to_be_in_viewport()
