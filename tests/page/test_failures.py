"""A request fails: the message is in view, the page stays honest, and one can try again."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.page.visitor import Visitor

BUSY = {
    "status": 503,
    "headers": {"Retry-After": "0", "Content-Type": "application/problem+json"},
    "body": '{"detail": "the queue is full", "remedy": "try again later"}',
}
BROKEN = {"status": 500, "body": "{}"}


@pytest.fixture
def visitor(visitor: Visitor) -> Iterator[Visitor]:
    """Expect the browser's own words about the failures that these tests make."""
    yield visitor
    visitor.errors[:] = [error for error in visitor.errors if not is_expected(error)]


def is_expected(error: str) -> bool:
    return bool(re.match(r"50[03]: |console error: Failed to load resource", error))


def fail(
    visitor: Visitor, pattern: str | re.Pattern[str], answer: dict[str, object]
) -> Callable[[], None]:
    """Let requests fail. Returns a function that repairs the service."""

    def answer_request(route: Route) -> None:
        route.fulfill(**answer)  # type: ignore[arg-type]

    visitor.page.route(pattern, answer_request)
    return lambda: visitor.page.unroute(pattern, answer_request)


def fail_times(visitor: Visitor, pattern: str, times: int, answer: dict[str, object]) -> list[str]:
    """Let the first requests fail. Returns the addresses of all requests, as they come."""
    asked: list[str] = []

    def answer_request(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= times:
            route.fulfill(**answer)  # type: ignore[arg-type]
        else:
            route.continue_()

    visitor.page.route(pattern, answer_request)
    return asked


def is_in_view(visitor: Visitor, selector: str) -> bool:
    script = """element => {
        const {top, bottom} = element.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    }"""
    return bool(visitor.page.locator(selector).evaluate(script))


def test_a_message_is_in_view_and_moves_nothing(visitor: Visitor) -> None:
    visitor.open("#generate?n=256&seed=1")
    visitor.page.mouse.wheel(0, 100_000)
    visitor.until(lambda: bool(visitor.page.evaluate("scrollY > 1000")))
    last = visitor.tiles.last
    before = last.bounding_box()
    fail(visitor, "**/generate?**", BROKEN)
    visitor.page.evaluate("document.querySelector('#others').click()")
    assert "status 500" in visitor.problem()
    assert is_in_view(visitor, "#problem")
    assert last.bounding_box() == before


@pytest.mark.parametrize(
    ("state", "label", "value"),
    [
        ("#generate?n=4&seed=1", "Seed", "77"),
        # the service decodes float versions
        (
            "#interpolate?model=zcolour@1&a=seed:1&b=seed:2&steps=4&path=slerp&t=0.5",
            "Seed of A",
            "77",
        ),
        (
            "#traverse?model=zcolour@1&seed=1&steps=3&span=3&rows=dimensions",
            "Seed to start from",
            "77",
        ),
    ],
)
def test_after_a_failure_the_seed_is_that_of_the_images(
    visitor: Visitor, state: str, label: str, value: str
) -> None:
    visitor.open(state)
    field = visitor.shown.get_by_label(label, exact=True)
    before = (visitor.state, visitor.pixels("img"), field.input_value())
    repair = fail(visitor, re.compile("/(generate|interpolate|decode)[?]"), BROKEN)
    visitor.type(label, value)
    visitor.problem()
    assert (visitor.state, visitor.pixels("img"), field.input_value()) == before
    repair()
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.settled()
    assert field.input_value() == value
    assert value in visitor.state
    assert visitor.page.get_by_role("alert").is_hidden()
    assert visitor.pixels("img") != before[1]


def test_a_model_that_cannot_be_loaded_is_not_the_selected_one(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=1")
    fail(visitor, "**/models/notebook/3", BROKEN)
    model = visitor.page.get_by_label("Model", exact=True)
    model.select_option("notebook")
    visitor.problem()
    expect(model).to_have_value("lab")
    assert visitor.state.startswith("#generate?model=lab@4")


def test_strips_that_could_not_be_drawn_show_no_other_seed(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zcolour@1&seed=1&steps=3")  # the service decodes float versions
    fail(visitor, "**/decode?**", BROKEN)
    visitor.type("Seed to start from", "2")
    visitor.problem()
    assert not any(any(image) for image in visitor.pixels(".strip canvas"))


def test_a_busy_service_is_asked_again_without_a_message(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    asked = fail_times(visitor, "**/generate?**", 2, BUSY)
    visitor.type("Seed", "5")
    assert len(asked) == 3
    assert visitor.captions()[0] == "seed 5"
    assert visitor.page.get_by_role("alert").is_hidden()


def test_a_lost_connection_is_tried_again(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    attempts: list[str] = []

    def lose_the_first(route: Route) -> None:
        attempts.append(route.request.url)
        if len(attempts) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    visitor.page.route("**/generate?**", lose_the_first)
    visitor.type("Seed", "5")
    assert len(attempts) == 2
    assert visitor.captions()[0] == "seed 5"


def test_what_failed_is_tried_again_when_the_connection_is_back(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    repair = fail(visitor, "**/generate?**", BROKEN)
    visitor.type("Seed", "5")
    visitor.problem()
    repair()
    visitor.page.evaluate("dispatchEvent(new Event('online'))")
    visitor.settled()
    assert visitor.captions()[0] == "seed 5"
    assert visitor.page.get_by_role("alert").is_hidden()


def test_a_request_that_is_wrong_is_not_sent_again(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    refusal = {"status": 422, "body": '{"detail": "seed must be smaller"}'}
    asked = fail_times(visitor, "**/generate?**", 1, refusal)
    visitor.type("Seed", "5")
    assert "seed must be smaller" in visitor.problem()
    assert len(asked) == 1
    assert visitor.page.get_by_role("button", name="Try again").count() == 0
    visitor.errors[:] = [error for error in visitor.errors if not error.startswith("422")]


def test_a_list_of_models_that_fails_once_does_not_leave_the_page_dead(visitor: Visitor) -> None:
    repair = fail(visitor, "**/models?**", BROKEN)
    visitor.open("#generate?n=4&seed=1")
    visitor.problem()
    visitor.page.get_by_role("link", name="Traverse").click()
    visitor.settled()
    visitor.problem()
    repair()
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.page.wait_for_selector(".strip .tile")
    visitor.settled()
    assert visitor.page.get_by_role("alert").is_hidden()
    visitor.part("Generate")
    assert visitor.tiles.count() == 4


@pytest.mark.parametrize("fails", [1, 2])
def test_a_part_that_cannot_be_loaded_can_be_opened_later(visitor: Visitor, fails: int) -> None:
    repair = lose_code(visitor, "model")
    visitor.open("#generate?n=4&seed=1")
    visitor.page.get_by_role("link", name="Model", exact=True).click()
    for _ in range(fails - 1):
        visitor.problem()
        visitor.page.get_by_role("button", name="Try again").click()
    assert 'The part "model" of the page could not be loaded.' in visitor.problem()
    assert visitor.tiles.count() == 4
    repair()
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.page.wait_for_selector("#part-model .model-name")
    assert visitor.page.get_by_role("alert").is_hidden()


def test_the_stage_that_cannot_be_loaded_can_be_opened_later(visitor: Visitor) -> None:
    repair = lose_code(visitor, "stage")
    visitor.open("#generate?n=4&seed=1")
    visitor.page.keyboard.press("p")
    assert "The stage could not be loaded." in visitor.problem()
    repair()
    visitor.page.get_by_role("button", name="Try again").click()
    visitor.page.wait_for_selector(".stage-caption")


def lose_code(visitor: Visitor, module: str) -> Callable[[], None]:
    """Let requests for a module fail. Returns a function that repairs the service."""
    pattern = re.compile(rf"/(bundle|js/parts|js/scenes)/{module}[-.]")
    visitor.page.route(pattern, lambda route: route.abort())
    return lambda: visitor.page.unroute(pattern)
