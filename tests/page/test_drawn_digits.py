"""Digits of the MNIST test split, drawn on the page: each reconstruction shows the same digit."""

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

PER_CLASS = 3
"""Digits of each class, the first ones of the test split."""
MIN_AGREEMENT = 0.95
"""Share of reconstructions to which the judge must give the label of the digit."""


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Return the strokes and the labels of the digits."""
    data_dir = TrainingSettings().data_dir
    if not (data_dir / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST in {data_dir}; ZSERVE_DATA_DIR names another folder")
    split = MNIST(str(data_dir), train=False)
    labels = split.targets.numpy()
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == c)[:PER_CLASS] for c in range(10)]))
    images = split.data.numpy()[chosen].astype(np.float32) / 255
    return [strokes_of(x) for x in images], labels[chosen]


def moved(strokes: list[Stroke], scale: float, right: float = 0, down: float = 0) -> list[Stroke]:
    """Scale and move strokes, from image pixels (28x28) to fractions of the paper's side."""
    return [
        [((x - 14) / 28 * scale + 0.5 + right, (y - 14) / 28 * scale + 0.5 + down) for x, y in s]
        for s in strokes
    ]


def by_brush(visitor: Visitor, strokes: list[Stroke]) -> None:
    """Draw strokes with the pointer on the canvas of the page."""
    visitor.click("Clear")
    for stroke in strokes:
        visitor.draw(*stroke, steps=1)


def on_paper(visitor: Visitor, strokes: list[Stroke], pen: float) -> None:
    """Draw strokes dark on white and drop the file; `pen` is a width in fractions of the side."""
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
    with visitor.page.expect_response(
        lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
    ):
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
    visitor.open("#draw?model=mnist@11")
    reconstructions = []
    for draw in variants:
        for strokes in drawings:
            draw(visitor, strokes)
            reconstructions.append(visitor.pixels(".triptych img")[1][0::4])
    x = torch.tensor(reconstructions).reshape(-1, 1, 28, 28) / 255
    judge, _ = load_judge("mnist")
    judged = judge_images(judge, x).labels.reshape(len(variants), -1)
    wrong = [
        (draw.__name__, int(label), int(judged_label))
        for draw, row in zip(variants, judged, strict=True)
        for label, judged_label in zip(labels, row, strict=True)
        if label != judged_label
    ]
    assert len(wrong) <= (1 - MIN_AGREEMENT) * len(x), f"(variant, label, judged): {wrong}"
