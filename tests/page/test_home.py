"""Home: the diagram of a variational autoencoder, whose numbers and pictures must be true."""

import base64
import io
import math
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import FilePayload, FloatRect

from tests.page.test_colour import a_picture
from tests.page.visitor import Visitor

ROLLS = 10
PLAIN = "#home?model=lab@4&seed=5"
"""A model without a flow, so its prior over z is N(0, I)."""
COLOUR_RGBA = 20 * 24 * 4


def rows(visitor: Visitor) -> list[dict[str, Any]]:
    """Return the exact numbers of each large bell, and the texts that are shown for them."""
    numbers: list[dict[str, Any]] = visitor.shown.locator(".equations tbody tr").evaluate_all(
        """rows => rows.map(row => ({
            name: row.querySelector("th").textContent,
            dimension: Number(row.dataset.dimension),
            mu: Number(row.dataset.mu), sigma: Number(row.dataset.sigma), scale: Number(row.dataset.scale),
            eps: Number(row.dataset.eps), roll: Number(row.dataset.roll), rolls: row.dataset.rolls.split(" ").map(Number),
            texts: [...row.querySelectorAll("td")].slice(1, 5).map(cell => Number(cell.textContent.replace("\\u2212", "-"))),
        }))"""
    )
    return numbers


def seen_png(visitor: Visitor) -> bytes:
    """Return the PNG of the image as the encoder sees it."""
    address = visitor.shown.locator(".sees").evaluate("canvas => canvas.toDataURL()")
    return base64.b64decode(str(address).split(",")[1])


def ask(visitor: Visitor, path: str, image: bytes | None = None) -> dict[str, Any]:
    """Post to the service, with an image or without, and return the JSON."""
    form: dict[str, str | float | bool | bytes | FilePayload] | None = None
    if image:
        form = {"image": FilePayload(name="x.png", mimeType="image/png", buffer=image)}
    response = visitor.page.request.post(f"{visitor.address}/{path}", multipart=form)
    assert response.ok, response.text()
    answer: dict[str, Any] = response.json()
    return answer


