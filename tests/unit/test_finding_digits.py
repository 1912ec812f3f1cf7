"""The digit is found among specks, lines, shadows and other digits."""

import contextlib
import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks.upload_damages.photographs import DAMAGES, clean, photograph
from model_store.digit.finding import find_digit
from model_store.errors import BlankImageError, SeveralDigitsError
from tests.unit.digit_drawings import SEVEN, TWO, Bytes, likeness, prepared, prepared_file, stroke

SMALL = {"two": prepared(stroke(TWO)), "seven": prepared(stroke(SEVEN))}
OTHERS = np.stack(list(SMALL.values()))


def on_paper(image: Bytes, height: int = 420, width: int = 360, top: int = 90) -> Bytes:
    """Black ink on white paper."""
    paper = np.full((height, width), 255, np.uint8)
    paper[top : top + image.shape[0], 70 : 70 + image.shape[1]] -= image
    return paper


PAPER = on_paper(stroke(TWO))
TARGET = prepared(PAPER)


# --- damages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("digit", SMALL)
@pytest.mark.parametrize("damage", ["none", *DAMAGES])
def test_a_damaged_photograph_is_prepared_like_a_clean_one(damage: str, digit: str) -> None:
    damaged = photograph(SMALL[digit], {"none": clean, **DAMAGES}[damage], OTHERS, [5])
    assert likeness(prepared_file(damaged), SMALL[digit]) > 0.85


@pytest.mark.parametrize("damage", DAMAGES)
def test_white_ink_on_a_black_board_is_found_as_well(damage: str) -> None:
    photo = Image.open(io.BytesIO(photograph(SMALL["two"], DAMAGES[damage], OTHERS, [6])))
    board = Image.fromarray(255 - np.asarray(photo))
    assert likeness(prepared(board), SMALL["two"]) > 0.85


def test_single_specks_do_not_change_the_digit() -> None:
    specked = PAPER.copy()
    for y, x in [(3, 5), (12, 340), (400, 20), (415, 355), (200, 15), (60, 180)]:
        specked[y : y + 2, x : x + 2] = 0
    assert np.abs(prepared(specked).astype(int) - TARGET).max() <= 2


def test_a_frame_at_the_very_edge_does_not_change_the_digit() -> None:
    framed = PAPER.copy()
    framed[:9], framed[-9:], framed[:, :9], framed[:, -9:] = 0, 0, 0, 0
    assert np.abs(prepared(framed).astype(int) - TARGET).max() <= 2


def test_a_box_that_the_digit_touches_is_taken_away() -> None:
    image = Image.fromarray(PAPER)
    rows, columns = np.nonzero(PAPER < 128)
    box = (columns.min() - 14, rows.min() + 2, columns.max() + 14, rows.max() + 14)
    ImageDraw.Draw(image).rectangle(tuple(map(int, box)), outline=30, width=4)
    assert likeness(prepared(image), TARGET) > 0.95


def test_lines_as_dark_as_the_ink_are_taken_away_and_crossing_strokes_stay() -> None:
    ruled = PAPER.copy()
    for y in range(20, 420, 45):
        ruled[y : y + 3] = 0
    assert likeness(prepared(ruled), TARGET) > 0.95


def test_a_single_upright_stroke_is_a_digit_and_no_line() -> None:
    paper = np.full((300, 200), 255, np.uint8)
    paper[10:290, 95:107] = 0
    one = prepared(paper)
    assert (one.max(axis=1) > 128).sum() == 20
    assert (one.max(axis=0) > 128).sum() <= 2


