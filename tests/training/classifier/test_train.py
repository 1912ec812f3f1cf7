from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.training.conftest import bars
from training.classifier.model import load_judge
from training.classifier.train import RECIPES, measure_judge, train_judge
from training.data.images import Images


def test_the_card_of_a_trained_judge_states_the_accuracy_of_its_stored_weights(tmp_path: Path):
    train, test = bars(600), bars(200, seed=1)
    losses: list[float] = []
    card = train_judge(
        "mnist",
        train,
        test,
        epochs=3,
        folder=tmp_path,
        batch_size=50,
        report=lambda _epoch, loss: losses.append(loss),
    )
    judge, stored = load_judge("mnist", tmp_path)
    assert stored == card
    assert card.accuracy > 0.95
    assert measure_judge(judge, test)["accuracy"] == card.accuracy
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_the_same_seed_trains_the_same_judge(tmp_path: Path):
    train, test = bars(100), bars(50, seed=1)
    cards = [
        train_judge("mnist", train, test, epochs=1, folder=tmp_path / str(place), batch_size=50)
        for place in range(2)
    ]
    assert cards[0].sha256 == cards[1].sha256


@pytest.mark.parametrize("dataset", ["mnist", "glyphs"])
def test_digits_and_letters_are_never_mirrored(dataset: str):
    assert not RECIPES[dataset].augmentation.mirror


def test_a_judge_of_letters_takes_their_images_and_knows_the_names_of_its_classes(tmp_path: Path):
    train, test = (
        Images(F.pad(part.pixels, (2, 2, 2, 2)), part.labels) for part in (bars(60), bars(20))
    )
    train_judge("glyphs", train, test, class_names=("b", "B"), epochs=1, folder=tmp_path)
    judge, card = load_judge("glyphs", tmp_path)
    assert card.class_names == ("b", "B")
    assert card.image.shape == (1, 32, 32)
    assert judge(torch.zeros(1, 1, 32, 32)).shape == (1, 2)
