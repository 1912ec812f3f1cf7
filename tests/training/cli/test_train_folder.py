"""`train FOLDER`: from a folder of images to a version, without a preset."""

import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from tests.training.conftest import call
from training.runs import checkpoint

FAST = (
    "--threads", "1", "--device", "cpu", "--no-tensorboard",
    "--set=optimiser.epochs=1", "--set=compute.bf16=false",
)  # fmt: skip
TINY = (
    "--set=model.latent=4", "--set=model.network.channels=[4]", "--set=model.network.hidden=8",
    "--set=model.prior.couplings=1", "--set=model.prior.hidden=4", "--set=optimiser.passes=1",
)  # fmt: skip
"""A network of a few hundred weights, in place of the one that is planned."""


def draw(folder: Path, count: int, *, kind: str = "disc", side: int = 8) -> Path:
    """Draw discs or squares of two colours at random places."""
    folder.mkdir(parents=True, exist_ok=True)
    places = random.Random(kind)
    for number in range(count):
        image = Image.new("RGB", (side, side), "white")
        x, y, r = (places.randint(side // 4, side // 2) for _ in range(3))
        shape = ImageDraw.Draw(image)
        paint = shape.ellipse if kind == "disc" else shape.rectangle
        paint((x - r // 2, y - r // 2, x + r // 2, y + r // 2), fill=places.choice(["red", "navy"]))
        image.save(folder / f"{number:03}.png")
    return folder


def train(folder: Path, store: Path, *options: str) -> int:
    level = () if "--evaluation" in options else ("--evaluation", "bound")
    return call("train", str(folder), "--store", str(store), *FAST, *level, *options)


def published(store: Path, name: str = "shapes") -> Manifest:
    return Store(store).verify(ModelRef.parse(f"{name}@1"))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    for kind in ("disc", "square"):
        draw(tmp_path / "Shapes" / kind, 60, kind=kind)
    return tmp_path / "Shapes"


def test_a_folder_alone_is_enough_and_the_plan_is_shown(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
):
    assert train(shapes, tmp_path, *TINY) == 0
    captured = capsys.readouterr()
    for words in ("108 to train on", "8x8", "colour", "images/s", "residual", "averaging"):
        assert words in captured.err
    assert captured.out.splitlines()[-1].startswith("published shapes@1")
    manifest = published(tmp_path)
    assert manifest.spec.image.shape == (3, 8, 8)
    assert manifest.classes == ("disc", "square")
    assert manifest.training.preset == "planned"
    assert manifest.arithmetic == "exact-1"
    assert "weights.safetensors" not in manifest.files
    assert {"variance_explained", "knn_accuracy"} <= manifest.metrics.keys()


def test_what_set_size_and_name_ask_for_comes_before_the_plan(tmp_path: Path, shapes: Path):
    options = ("--size", "12", "--name", "mine", "--minutes", "5", "--evaluation", "quick")
    assert train(shapes, tmp_path, *TINY, *options, "--set", "model.latent=3") == 0
    manifest = published(tmp_path, "mine")
    assert manifest.spec.image.shape == (3, 12, 12)
    assert manifest.spec.latent == 3
    assert manifest.training.epochs == 1


def test_a_preset_still_trains_on_the_folder_that_is_named(tmp_path: Path, shapes: Path):
    preset = tmp_path / "own.toml"
    preset.write_text(
        'summary = "own"\ndata = { dataset = "folder" }\n'
        'model = { latent = 2, upload = "resize", network = { kind = "mlp", hidden = [8] }, '
        "image = { height = 8, width = 8 } }\n"
    )
    assert train(shapes, tmp_path, "--preset", str(preset)) == 0
    assert published(tmp_path, "own").training.dataset.startswith("Shapes")


def test_a_resumed_run_keeps_its_plan_on_a_machine_of_another_speed(
    tmp_path: Path, shapes: Path, runs: Path
):
    options = (*TINY, "--evaluation", "quick")
    assert train(shapes, tmp_path, *options) == 0
    state = checkpoint.peek(runs / "shapes")
    assert state is not None
    assert train(shapes, tmp_path, *options, "--resume") == 0
    again = checkpoint.peek(runs / "shapes")
    assert again is not None
    assert again.preset == state.preset


def test_a_bad_result_is_published_with_warnings_in_the_output_the_card_and_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = draw(tmp_path / "three", 3)
    assert train(folder, tmp_path, *TINY) == 0
    err = capsys.readouterr().err
    manifest = published(tmp_path, "three")
    card = Store(tmp_path).card(manifest.ref)
    assert any("only 2 training images" in warning for warning in manifest.warnings)
    for warning in manifest.warnings:
        assert f"WARNING: {warning}" in err
        assert f"WARNING: {warning}" in card
    assert card.index("## Warnings") < card.index("## Numbers")


def test_the_run_of_few_steps_under_a_long_average_is_warned_about(tmp_path: Path, shapes: Path):
    options = (
        "--set=model.image.height=8", "--set=model.image.width=8", "--set=model.latent=4",
        "--set=model.network.channels=[4]", "--set=model.network.hidden=8",
    )  # fmt: skip
    preset = ("--preset", "folder", "--evaluation", "quick")
    assert train(shapes, tmp_path, *preset, *options) == 0
    warnings = " ".join(published(tmp_path, "folder").warnings)
    assert "only 2 steps" in warnings
    assert "optimiser.ema_decay=" in warnings


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_handful_of_images_gives_a_model_and_advice(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = draw(tmp_path / "few", count)
    assert train(folder, tmp_path, *TINY, "--evaluation", "full") == 0
    assert "better thousands" in capsys.readouterr().err


def test_classes_of_one_image_give_a_model_without_label_and_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    draw(tmp_path / "odd" / "disc", 30)
    for name in ("one", "two"):
        draw(tmp_path / "odd" / name, 1, kind="square")
    assert train(tmp_path / "odd", tmp_path, *TINY) == 0
    assert "label= needs 20 training images of every class" in capsys.readouterr().err
    assert not published(tmp_path, "odd").labelled


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["a folder of images", "--preset", "folder"]),
        (["/nosuch"], ["no folder /nosuch"]),
        (["FOLDER", "--preset", "folder", "--minutes", "3"], ["--minutes", "--preset"]),
        (["FOLDER", "--data-dir", "elsewhere"], ["FOLDER", "--data-dir"]),
        (["FOLDER", "--size", "500"], ["--size", "256"]),
        (["FOLDER", "--set", "optimiser.speed=3"], ["optimiser.speed"]),
        (["FOLDER", "--set", "data.holdout=3"], ["data.holdout", "between 0 and 1"]),
        (["FOLDER", "--resume"], ["--resume", "no checkpoint"]),
    ],
)
def test_an_impossible_request_exits_with_2_and_one_line(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    shapes: Path,
    capsys: pytest.CaptureFixture[str],
):
    arguments = [str(shapes) if word == "FOLDER" else word for word in arguments]
    assert call("train", *arguments, "--store", str(tmp_path / "store")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line
    assert not (tmp_path / "store").exists()


def test_a_folder_without_a_name_that_a_model_may_have_asks_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("train", str(draw(tmp_path / "___", 3)), "--store", str(tmp_path)) == 2
    assert "--name" in capsys.readouterr().err


def test_images_that_need_more_memory_than_there_is_are_refused_before_training(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
):
    options = ("--set=optimiser.batch_size=100000000",)
    assert train(shapes, tmp_path / "store", *options) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "training needs about" in line
    assert "optimiser.batch_size=25000000" in line
    assert not (tmp_path / "store").exists()
