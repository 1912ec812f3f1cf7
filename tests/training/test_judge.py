"""The committed judges keep what their cards say, and a damaged one is refused."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from torchvision import datasets  # type: ignore[import-untyped]

from tests.training.conftest import write_idx
from training import __main__ as cli
from training.classifier.model import (
    JUDGES,
    Judge,
    JudgeError,
    judge_bytes,
    judge_images,
    load_judge,
)
from training.classifier.train import (
    RECIPES,
    Augmentation,
    Labelled,
    measure_judge,
    move_images,
    train_judge,
)
from training.settings import Settings

KINDS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
STILL = Augmentation()


def bars(images: int, seed: int = 0) -> Labelled:
    """Two made classes: an upright bar and a lying one, at any place."""
    noise = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (images,), generator=noise)
    pixels = torch.zeros(images, 1, 28, 28, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        place = int(torch.randint(8, 20, (1,), generator=noise))
        image[0, :, place - 1 : place + 2] = 255
        if label:
            image[0] = image[0].T.clone()
    return Labelled(pixels, labels)


def a_copy(folder: Path) -> Path:
    for suffix in ("json", "safetensors"):
        shutil.copy(JUDGES / f"mnist.{suffix}", folder)
    return folder


@pytest.mark.parametrize(("dataset", "reach"), [("mnist", 0.993), ("fashion-mnist", 0.92)])
def test_a_committed_judge_reaches_on_the_test_split_what_its_card_says(dataset: str, reach: float):
    kind = KINDS[dataset]
    data_dir = Settings().data_dir
    if not (data_dir / kind.__name__ / "raw").is_dir():
        pytest.skip(f"no {kind.__name__} in {data_dir}; ZSERVE_DATA_DIR names another folder")
    judge, card = load_judge(dataset)
    test = kind(str(data_dir), train=False)
    measured = measure_judge(judge, Labelled(test.data.unsqueeze(1), test.targets))
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


def test_an_unknown_judge_is_an_error_that_names_the_known_ones():
    with pytest.raises(JudgeError, match="no judge of 'birds'; there are: fashion-mnist, mnist"):
        load_judge("birds")


def test_a_trained_judge_is_stored_with_the_numbers_of_what_was_stored(tmp_path: Path):
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


def test_a_command_trains_a_judge_from_the_files_of_its_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    raw, out = tmp_path / "MNIST" / "raw", tmp_path / "judges"
    raw.mkdir(parents=True)
    for seed, prefix in enumerate(("train", "t10k")):
        made = bars(60, seed)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", made.pixels[:, 0].numpy())
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", made.labels.byte().numpy())
    options = ["--data-dir", str(tmp_path), "--out", str(out), "--epochs", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["training", "judge", "mnist", *options])
    assert cli.main() == 0
    _, card = load_judge("mnist", out)
    assert f"accuracy {card.accuracy:.4f}" in capsys.readouterr().out


def test_the_same_seed_trains_the_same_judge(tmp_path: Path):
    train, test = bars(100), bars(50, seed=1)
    cards = [
        train_judge("mnist", train, test, epochs=1, folder=tmp_path / str(place), batch_size=50)
        for place in range(2)
    ]
    assert cards[0].sha256 == cards[1].sha256


def test_half_precision_storage_keeps_what_the_judge_says():
    judge, _ = load_judge("mnist")
    assert judge_bytes(judge) == (JUDGES / "mnist.safetensors").read_bytes()


def test_images_that_may_not_move_stay_where_they_are():
    x = bars(6).pixels.float() / 255
    noise = torch.Generator().manual_seed(0)
    torch.testing.assert_close(move_images(x, STILL, noise), x, atol=1e-4, rtol=0)


def test_images_are_shifted_by_at_most_what_was_asked():
    x = torch.zeros(200, 1, 28, 28)
    x[:, :, 14, 14] = 1
    shift = STILL.model_copy(update={"shift": 0.1})
    moved = move_images(x, shift, torch.Generator().manual_seed(0))
    place = torch.stack(
        [(moved.sum(dim=dim) * torch.arange(28)).sum(dim=(1, 2)) for dim in (3, 2)]
    ) / moved.sum(dim=(1, 2, 3))
    assert (place - 14).abs().max() <= 2.8 + 0.01
    assert (place - 14).abs().max() > 2


def test_half_of_the_images_are_mirrored_where_that_is_asked():
    x = bars(400).pixels.float() / 255
    flip = STILL.model_copy(update={"flip": True})
    moved = move_images(x, flip, torch.Generator().manual_seed(0))
    mirrored = (moved - x.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-3
    still = (moved - x).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert (mirrored | still).all()
    assert 0.4 < still.double().mean() < 0.95
    assert not RECIPES["mnist"].augmentation.flip


def test_an_untrained_judge_is_sure_of_nothing():
    verdict = judge_images(Judge().eval(), torch.rand(20, 1, 28, 28))
    assert (verdict.confidence < 0.5).all()
