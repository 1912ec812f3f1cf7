"""Files that people have: whatever the browser can read reaches the service as a small PNG."""

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Response

from tests.page.slow_service import record_requests, sent
from tests.page.visitor import Visitor

PNG = b"\x89PNG\r\n\x1a\n"
MIB = 1024 * 1024


def a_seven(mode: str = "RGB", ink: Any = "black", paper: Any = "white") -> Image.Image:
    """Return a small picture of a digit, its sides different from each other."""
    picture = Image.new(mode, (150, 180), paper)
    ImageDraw.Draw(picture).line([(35, 40), (110, 40), (60, 150)], ink, 13, "curve")
    return picture


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def is_of_kept_image(response: Response) -> bool:
    """Return True for the reconstruction of the image that is in the address."""
    return "/reconstruct" in response.url and "preprocess=none" in response.url


def drop(visitor: Visitor, content: bytes, kind: str = "") -> Any:
    """Drop a file on Draw, and return the image as the model sees it."""
    with visitor.page.expect_response(is_of_kept_image):
        visitor.drop(content, kind=kind)
    visitor.settled()
    return visitor.pixels(".triptych img")[0]


def largest_difference(one: Any, other: Any) -> int:
    return max(abs(int(a) - int(b)) for a, b in zip(one, other, strict=True))


def test_a_small_file_of_any_kind_is_sent_as_a_png(visitor: Visitor) -> None:
    record_requests(visitor)
    visitor.open("#draw?model=mnist@11")
    expected = drop(visitor, saved(a_seven(), "PNG"))
    kinds: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "GIF": {},
        "BMP": {},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    for kind, options in kinds.items():
        visitor.click("Clear")
        seen = drop(visitor, saved(a_seven(), kind, **options))
        assert largest_difference(seen, expected) <= (12 if kind == "AVIF" else 0), kind
    assert all(entry.image == PNG for entry in sent(visitor, "reconstruct"))


def test_the_first_frame_of_a_saved_gif_is_used(visitor: Visitor) -> None:
    content = visitor.page.request.post(
        f"{visitor.address}/interpolate?model=mnist@11&seed_a=3&seed_b=12&steps=4&format=gif&scale=8"
    ).body()
    assert content.startswith(b"GIF89a")
    record_requests(visitor)
    with Image.open(io.BytesIO(content)) as frames:
        first = saved(frames.convert("L"), "PNG")
    visitor.open("#draw?model=mnist@11")
    expected = drop(visitor, first)
    visitor.click("Clear")
    assert drop(visitor, content) == expected
    assert sent(visitor, "reconstruct")[0].image == PNG


def test_a_file_of_many_bytes_is_made_smaller_by_the_browser(visitor: Visitor) -> None:
    """A picture of noise has as many bytes as pixels, and is larger than the service once took."""
    bands = [Image.effect_noise((590, 590), 60) for _ in range(4)]
    bands[3] = bands[3].point([250 + level % 6 for level in range(256)])
    picture = Image.merge("RGBA", bands)
    picture.paste((0, 0, 0, 255), (260, 90, 330, 500))
    record_requests(visitor)
    visitor.open("#draw?model=mnist@11")
    for kind in ("PNG", "BMP"):
        content = saved(picture, kind)
        assert len(content) > MIB
        visitor.click("Clear")
        assert any(drop(visitor, content)[0::4])
    assert all(entry.image_bytes < MIB for entry in sent(visitor, "reconstruct"))
    assert all(entry.image == PNG for entry in sent(visitor, "reconstruct"))


def test_a_drawing_without_pixels_is_drawn_large_enough(visitor: Visitor) -> None:
    path = '<path d="M6 5 h12 l-8 14" fill="none" stroke="{}" stroke-width="2"/>'
    headers = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">',
        '<?xml version="1.0"?><!-- made by hand --><svg xmlns="http://www.w3.org/2000/svg" width="24" height="24px">',
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="100%" height="2cm">',
    ]
    record_requests(visitor)
    visitor.open("#draw?model=mnist@11")
    images = []
    for header in headers:
        for ink in ("black", "white"):
            visitor.click("Clear")
            content = f"{header}{path.format(ink)}</svg>".encode()
            images.append(drop(visitor, content, "image/svg+xml"))
    assert sent(visitor, "reconstruct")[0].image == PNG
    assert any(images[0][0::4])
    assert max(largest_difference(image, images[0]) for image in images[1:]) <= 2


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_photo_is_turned_as_the_service_turns_it(visitor: Visitor, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}[orientation]
    visitor.open("#draw?model=mnist@11")
    expected = drop(visitor, saved(a_seven().transpose(turn), "PNG"))
    for kind in ("PNG", "JPEG", "WEBP", "AVIF"):
        visitor.click("Clear")
        seen = drop(visitor, saved(a_seven(), kind, exif=exif.tobytes(), quality=95))
        errors = [abs(a - b) for a, b in zip(seen, expected, strict=True)]
        assert sum(errors) / len(errors) < 5, kind


@pytest.mark.parametrize("ink", [(0, 0, 0, 255), (255, 255, 255, 255)], ids=["dark", "light"])
def test_transparent_parts_become_the_background_that_contrasts(
    visitor: Visitor, ink: tuple[int, ...]
) -> None:
    visitor.open("#draw?model=mnist@11")
    expected = drop(visitor, saved(a_seven(), "PNG"))
    picture = a_seven("RGBA", ink, (*ink[:3], 0))
    for kind in ("PNG", "WEBP", "GIF"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        visitor.click("Clear")
        seen = drop(visitor, saved(picture, kind, **options))
        assert largest_difference(seen, expected) <= 2, kind


def test_a_file_that_cannot_be_read_has_a_remedy(visitor: Visitor) -> None:
    files = [
        (saved(a_seven(), "TIFF"), "cannot read TIFF files"),
        (b"%PDF-1.7\n", "cannot read PDF files"),
        (b"8BPS\0\1" + bytes(40), "cannot read Photoshop files"),
        (b"\xff\x0a" + bytes(40), "cannot read JPEG XL files"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "is a video"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><path", "SVG file: it is damaged"),
        (b"not a picture", "cannot read this file as an image"),
        (b"", "The file is empty"),
    ]
    visitor.open("#draw")
    for content, words in files:
        visitor.drop(content, kind="")
        visitor.page.get_by_role("alert").filter(has_text=words).wait_for()
        assert "What to do: " in visitor.problem()
        assert not visitor.page.get_by_role("button", name="Try again").is_visible()
    # Firefox itself reports XML that ends too early
    visitor.errors[:] = [error for error in visitor.errors if "unclosed token" not in error]


def test_a_damaged_file_that_the_service_knows_has_its_answer(visitor: Visitor) -> None:
    files = [
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60),
        saved(a_seven(), "PNG")[:60],
    ]
    for content in files:
        visitor.open("#draw")
        visitor.drop(content, kind="")
        assert "What to do: " in visitor.problem()
    assert all(error.startswith(("4", "console error")) for error in visitor.errors)
    visitor.errors.clear()


def test_other_parts_take_the_same_files(visitor: Visitor) -> None:
    visitor.open("#interpolate?model=mnist@11")
    visitor.page.get_by_label("Image file for A", exact=True).set_input_files(
        {"name": "seven.webp", "mimeType": "image/webp", "buffer": saved(a_seven(), "WEBP")}
    )
    visitor.until(lambda: "a=png:" in visitor.state)
    visitor.settled()
