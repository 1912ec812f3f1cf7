"""Draw: strokes, files, pasted images and samples, and their reconstructions."""

import io
from pathlib import Path

import pillow_heif
from PIL import Image, ImageDraw

from tests.api import typical_versions
from tests.api.service import digit
from tests.page.visitor import Visitor, run_in_a_shell


def a_seven() -> bytes:
    """Return a PNG like a photo of a digit: dark on light, large, its sides no multiples of 28."""
    picture = Image.new("RGB", (300, 360), "white")
    ImageDraw.Draw(picture).line([(70, 80), (220, 80), (120, 300)], "black", 26, "curve")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_a_stroke_is_reconstructed_with_its_costs(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.15), (0.48, 0.85))
    seen, made, difference = visitor.pixels(".triptych img, .triptych canvas")
    assert any(seen[0::4])
    assert any(made[0::4])
    assert len(difference) == 28 * 28 * 4
    costs = visitor.shown.locator(".figures").inner_text()
    assert "Reconstruction" in costs
    assert "KL" in costs
    assert costs.count("nats") == 3
    assert visitor.shown.locator(".dimension").count() == 32


def test_a_drawing_is_centred_as_in_the_training_data(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.1, 0.1), (0.1, 0.4))
    red = visitor.pixels(".triptych img")[0][0::4]
    total = sum(red)
    assert abs(sum(v * (i % 28) for i, v in enumerate(red)) / total - 13.5) < 1
    assert abs(sum(v * (i // 28) for i, v in enumerate(red)) / total - 13.5) < 1


def test_strokes_can_be_undone_and_cleared(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.2), (0.5, 0.8))
    one = visitor.pixels(".pad")
    visitor.draw((0.2, 0.5), (0.8, 0.5))
    assert visitor.pixels(".pad") != one
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
        visitor.click("Undo")
    assert visitor.pixels(".pad") == one
    visitor.click("Clear")
    assert not any(value for pixel in visitor.pixels(".pad") for value in pixel[0::4])
    assert "image=" not in visitor.state


def test_a_reopened_drawing_shows_the_same_pixels(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    before = visitor.pixels(".triptych img, .triptych canvas")
    visitor.open(visitor.state)
    assert visitor.pixels(".triptych img, .triptych canvas") == before


def test_an_image_can_be_chosen_dropped_or_pasted(visitor: Visitor) -> None:
    visitor.open("#draw")
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
        visitor.page.get_by_label("Image file", exact=True).set_input_files(
            {"name": "seven.png", "mimeType": "image/png", "buffer": a_seven()}
        )
    visitor.settled()
    chosen = visitor.pixels(".triptych img")
    for send in (visitor.drop, visitor.paste):
        visitor.open("#generate?n=4&seed=1")
        with visitor.page.expect_response(
            lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
        ):
            send(a_seven())
        visitor.settled()
        assert visitor.pixels(".triptych img") == chosen


def test_a_large_photo_is_made_smaller_before_it_is_sent(visitor: Visitor) -> None:
    large = io.BytesIO()
    photo = Image.effect_noise((1600, 1200), 60)
    photo.paste(0, (720, 240, 880, 960))  # a one
    photo.save(large, "PNG")
    assert len(large.getvalue()) > 1024 * 1024
    visitor.open("#draw")
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
        visitor.drop(large.getvalue())
    visitor.settled()
    assert "image=iVBOR" in visitor.state


def test_a_heic_photo_is_left_to_the_service(visitor: Visitor) -> None:
    photo = io.BytesIO()
    pillow_heif.register_heif_opener()
    with Image.open(io.BytesIO(a_seven())) as seven:
        seven.convert("RGB").resize((900, 900)).save(photo, "HEIF", quality=90)
    visitor.open("#draw")
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
        visitor.drop(photo.getvalue(), kind="image/heic")
    visitor.settled()
    assert "image=iVBOR" in visitor.state


def test_a_file_that_is_no_image_gives_an_error_message(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.drop(b"not a picture", kind="text/plain")
    assert "cannot read this file as an image" in visitor.problem()


def test_the_model_offers_one_sample_of_each_class(visitor: Visitor) -> None:
    visitor.open("#draw")
    samples = visitor.page.get_by_role("group", name="Samples").get_by_role("button")
    samples.nth(9).wait_for()
    assert samples.count() == 10
    samples.nth(3).click()
    visitor.settled()
    assert visitor.pixels(".triptych img")[0] == visitor.pixels(".tray img")[3]


def test_another_model_reconstructs_the_same_drawing(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    seen, made = visitor.pixels(".triptych img")
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    visitor.page.locator(".dimension").nth(2).wait_for(state="detached")
    visitor.settled()
    assert visitor.pixels(".triptych img")[0] == seen
    assert visitor.pixels(".triptych img")[1] != made


def test_a_copied_curl_carries_the_drawing(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#draw")
    visitor.draw((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    saved = visitor.saved("Save PNG").read_bytes()
    command = visitor.copied("Copy as curl")
    run_in_a_shell(command, tmp_path)
    assert (tmp_path / "reconstruction.png").read_bytes() == saved


def test_an_image_that_is_not_like_the_data_has_a_warning(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.15), (0.48, 0.85))
    assert visitor.shown.locator(".unusual").count() == 0
    noise = io.BytesIO()
    Image.frombytes("L", (28, 28), bytes(i * 97 % 251 for i in range(784))).save(noise, "PNG")
    visitor.drop(noise.getvalue())
    visitor.shown.locator(".unusual").wait_for()
    assert "times the limit" in visitor.shown.locator(".unusual").inner_text()


def test_edited_versions_of_an_image_that_is_not_like_the_data_have_a_note(
    visitor: Visitor,
) -> None:
    visitor.open("#draw?model=mnist@11")
    note = visitor.shown.locator(".unusual-start")
    edited = visitor.shown.get_by_role("region", name="Edit").locator("img")
    noise = Image.frombytes("L", (28, 28), bytes(i * 97 % 251 for i in range(784)))
    file = io.BytesIO()
    noise.save(file, "PNG")
    visitor.drop(file.getvalue())
    edited.wait_for()
    visitor.until(note.is_visible)
    assert "may show something else" in note.inner_text()
    visitor.drop(digit(3))
    visitor.until(note.is_hidden)
    assert edited.is_visible()


def test_a_line_says_how_likely_an_image_is(visitor: Visitor) -> None:
    visitor.open("#draw")
    visitor.draw((0.5, 0.15), (0.48, 0.85))
    line = visitor.shown.locator(".typicality")
    line.wait_for()
    assert "\u2212ln p(x) is about" in line.inner_text()


def test_a_line_says_how_typical_an_image_is(visitor: Visitor) -> None:
    visitor.open("#draw?model=ztypical")
    line = visitor.shown.locator(".typicality")
    for content, words in (
        (typical_versions.noise(101), "Typical of the data: "),
        (typical_versions.black(), "Not like the data at all: 100 % of the test images are more"),
    ):
        visitor.drop(content)
        visitor.shown.get_by_text(words).wait_for()
        assert line.inner_text().startswith(words)
    assert "score is" in visitor.shown.locator(".unusual").inner_text()
