"""Explanations of terms, and the curves that show how a version was trained."""

import re

from playwright.sync_api import Route, expect

from tests.page.visitor import Visitor


def terms(visitor: Visitor) -> list[str]:
    """Return the terms with an explanation in the selected part."""
    names: list[str] = visitor.shown.locator("[data-term]").evaluate_all(
        "all => all.map(word => word.dataset.term)"
    )
    return names


def test_each_term_has_an_explanation_that_contains_it(visitor: Visitor) -> None:
    visitor.open()
    meanings: dict[str, str] = {}
    for part in visitor.parts:
        visitor.part(part)
        if part == "Draw":
            visitor.draw((0.5, 0.15), (0.48, 0.85))
            visitor.shown.locator(".typicality").wait_for()
        for i, term in enumerate(terms(visitor)):
            visitor.shown.locator("[data-term]").nth(i).click()
            meanings[term] = visitor.page.locator("#meaning").inner_text()
            visitor.page.keyboard.press("Escape")  # the explanation may cover the next term
    assert {"z", "sigma", "KL", "beta", "blur", "temperature", "\u2212ln p(x)"} <= set(meanings)
    assert {"Active dimensions", "5-NN accuracy on mu"} <= set(meanings)
    for term, meaning in meanings.items():
        assert meaning.endswith("."), term
        assert term.lower() in meaning.lower()


def test_the_numbers_of_compared_versions_are_explained(visitor: Visitor) -> None:
    visitor.open("#compare?model=mnist&other=lab@4&n=1")
    named = terms(visitor)
    names = visitor.shown.locator("tbody th").all_inner_texts()
    unexplained = [name for name in names if name not in named]
    assert unexplained == ["Trained on", "Image", "Latent space"]


def test_an_explanation_opens_by_keyboard_and_is_the_accessible_description(
    visitor: Visitor,
) -> None:
    visitor.open("#generate?n=1&seed=1")
    word = visitor.shown.get_by_role("button", name="z", exact=True)
    box = visitor.page.locator("#meaning")
    word.press("Enter")
    expect(box).to_be_visible()
    expect(word).to_have_accessible_description(re.compile("short list of numbers"))
    visitor.page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(word).to_be_focused()
    word.click()
    expect(box).to_be_visible()
    word.click()
    expect(box).to_be_hidden()


def test_a_second_explanation_replaces_the_first(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@3")
    visitor.shown.get_by_role("button", name="latent space").click()
    visitor.shown.get_by_role("button", name="z", exact=True).click()
    expect(visitor.page.locator("#meaning")).to_contain_text("short list of numbers")


def test_a_version_with_a_history_shows_its_training_curves(visitor: Visitor) -> None:
    visitor.open("#model?model=notebook@3")
    history = visitor.page.request.get(f"{visitor.address}/models/notebook/3").json()["manifest"][
        "training"
    ]["history"]
    charts = visitor.shown.locator(".curves")
    assert charts.get_by_role("img").count() == 3
    for name, key in (("Reconstruction", "test_reconstruction"), ("KL", "test_kl")):
        chart = charts.get_by_role("img", name=re.compile(f"^{name} over 30 epochs"))
        assert f"to {history[-1][key]:.1f} nats" in str(chart.get_attribute("aria-label"))
        assert {"epoch", "nats", "train", "test"} <= set(chart.locator("text").all_text_contents())
        for line in chart.locator("polyline").all():
            assert len(str(line.get_attribute("points")).split()) == 30
    visitor.shown.get_by_text("Show as a table").click()
    last = visitor.shown.locator(".training tbody tr").last.inner_text().split()
    assert last[-1] == f"{history[-1]['test_kl']:.2f}"


def test_a_version_without_a_history_shows_the_figure_of_its_loss(visitor: Visitor) -> None:
    visitor.open("#model?model=digits@4")
    picture = visitor.shown.get_by_role("img", name="Training loss of digits@4 by epoch")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")


def test_a_version_without_history_and_figure_shows_a_note(visitor: Visitor) -> None:
    def remove_figure(route: Route) -> None:
        answer = route.fetch().json()
        answer["figures"].pop("loss")
        route.fulfill(json=answer)

    visitor.page.route("**/models/digits/4", remove_figure)
    visitor.open("#model?model=digits@4")
    assert "no record of its training epochs" in visitor.shown.inner_text()
