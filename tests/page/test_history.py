"""History, and Compare: two models with the same seeds."""

from playwright.sync_api import Locator

from tests.page.visitor import Visitor


def cards(visitor: Visitor) -> Locator:
    return visitor.shown.locator(".card")


def generate(visitor: Visitor, seed: int) -> None:
    """Generate images with a seed, and wait until the history has them."""
    visitor.open(f"#generate?n=4&seed={seed}")
    visitor.page.wait_for_function(
        "seed => localStorage['zserve.history']?.includes(`seed=${seed}&`)", arg=seed
    )


def test_a_result_can_be_opened_again(visitor: Visitor) -> None:
    generate(visitor, 31)
    first = visitor.pixels(".tiles img")
    generate(visitor, 32)
    visitor.part("History")
    assert cards(visitor).count() == 2
    cards(visitor).filter(has_text="seed 31").get_by_role("link").click()
    visitor.page.wait_for_selector("#part-generate:not([hidden])")
    visitor.settled()
    assert visitor.pixels(".tiles img") == first


def test_a_pinned_result_is_kept(visitor: Visitor) -> None:
    generate(visitor, 31)
    generate(visitor, 32)
    visitor.part("History")
    cards(visitor).filter(has_text="seed 31").get_by_role("button").click()
    visitor.click("Delete unpinned results")
    assert cards(visitor).count() == 1
    visitor.open("#history")
    assert "seed 31" in cards(visitor).inner_text()
    assert cards(visitor).get_by_role("button").get_attribute("aria-pressed") == "true"


def test_two_models_are_shown_with_the_same_seeds(visitor: Visitor) -> None:
    visitor.open("#compare?model=mnist@7&other=lab@3&n=4&seed=8")
    seeds = ["8", "9", "10", "11"]
    assert visitor.captions() == seeds + seeds
    pictures = visitor.pixels(".tiles img")
    assert all(a != b for a, b in zip(pictures[:4], pictures[4:], strict=True))
    text = visitor.shown.inner_text()
    assert "86.84 nats" in text
    assert "lab@3" in text


def test_two_versions_are_compared_and_the_address_has_both(visitor: Visitor) -> None:
    visitor.open("#compare?model=zcolour@2&n=4")
    visitor.choose("Compare with", "zcolour@1")
    visitor.click("New samples")
    before = visitor.pixels(".tiles img")
    visitor.open(visitor.state)
    assert visitor.shown.get_by_role("heading", level=3).all_inner_texts() == [
        "zcolour@2",
        "zcolour@1",
    ]
    assert visitor.pixels(".tiles img") == before
