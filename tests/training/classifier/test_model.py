import shutil
from pathlib import Path

import pytest
import torch
from torchvision import datasets  # type: ignore[import-untyped]

from model_store.spec import MLP, ImageShape, ModelSpec, TrainingRecord
from model_store.vae import VAE
from training.classifier.model import (
    JUDGES,
    Judge,
    judge_bytes,
    judge_for,
    judge_images,
    load_judge,
)
from training.classifier.train import RECIPES, measure_judge
from training.data import image_folder
from training.data.glyphs.fonts import CHARACTERS
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


def test_the_judge_of_letters_has_the_accuracy_that_its_card_states():
    folder = TrainingSettings().data_dir / "glyphs"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; `python -m training data glyphs` draws it")
    judge, card = load_judge("glyphs")
    recipe = RECIPES["glyphs"]
    spec = ModelSpec(network=MLP(), latent=1, image=recipe.image, upload="resize")
    splits = image_folder.load(recipe.data, folder, spec)
    assert splits.classes == card.class_names
    measured = measure_judge(judge, splits.test)
    # other machines have other fonts, and so other test images
    assert measured["accuracy"] == pytest.approx(card.accuracy, abs=0.01)
    assert measured["sure_share"] == pytest.approx(card.sure_share, abs=0.02)


@pytest.mark.parametrize("dataset", [*KINDS, "glyphs"])
def test_a_committed_judge_is_small_and_its_outputs_have_their_shapes(dataset: str):
    judge, card = load_judge(dataset)
    assert (JUDGES / f"{dataset}.safetensors").stat().st_size < 1_000_000
    assert card.parameters == sum(parameter.numel() for parameter in judge.parameters())
    verdict = judge_images(judge, torch.rand(7, *card.image.shape), batch_size=3)
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
    with pytest.raises(
        JudgeError, match="no judge for 'birds'; there are: fashion-mnist, glyphs, mnist"
    ):
        load_judge("birds")


LETTERS = ImageShape(height=32, width=32)


def trained_on(data: dict[str, str], image: ImageShape) -> tuple[TrainingRecord, VAE]:
    """Return the record of a training on some data, and a model of such images."""
    record = TrainingRecord(preset="any", dataset="any", seed=0, epochs=1, settings={"data": data})
    return record, VAE(ModelSpec(network=MLP(hidden=(4,)), latent=2, image=image))


@pytest.mark.parametrize(
    ("data", "image", "features"),
    [
        ({"dataset": "mnist"}, ImageShape(), 128),
        ({"dataset": "fashion-mnist"}, ImageShape(), 192),
        ({"dataset": "folder", "judge": "glyphs"}, LETTERS, 128),
        ({"dataset": "folder", "judge": "mnist"}, ImageShape(), 128),
    ],
)
def test_the_judge_of_a_model_is_named_by_its_preset_or_is_that_of_its_data_set(
    data: dict[str, str], image: ImageShape, features: int
):
    judge = judge_for(*trained_on(data, image))
    assert judge is not None
    assert judge.head.in_features == features


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ({"dataset": "folder"}, LETTERS),
        ({"dataset": "folder", "folder": "glyphs"}, LETTERS),
        ({"dataset": "mnist"}, LETTERS),
    ],
)
def test_there_is_no_judge_for_other_data_or_images(data: dict[str, str], image: ImageShape):
    assert judge_for(*trained_on(data, image)) is None


def test_a_judge_that_the_preset_names_must_exist_and_take_the_images_and_know_the_classes():
    with pytest.raises(JudgeError, match="no judge for 'birds'"):
        judge_for(*trained_on({"dataset": "folder", "judge": "birds"}, LETTERS))
    with pytest.raises(JudgeError, match="takes images of"):
        judge_for(*trained_on({"dataset": "folder", "judge": "glyphs"}, ImageShape()))
    named = trained_on({"dataset": "folder", "judge": "glyphs"}, LETTERS)
    with pytest.raises(JudgeError, match=r"has cat, dog; leave out data\.judge"):
        judge_for(*named, ("cat", "dog"))
    assert judge_for(*named, tuple(CHARACTERS)) is not None


def test_storing_a_loaded_judge_gives_the_same_file():
    judge, _ = load_judge("mnist")
    assert judge_bytes(judge) == (JUDGES / "mnist.safetensors").read_bytes()


def test_an_untrained_judge_is_sure_of_nothing():
    verdict = judge_images(Judge().eval(), torch.rand(20, 1, 28, 28))
    assert (verdict.confidence < 0.5).all()
