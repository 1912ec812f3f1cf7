"""Explain in place: what the words mean, and how a version was trained."""

import re

from playwright.sync_api import Route, expect

from tests.page.visitor import Visitor


def words(visitor: Visitor) -> list[str]:
    found: list[str] = visitor.shown.locator("[data-term]").evaluate_all(
        "all => all.map(word => word.dataset.term)"
    )
    return found


def test_each_word_says_in_one_sentence_what_it_means(visitor: Visitor) -> None:
    visitor.open()
    said: dict[str, str] = {}
    for part in visitor.parts:
        visitor.part(part)
        if part == "Draw":
            visitor.draw((0.5, 0.15), (0.48, 0.85))
        for i, word in enumerate(words(visitor)):
            visitor.shown.locator("[data-term]").nth(i).click()
            said[word] = visitor.page.locator("#meaning").inner_text()
    assert {"z", "sigma", "KL", "beta", "blur"} <= set(said)
    for word, sentence in said.items():
        assert sentence.endswith("."), word
        assert word.lower() in sentence.lower()


def test_a_word_is_explained_by_keyboard_and_described_to_those_who_listen(
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


def test_one_explanation_gives_way_to_another(visitor: Visitor) -> None:
    visitor.open("#map?model=notebook@1")
    visitor.shown.get_by_role("button", name="latent space").click()
    visitor.shown.get_by_role("button", name="z", exact=True).click()
    expect(visitor.page.locator("#meaning")).to_contain_text("short list of numbers")


def test_a_version_shows_what_each_epoch_reached(visitor: Visitor) -> None:
    visitor.open("#model?model=notebook@1")
    history = visitor.page.request.get(f"{visitor.address}/models/notebook/1").json()["manifest"][
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
    visitor.shown.get_by_text("As numbers").click()
    last = visitor.shown.locator(".training tbody tr").last.inner_text().split()
    assert last[-1] == f"{history[-1]['test_kl']:.2f}"


def test_a_version_that_kept_only_a_picture_of_its_epochs_shows_that(visitor: Visitor) -> None:
    visitor.open("#model?model=mnist@2")
    picture = visitor.shown.get_by_role("img", name="Loss of each epoch of mnist@2")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")


def test_a_version_that_kept_nothing_of_its_epochs_says_so(visitor: Visitor) -> None:
    def without_picture(route: Route) -> None:
        answer = route.fetch().json()
        answer["figures"].pop("loss")
        route.fulfill(json=answer)

    visitor.page.route("**/models/mnist/2", without_picture)
    visitor.open("#model?model=mnist@2")
    assert "does not say how its epochs went" in visitor.shown.inner_text()