def test_a_drawing_that_is_cut_tightly_stays_the_drawing() -> None:
    rows, columns = np.nonzero(PAPER < 255)
    tight = PAPER[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert np.abs(prepared(tight).astype(int) - TARGET).max() <= 2


def test_a_detached_stroke_belongs_to_its_digit() -> None:
    body = stroke([(40, 70), (40, 130), (130, 140), (130, 200), (40, 215)])
    bar = stroke([(60, 35), (150, 30)])
    five = prepared(on_paper(np.maximum(body, bar)))
    assert likeness(five, prepared(on_paper(body))) < 0.9
    assert five[4:8].max() > 200


# --- several digits ----------------------------------------------------------------------------


def two_digits(first: float, second: float) -> Bytes:
    """A two and a seven beside each other, enlarged by these factors."""
    paper = Image.new("L", (700, 420), 255)
    for points, scale, left in ((TWO, first, 60), (SEVEN, second, 420)):
        ink = Image.fromarray(255 - stroke(points))
        ink = ink.resize((round(200 * scale), round(260 * scale)))
        paper.paste(ink, (left, 210 - ink.height // 2))
    return np.asarray(paper)


def test_the_larger_one_of_two_digits_is_taken() -> None:
    assert likeness(prepared(two_digits(1, 0.5)), TARGET) > 0.95
    assert likeness(prepared(two_digits(0.5, 1)), prepared(on_paper(stroke(SEVEN)))) > 0.95


def test_two_digits_of_one_size_are_refused() -> None:
    with pytest.raises(SeveralDigitsError, match="several digits of about the same size"):
        prepared(two_digits(1, 1))


def drawn(*strokes: list[tuple[int, int]]) -> Bytes:
    """Strokes of a brush on the canvas of the page, light on dark."""
    canvas = Image.new("L", (280, 280), 0)
    brush = ImageDraw.Draw(canvas)
    for points in strokes:
        brush.line(points, fill=255, width=26)
    return np.asarray(canvas)


CORNER, UPRIGHT = [(80, 50), (80, 150), (140, 150)], [(190, 50), (190, 230)]


@pytest.mark.parametrize(
    "strokes",
    [
        pytest.param([CORNER, UPRIGHT], id="an open four"),
        pytest.param([UPRIGHT, CORNER], id="an open four, the upright stroke first"),
        pytest.param([[(90, 60), (90, 220)], [(190, 60), (190, 220)]], id="two equal strokes"),
        pytest.param(
            [[(110, 70), (100, 140), (170, 160), (150, 230), (90, 230)], [(150, 40), (220, 40)]],
            id="a five whose bar is apart",
        ),
    ],
)
def test_strokes_with_a_gap_between_them_are_one_digit(
    strokes: list[list[tuple[int, int]]],
) -> None:
    canvas = drawn(*strokes)
    box = Image.fromarray(canvas).getbbox()
    assert box is not None
    scale = 20 / max(box[2] - box[0], box[3] - box[1])  # MNIST's digits have 20 pixels
    assert prepared(canvas).sum() == pytest.approx(canvas.sum() * scale**2, rel=0.1)


# --- other images ------------------------------------------------------------------------------


def test_a_photograph_of_empty_paper_is_blank() -> None:
    rng = np.random.default_rng(0)
    light = np.linspace(0.9, 0.6, 400)[:, None] + rng.normal(0, 0.015, (400, 300))
    with pytest.raises(BlankImageError, match="no digit can be seen"):
        prepared((light * 255).astype(np.uint8))


def test_a_small_digit_in_a_large_photo_is_not_prepared_from_the_reduced_photo() -> None:
    large = np.full((2400, 1900), 250, np.uint8)
    large[1400:1460, 900:946] = np.asarray(Image.fromarray(255 - stroke(TWO)).resize((46, 60)))
    alone = large[1380:1480, 880:980]
    mark = find_digit(large.astype(np.uint16) * np.uint16(257))
    assert mark is not None
    assert 50 <= mark.longest <= 60
    assert likeness(prepared(large[1000:2000, 500:1500]), prepared(alone)) > 0.98


@pytest.mark.parametrize("size", [(3, 40), (40, 3), (5, 5), (29, 27), (1, 30), (640, 2)])
def test_noise_of_any_size_is_prepared_or_refused_by_name(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    with contextlib.suppress(BlankImageError, SeveralDigitsError):
        assert prepared(noise).shape == (28, 28)


def test_every_machine_prepares_the_same_bytes() -> None:
    rows, columns = np.mgrid[:500, :380]
    ring = np.abs((rows - 240) ** 2 + 2 * (columns - 170) ** 2 - 15000) < 4200
    light = 200 - rows // 5 - columns // 7 + (rows * 7919 + columns * 104729) % 11
    photo = np.where(ring | (rows % 47 < 2), light // 3, light).astype(np.uint8)
    digest = hashlib.sha256(prepared(photo).tobytes()).hexdigest()
    assert digest == "fd46f0d1a77e07492bd9e4b3db87b87bbbd28a80f865bf276ea2cc229e4ddc31"
