"""Digits of the test split, drawn by hand: the reconstruction is still the same digit."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torchvision.datasets import MNIST  # type: ignore[import-untyped]

from tests.page.strokes import Stroke, strokes_of
from tests.page.visitor import Visitor
from training.classifier.model import judge_images, load_judge
from training.settings import TrainingSettings

Digits = tuple[list[list[Stroke]], NDArray[np.int64]]

EACH = 3
"""Digits of each class: the first of the test split."""
AGREE = 0.95


@pytest.fixture(scope="module")
def digits() -> Digits:
    """The strokes of each digit and its label."""
    data_dir = TrainingSettings().data_dir
    if not (data_dir / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST in {data_dir}; ZSERVE_DATA_DIR names another folder")
    split = MNIST(str(data_dir), train=False)
    labels = split.targets.numpy()
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == c)[:EACH] for c in range(10)]))
    images = split.data.numpy()[chosen].astype(np.float32) / 255
    return [strokes_of(x) for x in images], labels[chosen]


def moved(strokes: list[Stroke], scale: float, right: float = 0, down: float = 0) -> list[Stroke]:
    """Strokes in pixels of 28 -> in shares of the paper."""
    return [
        [((x - 14) / 28 * scale + 0.5 + right, (y - 14) / 28 * scale + 0.5 + down) for x, y in s]
        for s in strokes
    ]


def by_brush(visitor: Visitor, strokes: list[Stroke]) -> None:
    """Drawn with the pointer on the canvas of the page."""
    visitor.click("Clear")
    for stroke in strokes:
        visitor.draw(*stroke, steps=1)


def on_paper(visitor: Visitor, strokes: list[Stroke], pen: float) -> None:
    """Drawn dark on white with a pen, in shares of the paper's side, and dropped as a file."""
    side, finer = 280, 4
    paper = Image.new("L", (side * finer, side * finer), 255)
    brush = ImageDraw.Draw(paper)
    radius = pen * side * finer / 2
    for stroke in strokes:
        points = [(x * side * finer, y * side * finer) for x, y in stroke]
        brush.line(points, 0, round(2 * radius), "curve")
        for x, y in (points[0], points[-1]):
            brush.ellipse([x - radius, y - radius, x + radius, y + radius], 0)
    file = io.BytesIO()
    paper.resize((side, side), Image.Resampling.BOX).save(file, "PNG")
    with visitor.page.expect_response(lambda r: "preprocess=none" in r.url):
        visitor.drop(file.getvalue())
    visitor.settled()


def shifted(visitor: Visitor, strokes: list[Stroke]) -> None:
    by_brush(visitor, moved(strokes, 0.9, right=0.1, down=-0.1))


def large(visitor: Visitor, strokes: list[Stroke]) -> None:
    by_brush(visitor, moved(strokes, 1.25))


def thin(visitor: Visitor, strokes: list[Stroke]) -> None:
    on_paper(visitor, moved(strokes, 1), pen=0.025)


def inverted(visitor: Visitor, strokes: list[Stroke]) -> None:
    on_paper(visitor, moved(strokes, 1), pen=0.09)


def test_drawn_digits_are_reconstructed_as_the_same_digits(
    visitor: Visitor, digits: Digits
) -> None:
    drawings, labels = digits
    variants = [shifted, large, thin, inverted]
    visitor.open("#draw?model=mnist@5")
    reconstructions = []
    for draw in variants:
        for strokes in drawings:
            draw(visitor, strokes)
            reconstructions.append(visitor.pixels(".triptych img")[1][0::4])
    x = torch.tensor(reconstructions).reshape(-1, 1, 28, 28) / 255
    judge, _ = load_judge("mnist")
    found = judge_images(judge, x).labels.reshape(len(variants), -1)
    wrong = [
        (draw.__name__, int(drawn), int(seen))
        for draw, row in zip(variants, found, strict=True)
        for drawn, seen in zip(labels, row, strict=True)
        if drawn != seen
    ]
    assert len(wrong) <= (1 - AGREE) * len(x), f"(variant, drawn, seen): {wrong}"
