"""Draw while the pen is down: nothing moves, requests come one at a time, errors do no harm."""

import json
from typing import Any

import pytest
from playwright.sync_api import Response, Route

from tests.api import typical_versions
from tests.page.slow_service import record_requests, sent
from tests.page.visitor import Visitor

EDITED = ".edit img"

SEVEN = [(0.25, 0.25), (0.75, 0.25), (0.45, 0.8)]


def move(visitor: Visitor, *points: tuple[float, float]) -> None:
    """Move the pointer over the canvas; (0, 0) is its top left, as it is now."""
    box = box_of(visitor)
    for x, y in points:
        place = (box["x"] + x * box["width"], box["y"] + y * box["height"])
        visitor.page.mouse.move(*place, steps=3)


def box_of(visitor: Visitor, selector: str = ".pad") -> Any:
    box = visitor.shown.locator(selector).bounding_box()
    assert box
    return box


def whole(box: Any) -> dict[str, int]:
    """Return a place and size in whole pixels."""
    return {key: round(value) for key, value in box.items()}


def is_of_kept_image(response: Response) -> bool:
    """Return True for the reconstruction of the image that is in the address."""
    return "/reconstruct" in response.url and "preprocess=none" in response.url


def scroll_to_canvas(visitor: Visitor) -> None:
    visitor.shown.locator(".pad").evaluate("pad => pad.scrollIntoView({block: 'start'})")


def refuse(route: Route) -> None:
    """Answer as a service that cannot read the drawing."""
    detail = "The drawing shows nothing that is a digit, as far as the service can see. " * 3
    problem = {"detail": detail, "remedy": "draw a digit", "status": 422}
    route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(problem))


@pytest.mark.parametrize(
    "width",
    [pytest.param(width, marks=pytest.mark.screen(width=width)) for width in (390, 1200)],
)
def test_an_error_during_a_stroke_does_not_move_the_canvas(visitor: Visitor, width: int) -> None:
    visitor.open("#draw")
    scroll_to_canvas(visitor)
    visitor.draw(*SEVEN, steps=3)
    calm = visitor.pixels(".pad")
    visitor.click("Clear")
    scroll_to_canvas(visitor)
    before = box_of(visitor)
    visitor.page.route("**/reconstruct**", refuse)
    move(visitor, SEVEN[0])
    visitor.page.mouse.down()
    move(visitor, SEVEN[1])
    notice = visitor.shown.get_by_role("alert")
    notice.wait_for()
    assert "What to do: draw a digit" in notice.inner_text()
    assert box_of(visitor) == before
    assert_apart(box_of(visitor, ".pad-notice"), before)
    visitor.page.unroute("**/reconstruct**")
    move(visitor, SEVEN[2])
    notice.wait_for(state="hidden")
    assert box_of(visitor) == before
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.mouse.up()
    visitor.settled()
    assert visitor.pixels(".pad") == calm
    assert all(error.startswith(("422", "console error")) for error in visitor.errors)
    visitor.errors.clear()


def assert_apart(one: Any, other: Any) -> None:
    """Fail if two boxes overlap."""
    assert (
        one["y"] + one["height"] <= other["y"]
        or other["y"] + other["height"] <= one["y"]
        or one["x"] + one["width"] <= other["x"]
        or other["x"] + other["width"] <= one["x"]
    )


def test_a_stroke_keeps_its_shape_if_the_page_moves_nevertheless(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw(*SEVEN, steps=3)
    calm = visitor.pixels(".pad")
    visitor.click("Clear")
    start = box_of(visitor)
    places = [(start["x"] + x * start["width"], start["y"] + y * start["height"]) for x, y in SEVEN]
    visitor.page.mouse.move(*places[0])
    visitor.page.mouse.down()
    visitor.page.mouse.move(*places[1], steps=3)
    visitor.page.evaluate("document.querySelector('#main').style.paddingTop = '130px'")
    visitor.page.mouse.move(*places[2], steps=3)
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.mouse.up()
    visitor.settled()
    assert visitor.pixels(".pad") == calm


def test_verdicts_come_and_go_without_moving_the_canvas(visitor: Visitor) -> None:
    """The window is scrolled to its end, where a page that gets shorter would move."""
    visitor.open("#draw?model=ztypical")
    visitor.drop(typical_versions.black())
    visitor.shown.locator(".typicality").wait_for()
    visitor.shown.locator(".unusual").wait_for()
    visitor.page.evaluate("document.querySelector('footer').remove()")
    visitor.page.set_viewport_size({"width": 1200, "height": 820})
    visitor.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    before = box_of(visitor)
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] - 20
    visitor.page.mouse.move(x, y)
    with visitor.page.expect_response("**/reconstruct**"):
        visitor.page.mouse.down()
    visitor.shown.locator(".typicality").wait_for(state="detached")
    assert box_of(visitor) == before
    with visitor.page.expect_response("**/score**"):
        visitor.page.mouse.up()
    visitor.shown.locator(".typicality").wait_for()
    assert box_of(visitor) == before