def rgba(png: str) -> list[int]:
    """Return the RGBA values of a PNG in base64, row by row, as Visitor.pixels does."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        return list(image.convert("RGBA").tobytes())


def nats(visitor: Visitor) -> dict[str, float]:
    """Return the costs that the bars show."""
    visitor.shown.locator(".costs-chart:not(.awaiting)").wait_for()
    return {
        name: float(visitor.shown.locator(f".{name}-bar").get_attribute("data-nats") or "missing")
        for name in ("reconstruction", "kl", "loss")
    }


def box_of(visitor: Visitor, selector: str) -> FloatRect:
    box = visitor.shown.locator(selector).bounding_box()
    assert box
    return box


def set_sigma(visitor: Visitor, value: str) -> None:
    visitor.shown.get_by_role("slider").fill(value)
    visitor.page.wait_for_url(f"**sigma={value}&**")
    visitor.settled()


def draw(visitor: Visitor, *points: tuple[float, float]) -> None:
    """Draw a stroke on the pad, whose top left is (0, 0) and bottom right (1, 1)."""
    before = visitor.state
    box = box_of(visitor, ".pad")
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    visitor.page.mouse.move(*places[0])
    visitor.page.mouse.down()
    for place in places[1:]:
        visitor.page.mouse.move(*place, steps=4)
    visitor.page.mouse.up()
    visitor.until(lambda: visitor.state != before)
    visitor.settled()


def test_the_page_begins_with_a_diagram_that_is_alive(visitor: Visitor) -> None:
    visitor.open()
    assert visitor.shown.get_attribute("data-part") == "home"
    assert len(rows(visitor)) == 6
    assert all(row["sigma"] > 0 for row in rows(visitor))
    ghosts = visitor.pixels(".ghost canvas")
    assert len(ghosts) == ROLLS
    assert all(any(ghost[0::4]) for ghost in ghosts)
    assert any(visitor.pixels(".pad")[0][0::4])
    text = visitor.page.locator("#part-home").inner_text()
    for word in ("VAE", "variational", "autoencoder", "encoder", "decoder", "mu", "sigma"):
        assert word in text


def test_the_bells_are_those_that_the_service_encodes(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    encoding = ask(visitor, "encode?model=lab@4&preprocess=none", seen_png(visitor))["images"][0]
    for row in rows(visitor):
        assert row["mu"] == pytest.approx(encoding["mu"][row["dimension"]], abs=1e-6)
        logvar = encoding["logvar"][row["dimension"]]
        assert row["sigma"] == pytest.approx(math.exp(logvar / 2), rel=1e-6)


def test_the_most_informative_dimensions_come_first(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    manifest = visitor.page.request.get(f"{visitor.address}/models/lab/4").json()["manifest"]
    kl_nats = manifest["latents"]["kl_nats"]
    best = sorted(range(len(kl_nats)), key=lambda d: -kl_nats[d])[:6]
    assert [row["dimension"] for row in rows(visitor)] == best
    assert visitor.shown.locator(".mini").count() == len(kl_nats) - 6


def test_z_is_mu_plus_sigma_times_eps(visitor: Visitor) -> None:
    visitor.open(f"{PLAIN}&sigma=1.5&chosen=4")
    for row in rows(visitor):
        assert row["scale"] == 1.5
        z = row["mu"] + 1.5 * row["sigma"] * row["eps"]
        assert row["roll"] == pytest.approx(z, abs=1e-6)
        assert row["rolls"][4] == row["roll"]
        mu, sigma, eps, shown = row["texts"]
        assert shown == pytest.approx(mu + sigma * eps, abs=0.02)
        assert sigma == pytest.approx(1.5 * row["sigma"], abs=5e-4)
    heading = visitor.shown.locator(".equations thead").inner_text().split("\t")
    assert [text.replace("\xa0", " ").strip() for text in heading[-4:]] == [
        "mu",
        "+ 1.50 sigma",
        "\N{MULTIPLICATION SIGN} eps",
        "= z",
    ]


def test_the_kl_is_the_sum_over_all_dimensions_of_the_closed_form(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    encoding = ask(visitor, "encode?model=lab@4&preprocess=none", seen_png(visitor))["images"][0]
    kl = sum(
        0.5 * (mu**2 + math.exp(logvar) - 1 - logvar)
        for mu, logvar in zip(encoding["mu"], encoding["logvar"], strict=True)
    )
    assert nats(visitor)["kl"] == pytest.approx(kl, abs=1e-3)
    assert visitor.shown.locator(".kl-bar span").count() == len(encoding["mu"])


def test_the_loss_is_the_sum_of_the_bars(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    cost = nats(visitor)
    assert cost["reconstruction"] > 0
    assert cost["kl"] > 0
    assert cost["loss"] == pytest.approx(cost["reconstruction"] + cost["kl"], abs=1e-9)
    visitor.page.wait_for_function("() => document.getAnimations().length === 0")
    first, second, total = (box_of(visitor, f".{name}-bar") for name in cost)
    assert second["x"] == pytest.approx(first["x"] + first["width"], abs=1)
    assert total["width"] == pytest.approx(first["width"] + second["width"], abs=1)


def test_the_reconstruction_is_measured_by_the_service(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    path = "score?model=lab@4&preprocess=none&seed=0&draws=32&format=json"
    score = ask(visitor, path, seen_png(visitor))["images"][0]
    assert nats(visitor)["reconstruction"] == pytest.approx(score["reconstruction_nats"], abs=1e-3)


@pytest.mark.parametrize("sigma", [1, 2.5])
def test_the_ghosts_are_the_variants_that_the_service_draws(visitor: Visitor, sigma: float) -> None:
    visitor.open(f"{PLAIN}&sigma={sigma}")
    path = f"augment?model=lab@4&preprocess=none&n=10&seed=5&temperature={sigma}&format=json"
    images = ask(visitor, path, seen_png(visitor))["images"]
    assert visitor.pixels(".ghost canvas") == [rgba(image["png"]) for image in images]
    assert visitor.pixels(".made")[0] == rgba(images[0]["png"])


def test_with_sigma_times_0_the_ten_ghosts_are_one_reconstruction(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    assert len({tuple(ghost) for ghost in visitor.pixels(".ghost canvas")}) > 1
    set_sigma(visitor, "0")
    (only,) = {tuple(ghost) for ghost in visitor.pixels(".ghost canvas")}
    answer = ask(visitor, "reconstruct?model=lab@4&preprocess=none&format=json", seen_png(visitor))
    assert list(only) == rgba(answer["images"][0]["reconstruction"])
    assert all(set(row["rolls"]) == {row["roll"]} for row in rows(visitor))
    assert all(row["roll"] == pytest.approx(row["mu"], abs=1e-6) for row in rows(visitor))


def test_without_an_image_the_prior_makes_what_generate_makes(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    visitor.shown.get_by_role("switch", name="No image: the prior").check()
    visitor.page.wait_for_url("**source=prior**")
    visitor.settled()
    assert {(row["mu"], row["sigma"]) for row in rows(visitor)} == {(0, 1)}
    images = ask(visitor, "generate?model=lab@4&n=10&seed=5&format=json")["images"]
    assert visitor.pixels(".ghost canvas") == [rgba(image["png"]) for image in images]
    for row in rows(visitor):
        assert row["rolls"] == pytest.approx([one["z"][row["dimension"]] for one in images])
    assert "there are no costs" in visitor.shown.inner_text()


@pytest.mark.parametrize("seed", [0, 4294967290])
def test_the_noise_is_that_of_the_service_for_every_seed(visitor: Visitor, seed: int) -> None:
    visitor.open(f"#home?model=notebook@3&source=prior&seed={seed}")
    images = ask(visitor, f"generate?model=notebook@3&n=10&seed={seed}&format=json")["images"]
    for row in rows(visitor):
        assert row["rolls"] == [
            pytest.approx(one["z"][row["dimension"]], abs=1e-7) for one in images
        ]


def test_the_die_rolls_other_noise_from_the_same_bells(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    before = rows(visitor)
    visitor.click("Roll")
    visitor.until(lambda: "seed=5&" not in visitor.state)
    visitor.settled()
    after = rows(visitor)
    assert [row["mu"] for row in after] == [row["mu"] for row in before]
    assert [row["eps"] for row in after] != [row["eps"] for row in before]
    visitor.page.go_back()
    visitor.until(lambda: rows(visitor) == before)


def test_a_ghost_is_chosen_to_see_its_numbers(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    ghosts = visitor.pixels(".ghost canvas")
    visitor.shown.get_by_role("radio", name="Roll 3").click()
    visitor.settled()
    assert visitor.pixels(".made")[0] == ghosts[2]
    assert all(row["roll"] == row["rolls"][2] for row in rows(visitor))


def test_a_drawing_moves_the_bells_and_is_kept_in_the_address(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    start = [row["mu"] for row in rows(visitor)]
    draw(visitor, (0.5, 0.15), (0.48, 0.85))
    drawn = rows(visitor)
    assert [row["mu"] for row in drawn] != start
    assert "image=iVBOR" in visitor.state
    cost = nats(visitor)
    visitor.open(visitor.state)
    assert [row["mu"] for row in rows(visitor)] == [row["mu"] for row in drawn]
    assert nats(visitor) == cost


def test_the_first_stroke_replaces_the_drawing_of_the_page(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    draw(visitor, (0.5, 0.15), (0.5, 0.85))
    ink = visitor.pixels(".pad")[0][0::4]
    assert not any(ink[row * 280 + x] for row in range(280) for x in (80, 200))


def test_a_cleared_pad_is_the_prior(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    visitor.click("Clear")
    visitor.page.wait_for_url("**source=prior**")
    visitor.settled()
    assert not any(visitor.pixels(".pad")[0][0::4])
    assert {row["sigma"] for row in rows(visitor)} == {1}
    visitor.shown.get_by_role("switch").uncheck()
    visitor.page.wait_for_url("**source=image**")
    visitor.settled()
    assert any(visitor.pixels(".pad")[0][0::4])
    assert {row["sigma"] for row in rows(visitor)} != {1}


def test_an_image_that_is_pasted_on_the_home_stays_there(visitor: Visitor) -> None:
    visitor.open("#home?model=zcolour@1")
    before = rows(visitor)
    visitor.paste(a_picture(), kind="image/jpeg")
    visitor.page.wait_for_url("**#home?**image=iVBOR**")
    visitor.settled()
    assert rows(visitor) != before
    assert {len(ghost) for ghost in visitor.pixels(".ghost canvas, .made, .sees")} == {COLOUR_RGBA}
    assert visitor.shown.get_by_role("button", name="Clear").is_hidden()


def test_the_guide_is_read_aloud_in_90_seconds(visitor: Visitor) -> None:
    for state, has_flow in ((PLAIN, False), ("#home?model=ztypical@1", True)):
        visitor.open(state)
        texts = visitor.shown.locator(".guide > :last-child, .guide-lede").all_inner_texts()
        words = [word for word in " ".join(texts).split() if any(map(str.isalpha, word))]
        assert 180 <= len(words) <= 230
        assert any("flow" in word for word in words) == has_flow


OPENS = ["Draw", "Map", "Traverse", "Generate", "Interpolate", "Compare", "Model"]


def test_every_stage_opens_its_part(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    for name in OPENS:
        part = name.lower()
        visitor.shown.get_by_role("link", name=name, exact=True).click()
        visitor.settled()
        assert visitor.shown.get_attribute("data-part") == part
        assert "model=lab@4" in visitor.state
        if part in {"map", "traverse"}:
            assert "z=" in visitor.state
        if part == "draw":
            assert "image=iVBOR" in visitor.state
        if part == "generate":
            assert "n=10&seed=5&temperature=1" in visitor.state
        visitor.part("Home")


def test_every_part_shows_its_place_in_the_diagram(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    for name in visitor.parts:
        if name == "Home":
            continue
        strip = visitor.page.locator(f"#part-{name.lower()} .place")
        assert strip.locator(".here").count() > 0, name
    visitor.part("Draw")
    visitor.shown.locator(".place").click()
    visitor.settled()
    assert visitor.shown.get_attribute("data-part") == "home"


def test_nothing_moves_when_numbers_change(visitor: Visitor) -> None:
    def places() -> list[Any]:
        boxes: list[Any] = visitor.shown.locator(".stage, .bells tr, .costs, .cost").evaluate_all(
            "all => all.map(one => Object.values(one.getBoundingClientRect().toJSON()))"
        )
        return boxes

    visitor.open(PLAIN)
    nats(visitor)
    before = places()
    visitor.click("Roll")
    visitor.until(lambda: "seed=5&" not in visitor.state)
    visitor.settled()
    assert places() == before
    set_sigma(visitor, "3")
    assert places() == before
    visitor.shown.get_by_role("switch").check()
    visitor.page.wait_for_url("**source=prior**")
    visitor.settled()
    assert places() == before


def test_the_diagram_can_be_used_with_the_keyboard_alone(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    keys = visitor.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(60):
            keys.press("Tab")
            script = "selector => document.activeElement.matches(selector)"
            if visitor.page.evaluate(script, selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#part-home .roll")
    keys.press("Enter")
    visitor.until(lambda: "seed=5&" not in visitor.state)
    assert visitor.page.evaluate("document.activeElement.matches('.roll')")
    tab_to("#part-home input[type=range]")
    keys.press("ArrowRight")
    visitor.until(lambda: "sigma=1.05" in visitor.state)
    tab_to("#part-home [role=switch]")
    keys.press("Space")
    visitor.until(lambda: "source=prior" in visitor.state)
    tab_to("#part-home [role=radio]")
    keys.press("End")
    visitor.until(lambda: "chosen=9" in visitor.state)
    keys.press("ArrowRight")
    visitor.until(lambda: "chosen=0" in visitor.state)
    visitor.settled()
    assert visitor.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Roll 1"


def test_a_roll_is_announced(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    visitor.click("Roll")
    visitor.page.locator("#announcement").filter(has_text="ten rolls, seed").wait_for(
        state="attached"
    )


@pytest.mark.screen(motion="reduce")
def test_a_roll_is_not_animated_with_reduced_motion(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    visitor.click("Roll")
    visitor.until(lambda: "seed=5&" not in visitor.state)
    visitor.settled()
    assert visitor.page.evaluate("document.getAnimations().length") == 0
    assert visitor.pixels(".made")[0] == visitor.pixels(".ghost canvas")[0]


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_the_diagram_fits_every_screen(visitor: Visitor, width: int) -> None:
    visitor.page.set_viewport_size({"width": width, "height": 900})
    for model in ("mnist@11", "notebook@3", "zcolour@1"):
        visitor.open(f"#home?model={model}&source=prior")
        assert visitor.is_as_wide_as_the_window(), model


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param("light", marks=pytest.mark.screen(theme="light")),
        pytest.param("dark", marks=pytest.mark.screen(theme="dark", width=390)),
    ],
)
def test_axe_finds_nothing_serious_in_any_state_of_the_home(visitor: Visitor, theme: str) -> None:
    for state in ("seed=5", "source=prior", "sigma=3&chosen=4"):
        visitor.open(f"#home?model=lab@4&{state}")
        visitor.shown.locator(".costs-chart:not(.awaiting)").wait_for()
        violations = Axe().run(visitor.page).response["violations"]
        serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
        assert serious == [], f"{theme}, {state}"


def test_an_error_while_drawing_is_shown_on_the_pad_and_moves_nothing(visitor: Visitor) -> None:
    visitor.open(PLAIN)
    nats(visitor)
    visitor.page.route(
        "**/reconstruct**",
        lambda route: route.fulfill(
            status=422, json={"detail": "The image is blank.", "remedy": "draw something"}
        ),
    )
    box = box_of(visitor, ".pad")
    visitor.page.mouse.move(box["x"] + 20, box["y"] + 20)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 60, box["y"] + 60, steps=3)
    note = visitor.shown.locator(".pad-note")
    note.filter(has_text="The image is blank. What to do: draw something.").wait_for()
    assert box_of(visitor, ".pad") == box
    visitor.page.unroute("**/reconstruct**")
    visitor.page.mouse.up()
    visitor.page.wait_for_url("**image=iVBOR**")
    visitor.settled()
    assert note.is_hidden()
    visitor.errors.clear()


def test_a_click_on_the_image_of_a_colour_model_opens_the_file_chooser(visitor: Visitor) -> None:
    visitor.open("#home?model=zcolour@1")
    before = visitor.pixels(".pad")
    with visitor.page.expect_file_chooser():
        visitor.shown.locator(".pad-frame").click()
    assert visitor.pixels(".pad") == before
