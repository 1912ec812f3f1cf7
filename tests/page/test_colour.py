"""A model of colour images that are not square: the page does not assume grey 28x28 images."""

import io

from PIL import Image

from tests.page.visitor import Visitor

RGBA = 20 * 24 * 4
"""Values in an image of `zcolour`."""


def a_picture() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((240, 200)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def test_colour_images_are_generated_interpolated_and_traversed(visitor: Visitor) -> None:
    visitor.open("#generate?model=zcolour@1&n=4&seed=1")
    tiles = visitor.pixels(".tiles img")
    assert [len(tile) for tile in tiles] == [RGBA] * 4
    assert any(pixel[0] != pixel[1] for pixel in zip(tiles[0][0::4], tiles[0][1::4], strict=True))
    visitor.part("Interpolate")
    frames = visitor.pixels(".strip img")
    assert visitor.pixels(".slot img") == [frames[0], frames[-1]]
    visitor.part("Traverse")
    assert {len(tile) for tile in visitor.pixels(".strip canvas")} == {RGBA}


def test_a_dropped_photo_is_reconstructed_in_colour(visitor: Visitor) -> None:
    visitor.open("#draw?model=zcolour@1")
    assert "Drop or paste an image" in visitor.shown.inner_text()
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
        visitor.drop(a_picture(), kind="image/jpeg")
    visitor.settled()
    before = visitor.pixels(".triptych img, .triptych canvas")
    assert [len(picture) for picture in before] == [RGBA] * 3
    visitor.open(visitor.state)
    assert visitor.pixels(".triptych img, .triptych canvas") == before


def test_models_of_different_image_shapes_can_be_compared(visitor: Visitor) -> None:
    visitor.open("#compare?model=mnist@11&other=zcolour@1&n=4&seed=8")
    assert [len(tile) for tile in visitor.pixels(".tiles img")] == [28 * 28 * 4] * 4 + [RGBA] * 4


def test_a_drawing_made_with_another_model_is_prepared_again(visitor: Visitor) -> None:
    visitor.open("#draw?model=mnist@11")
    visitor.draw((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))
    with visitor.page.expect_response(lambda r: "preprocess=auto" in r.url):
        visitor.page.get_by_label("Model", exact=True).select_option("zcolour")
    visitor.settled()
    assert [len(picture) for picture in visitor.pixels(".triptych img")] == [RGBA] * 2
