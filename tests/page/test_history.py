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
    visitor.open("#compare?model=mnist@11&other=lab@4&n=4&seed=8")
    seeds = ["8", "9", "10", "11"]
    assert visitor.captions() == seeds + seeds
    pictures = visitor.pixels(".tiles img")
    assert all(a != b for a, b in zip(pictures[:4], pictures[4:], strict=True))
    text = visitor.shown.inner_text()
    assert "86.95 nats" in text
    assert "lab@4" in text


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


def test_every_set_of_samples_is_kept(visitor: Visitor) -> None:
    """Five sets follow each other as fast as they can be shown."""
    visitor.open("#generate?n=4&seed=31")
    shown = [visitor.captions()[0].split()[-1]]
    for _ in range(5):
        visitor.click("New samples")
        shown.append(visitor.captions()[0].split()[-1])
    visitor.part("History")
    kept = cards(visitor).locator("a span").all_inner_texts()
    assert kept == [f"4 images, seed {seed}" for seed in reversed(shown)]
    faces = cards(visitor).locator("img").evaluate_all("images => images.map(image => image.src)")
    assert len(set(faces)) == 6


def test_the_steps_of_a_slider_are_one_result(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=31&temperature=0.5")
    slider = visitor.shown.get_by_role("slider")
    slider.evaluate(
        """async slider => {
            for (let value = 0.55; value < 1.02; value += 0.05) {
                slider.value = value;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
                await new Promise(resolve => setTimeout(resolve, 20));
            }
        }"""
    )
    visitor.settled()
    visitor.part("History")
    addresses = cards(visitor).get_by_role("link").evaluate_all("all => all.map(one => one.hash)")
    assert "temperature=1&" in addresses[0] or addresses[0].endswith("temperature=1")
    assert len(addresses) < 6


def test_forgotten_results_come_back(visitor: Visitor) -> None:
    generate(visitor, 31)
    generate(visitor, 32)
    visitor.part("History")
    before = cards(visitor).all_inner_texts()
    visitor.click("Delete unpinned results")
    assert cards(visitor).count() == 0
    assert "2 results deleted" in visitor.shown.inner_text()
    assert visitor.page.evaluate("document.activeElement.textContent") == "Undo"
    visitor.page.keyboard.press("Enter")
    assert cards(visitor).all_inner_texts() == before
    assert visitor.page.evaluate("document.activeElement.textContent") == "Delete unpinned results"
    visitor.open("#history")
    assert cards(visitor).all_inner_texts() == before


def test_a_result_has_its_date(visitor: Visitor) -> None:
    generate(visitor, 31)
    visitor.part("History")
    time = cards(visitor).locator("time")
    date = visitor.page.evaluate("new Date().toLocaleDateString([], {dateStyle: 'medium'})")
    assert str(date) in time.inner_text()


def test_two_tabs_keep_the_results_of_both(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=31")
    other = visitor.page.context.new_page()
    other.goto(f"{visitor.address}/#generate?n=4&seed=32")
    other.wait_for_selector("main[aria-busy=false]")
    visitor.click("New samples")
    visitor.part("History")
    other.get_by_role("button", name="New samples").click()
    cards(visitor).nth(3).wait_for()
    text = visitor.shown.inner_text()
    assert "seed 31" in text
    assert "seed 32" in text


def test_a_full_storage_loses_the_oldest_results_only(visitor: Visitor) -> None:
    generate(visitor, 31)
    visitor.page.evaluate(
        """() => {
            const entry = JSON.parse(localStorage["zserve.history"])[0];
            const many = Array.from({length: 199}, (_, i) => ({...entry, id: i, at: i, address: `#generate?seed=${i}`}));
            many[0].pinned = true;
            localStorage["zserve.history"] = JSON.stringify([entry, ...many.reverse()]);
            let size = 2 ** 22;
            for (let i = 0; size > 16; i++) {
                try { localStorage[`other ${i}`] = "x".repeat(size); } catch { size /= 2; }
            }
        }"""
    )
    generate(visitor, 32)
    visitor.part("History")
    texts = cards(visitor).all_inner_texts()
    assert len(texts) < 200
    assert "Pinned" in texts[0]
    assert "seed 32" in texts[1]