@pytest.mark.screen(width=390)
def test_the_first_answer_does_not_move_the_canvas(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.shown.locator(".pad").scroll_into_view_if_needed()
    before = box_of(visitor)
    visitor.page.mouse.move(before["x"] + 100, before["y"] + 100)
    with visitor.page.expect_response("**/reconstruct**"):
        visitor.page.mouse.down()
        visitor.page.mouse.move(before["x"] + 200, before["y"] + 100)
    visitor.shown.locator(".triptych img").first.wait_for()
    assert whole(box_of(visitor)) == whole(before)
    with visitor.page.expect_response("**/score**"):
        visitor.page.mouse.up()
    visitor.shown.locator(".editing").wait_for()
    assert whole(box_of(visitor)) == whole(before)


def test_a_pen_that_is_held_still_paints_a_dot(visitor: Visitor) -> None:
    visitor.open("#draw")
    box = box_of(visitor)
    place = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visitor.page.mouse.move(*place)
    visitor.page.mouse.down()
    # A pen reports that it is still: events of the same place, before it is lifted.
    visitor.page.mouse.move(*place)
    visitor.page.mouse.move(*place)
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.mouse.up()
    visitor.settled()
    red = visitor.pixels(".pad")[0][0::4]
    lit = [i for i, value in enumerate(red) if value > 200]
    assert 15 <= max(i % 280 for i in lit) - min(i % 280 for i in lit) <= 30
    assert 15 <= max(i // 280 for i in lit) - min(i // 280 for i in lit) <= 30
    assert visitor.shown.get_by_role("alert").count() == 0
    assert any(visitor.pixels(".triptych img")[1][0::4])


def test_answers_that_take_longer_than_the_pen_are_shown_one_after_another(
    visitor: Visitor,
) -> None:
    record_requests(visitor, delay_ms=90)
    visitor.open("#draw")
    visitor.shown.locator(".tray .tile").last.wait_for()
    visitor.page.evaluate(
        """() => {
            window.shown = 0;
            const watch = new MutationObserver(() => (window.shown += 1));
            watch.observe(document.querySelector(".figures"), {subtree: true, childList: true});
        }"""
    )
    move(visitor, (0.2, 0.2))
    visitor.page.mouse.down()

    def three_are_shown() -> bool:
        draw_on(visitor)
        return int(visitor.page.evaluate("window.shown")) >= 3

    visitor.until(three_are_shown)
    live = sent(visitor, "reconstruct")
    visitor.page.mouse.up()
    visitor.shown.locator(".typicality").wait_for()
    assert len(live) >= 3
    log = sent(visitor, "reconstruct")
    assert all(entry.in_flight == 0 for entry in log)
    assert not any(entry.aborted for entry in log)


def draw_on(visitor: Visitor) -> None:
    """Move the pen a little."""
    box = box_of(visitor)
    n = int(visitor.page.evaluate("window.turns = (window.turns ?? 0) + 1"))
    place = (0.2 + 0.6 * (n % 40) / 40, 0.2 + 0.6 * (n % 7) / 7)
    visitor.page.mouse.move(box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"])


def test_the_likelihood_and_the_edited_image_wait_until_the_pen_rests(visitor: Visitor) -> None:
    record_requests(visitor)
    visitor.open("#draw")
    visitor.draw((0.2, 0.2), (0.2, 0.8))
    visitor.shown.locator(".typicality").wait_for()
    visitor.settled()
    earlier = {path: len(sent(visitor, path)) for path in ("score", "edit")}
    edited = visitor.pixels(EDITED)
    move(visitor, (0.4, 0.2))
    visitor.page.mouse.down()
    before = len(sent(visitor, "reconstruct"))

    def has_been_asked_often() -> bool:
        draw_on(visitor)
        return len(sent(visitor, "reconstruct")) >= before + 5

    visitor.until(has_been_asked_often)
    assert {path: len(sent(visitor, path)) for path in earlier} == earlier
    assert visitor.pixels(EDITED) == edited
    visitor.page.mouse.up()
    visitor.shown.locator(".typicality").wait_for()
    assert len(sent(visitor, "score")) == earlier["score"] + 1
    assert not any(entry.pen_down for path in earlier for entry in sent(visitor, path))
    visitor.until(lambda: visitor.pixels(EDITED) != edited)


def test_pictures_are_marked_while_a_newer_answer_is_awaited(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw(*SEVEN)
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    visitor.page.route("**/reconstruct**", hold_the_first)
    move(visitor, (0.2, 0.6))
    visitor.page.mouse.down()
    move(visitor, (0.8, 0.6))
    visitor.shown.locator(".triptych[aria-busy=true]").wait_for()
    visitor.until(lambda: bool(held))
    held[0].continue_()
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.mouse.up()
    visitor.settled()
    visitor.shown.locator(".triptych:not([aria-busy])").wait_for()


def test_the_last_drawing_is_kept_if_the_next_stroke_begins_at_once(visitor: Visitor) -> None:
    record_requests(visitor, delay_ms=90)
    visitor.open("#draw")
    for x in (0.3, 0.5, 0.7):
        move(visitor, (x, 0.2))
        visitor.page.mouse.down()
        move(visitor, (x, 0.8))
        visitor.page.mouse.up()
    visitor.shown.locator(".typicality").wait_for()
    before = visitor.pixels(".pad, .triptych img")
    lit = [i % 28 for i, value in enumerate(before[1][0::4]) if value > 128 and i // 28 == 14]
    assert len([x for x in lit if x + 1 not in lit]) == 3, "three strokes in the middle row"
    visitor.open(visitor.state)
    assert visitor.pixels(".pad, .triptych img") == before


@pytest.mark.screen(width=390)
def test_the_reconstruction_is_in_view_while_one_draws_on_a_phone(visitor: Visitor) -> None:
    visitor.open("#draw")
    scroll_to_canvas(visitor)
    move(visitor, SEVEN[0])
    visitor.page.mouse.down()
    move(visitor, *SEVEN[1:])
    visitor.shown.locator(".triptych img").nth(1).wait_for()
    pad = box_of(visitor)
    for i in range(2):
        picture = visitor.shown.locator(".triptych img").nth(i).bounding_box()
        assert picture
        assert_apart(picture, pad)
        assert 0 <= picture["y"] <= 800 - picture["height"]
        assert picture["width"] >= 80
    assert pad["y"] + pad["height"] <= 800
    visitor.page.mouse.up()
    visitor.settled()


def test_samples_are_chosen_with_keys(visitor: Visitor) -> None:
    visitor.open("#draw")
    samples = visitor.page.get_by_role("group", name="Samples").get_by_role("button")
    samples.nth(9).wait_for()
    samples.first.focus()
    for key in ("End", "ArrowLeft"):
        visitor.page.keyboard.press(key)
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.keyboard.press("Enter")
    visitor.settled()
    assert visitor.pixels(".triptych img")[0] == visitor.pixels(".tray img")[8]
    focused = visitor.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Sample: 8"
    assert samples.evaluate_all("all => all.filter(one => one.tabIndex === 0).length") == 1


def test_undo_has_a_key(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.2), (0.5, 0.8))
    one = visitor.pixels(".pad")
    visitor.draw((0.2, 0.5), (0.8, 0.5))
    visitor.shown.get_by_role("button", name="Reconstruction: show actions").focus()
    with visitor.page.expect_response(is_of_kept_image):
        visitor.page.keyboard.press("Control+z")
    visitor.settled()
    assert visitor.pixels(".pad") == one
    focused = visitor.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Reconstruction: show actions"


@pytest.mark.parametrize("stored", [True, False], ids=["same tab", "other tab"])
def test_undo_gives_the_same_numbers_after_a_reload(visitor: Visitor, stored: bool) -> None:
    visitor.open("#draw")
    visitor.draw((0.3, 0.2), (0.7, 0.2), (0.45, 0.85))
    numbers = visitor.shown.locator(".figures").inner_text()
    pictures = visitor.pixels(".triptych img")
    if not stored:
        visitor.page.evaluate("sessionStorage.clear()")
    visitor.open(visitor.state)
    assert visitor.shown.locator(".figures").inner_text() == numbers
    visitor.draw((0.2, 0.5), (0.8, 0.5))
    assert visitor.shown.locator(".figures").inner_text() != numbers
    with visitor.page.expect_response(is_of_kept_image):
        visitor.click("Undo")
    visitor.settled()
    assert visitor.shown.locator(".figures").inner_text() == numbers
    assert visitor.pixels(".triptych img") == pictures


def test_the_last_stroke_can_be_undone_after_a_reload(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.2), (0.5, 0.8))
    one = visitor.pixels(".pad, .triptych img")
    visitor.draw((0.2, 0.5), (0.8, 0.5))
    visitor.open(visitor.state)
    with visitor.page.expect_response(is_of_kept_image):
        visitor.click("Undo")
    visitor.settled()
    assert visitor.pixels(".pad, .triptych img") == one


def test_another_model_is_not_asked_to_edit_latents_of_the_last_one(visitor: Visitor) -> None:
    """The pen rests while the other model reconstructs; latents of the last one have another size."""
    visitor.open("#draw")
    scroll_to_canvas(visitor)
    visitor.draw(*SEVEN)
    visitor.page.evaluate("""() => {
        const send = window.fetch;
        window.fetch = async (address, options) => {
            if (/reconstruct.*model=notebook/.test(address)) {
                await new Promise(resolve => setTimeout(resolve, 1000));
            }
            return send(address, options);
        };
    }""")
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    visitor.page.locator(".dimension").nth(2).wait_for(state="detached")
    visitor.page.wait_for_timeout(1000)
    visitor.settled()
    assert visitor.page.get_by_role("alert").is_hidden()
