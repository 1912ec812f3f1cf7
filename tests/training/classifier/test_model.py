import shutil
from pathlib import Path

import pytest
import torch
from torchvision import datasets  # type: ignore[import-untyped]

from training.classifier.model import (
    JUDGES,
    Judge,
    judge_bytes,
    judge_images,
    load_judge,
)
from training.classifier.train import measure_judge
from training.data.images import Images
from training.errors import JudgeError
from training.settings import TrainingSettings

KINDS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}


def a_copy(folder: Path) -> Path:
    for suffix in ("json", "safetensors"):
        shutil.copy(JUDGES / f"mnist.{suffix}", folder)
    return folder


@pytest.mark.parametrize(("dataset", "reach"), [("mnist", 0.993), ("fashion-mnist", 0.92)])
def test_a_committed_judge_has_the_accuracy_that_its_card_states(dataset: str, reach: float):
    kind = KINDS[dataset]
    data_dir = TrainingSettings().data_dir
    if not (data_dir / kind.__name__ / "raw").is_dir():
        pytest.skip(f"no {kind.__name__} in {data_dir}; ZSERVE_DATA_DIR names another folder")
    judge, card = load_judge(dataset)
    test = kind(str(data_dir), train=False)
    measured = measure_judge(judge, Images(test.data.unsqueeze(1), test.targets))
    assert measured["accuracy"] >= reach
    # one image of ten thousand may fall on the other side of a threshold on another CPU
    assert measured["accuracy"] == pytest.approx(card.accuracy, abs=2e-4)
    assert measured["sure_share"] == pytest.approx(card.sure_share, abs=5e-4)
    assert measured["sure_accuracy"] == pytest.approx(card.sure_accuracy, abs=5e-4)


@pytest.mark.parametrize("dataset", KINDS)
def test_a_committed_judge_is_small_and_its_outputs_have_their_shapes(dataset: str):
    judge, card = load_judge(dataset)
    assert (JUDGES / f"{dataset}.safetensors").stat().st_size < 1_000_000
    assert card.parameters == sum(parameter.numel() for parameter in judge.parameters())
    verdict = judge_images(judge, torch.rand(7, 1, 28, 28), batch_size=3)
    assert verdict.features.shape == (7, 4 * card.width)
    assert verdict.probabilities.shape == (7, card.classes)
    torch.testing.assert_close(verdict.probabilities.sum(dim=1), torch.ones(7))
    assert torch.equal(verdict.confidence, verdict.probabilities.amax(dim=1))
    assert len(verdict[2:5]) == 3


def test_a_judge_with_a_changed_byte_is_refused(tmp_path: Path):
    path = a_copy(tmp_path) / "mnist.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(JudgeError, match=r"mnist\.safetensors has SHA-256"):
        load_judge("mnist", tmp_path)


def test_a_judge_without_weights_or_with_a_broken_card_is_refused(tmp_path: Path):
    (a_copy(tmp_path) / "mnist.safetensors").unlink()
    with pytest.raises(JudgeError, match="cannot read"):
        load_judge("mnist", tmp_path)
    (tmp_path / "mnist.json").write_text("{}")
    with pytest.raises(JudgeError, match=r"mnist\.json is not a judge's card"):
        load_judge("mnist", tmp_path)


def test_weights_of_another_network_are_refused_even_with_the_right_checksum(tmp_path: Path):
    _, card = load_judge("mnist")
    folder = a_copy(tmp_path)
    (folder / "mnist.json").write_text(card.model_copy(update={"classes": 7}).model_dump_json())
    with pytest.raises(JudgeError, match="do not fit the network"):
        load_judge("mnist", folder)


def test_the_error_for_an_unknown_judge_lists_the_judges():
    with pytest.raises(JudgeError, match="no judge for 'birds'; there are: fashion-mnist, mnist"):
        load_judge("birds")


def test_storing_a_loaded_judge_gives_the_same_file():
    judge, _ = load_judge("mnist")
    assert judge_bytes(judge) == (JUDGES / "mnist.safetensors").read_bytes()


def test_an_untrained_judge_is_sure_of_nothing():
    verdict = judge_images(Judge().eval(), torch.rand(20, 1, 28, 28))
    assert (verdict.confidence < 0.5).all()
