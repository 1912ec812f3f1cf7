import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model_store.spec import Metric, ModelRef
from model_store.store import SHIPPED, Store
from model_store.store.checksums import record as file_record
from tests.training.conftest import call, strokes, write_idx
from tests.unit.models import reseal
from training.config import Data
from training.evaluation.likelihood import NLL_128_SAME_IMAGES, NLL_5000
from training.evaluation.verify import by_many_draws
from training.settings import TrainingSettings

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def labelled_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return generated images with ten classes, in MNIST's format."""
    folder = tmp_path_factory.mktemp("labelled")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (prefix, count) in enumerate({"train": 400, "t10k": 100}.items()):
        images = strokes(count, seed)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", images)
        labels = (torch.arange(count) % 10).to(torch.uint8).numpy()
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, labelled_data: Path) -> Path:
    """Return a store with two fully measured versions of `lab`, with different seeds."""
    root = tmp_path_factory.mktemp("trained")
    for seed in ("0", "1"):
        assert call(
            "train", "--preset", "lab", "--data-dir", str(labelled_data), "--store", str(root),
            "--runs-dir", str(root.parent / f"runs{seed}"), "--epochs", "2", "--seed", seed,
            "--threads", "1", "--device", "cpu", "--no-tensorboard",
        ) == 0  # fmt: skip
    return root


@pytest.fixture
def store(tmp_path: Path, trained: Path) -> Path:
    """Return a copy of the store for a test to change."""
    shutil.copytree(trained, tmp_path / "store")
    return tmp_path / "store"


def evaluate(store: Path, data_dir: Path, *options: str, ref: str = "lab@1") -> int:
    return call(
        "evaluate", ref, "--store", str(store), "--data-dir", str(data_dir), "--threads", "1",
        *options,
    )  # fmt: skip


def tamper(store: Path, change: Change) -> None:
    path = store / "lab" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    reseal(path.parent)


def rewrite(store: Path, filename: str, content: bytes) -> None:
    """Replace a file and its checksum in the manifest."""
    (store / "lab" / "1" / filename).write_bytes(content)

    def update_checksum(manifest: dict[str, Any]) -> None:
        manifest["files"][filename] = file_record(content).model_dump()

    tamper(store, update_checksum)


@pytest.mark.parametrize("options", [(), ("--quick",)])
def test_a_published_version_agrees_with_its_weights(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
):
    assert evaluate(store, labelled_data, *options) == 0
    out = capsys.readouterr().out
    assert "lab@1: card and weights agree" in out
    assert "DISAGREES" not in out
    assert ("not measured again: test_negative_elbo" in out) == (options == ("--quick",))
    manifest = Store(store).manifest(ModelRef.parse("lab@1"))
    for name, metric in manifest.metrics.items():
        assert name in out or "and those of single classes" in out
        if not options:
            assert f"{metric.value:.4f}" in out


def test_a_name_alone_means_the_version_that_was_trained_last(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    assert evaluate(store, labelled_data, "--quick", ref="lab") == 0
    printed = capsys.readouterr()
    assert "lab@2: card and weights agree" in printed.out
    assert "lab@2, the newest version; lab@1 is production" in printed.err
    Store(store).set_alias("lab", "production", 2)
    assert evaluate(store, labelled_data, "--quick", ref="lab") == 0
    assert "lab@2, the newest version; also production" in capsys.readouterr().err
    assert evaluate(store, labelled_data, "--quick", ref="lab@1") == 0
    printed = capsys.readouterr()
    assert "lab@1: card and weights agree" in printed.out
    assert "newest" not in printed.err


@pytest.mark.parametrize(
    "name", ["test_negative_elbo", "test_kl", "test_nll", "quick_nll", "linear_probe_accuracy"]
)
def test_a_number_that_is_one_percent_too_good_is_detected_by_quick(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str], name: str
):
    def flatter(manifest: dict[str, Any]) -> None:
        manifest["metrics"][name]["value"] *= 0.99

    tamper(store, flatter)
    assert evaluate(store, labelled_data, "--quick") == 1
    assert "card and weights disagree on" in capsys.readouterr().out


def test_a_card_that_differs_from_its_manifest_is_detected(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    card = (store / "lab" / "1" / "card.md").read_text()
    manifest = Store(store).manifest(ModelRef.parse("lab@1"))
    true = f"| test_nll | {manifest.metrics['test_nll'].value:.2f} |"
    assert true in card
    rewrite(store, "card.md", card.replace(true, "| test_nll | 80.00 |").encode())
    assert evaluate(store, labelled_data, "--quick") == 1
    assert "disagree on card.md: test_nll" in capsys.readouterr().out


def test_a_class_metric_in_the_card_is_compared_with_the_manifest(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    def flatter(manifest: dict[str, Any]) -> None:
        manifest["metrics"]["label_recall[7]"]["value"] += 0.01

    tamper(store, flatter)
    assert evaluate(store, labelled_data, "--quick") == 1
    assert "card.md: label_recall[7]" in capsys.readouterr().out


def test_other_weights_under_the_same_card_are_detected(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    for filename in ("exact.safetensors", "golden.json"):
        rewrite(store, filename, (store / "lab" / "2" / filename).read_bytes())
    assert evaluate(store, labelled_data, "--quick") == 1
    out = capsys.readouterr().out
    assert "test_kl" in out.splitlines()[-1]
    assert "quick_reconstruction" in out.splitlines()[-1]


def test_other_float_weights_beside_the_same_exact_network_are_detected(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    weights = (store / "lab" / "2" / "weights.safetensors").read_bytes()
    rewrite(store, "weights.safetensors", weights)
    assert evaluate(store, labelled_data) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("lab@1: card and weights disagree on float_test_negative_elbo")


def test_an_exact_network_whose_golden_hashes_differ_is_not_measured(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    rewrite(store, "golden.json", (store / "lab" / "2" / "golden.json").read_bytes())
    assert evaluate(store, labelled_data, "--quick") == 1
    assert "lab@1: results of executor onnx do not match" in capsys.readouterr().err


def test_a_changed_file_fails_its_checksum(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    (store / "lab" / "1" / "card.md").write_text("better than all")
    assert evaluate(store, labelled_data, "--quick") == 1
    assert "card.md is 15 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("nosuch@1", "no model 'nosuch'"),
        ("lab@9", "has no version 9"),
        ("Not a name", "write name"),
    ],
)
def test_a_missing_version_exits_with_2_and_one_line(
    trained: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str], ref: str, words: str
):
    assert evaluate(trained, labelled_data, ref=ref) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_missing_data_exits_with_2(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert evaluate(trained, tmp_path, "--quick") == 2
    assert "--data-dir" in capsys.readouterr().err


def test_republishing_measures_the_same_weights_again(store: Path, labelled_data: Path):
    assert call(
        "republish", "lab@1", "--store", str(store), "--data-dir", str(labelled_data),
        "--name", "again", "--figures", "model", "--threads", "1",
    ) == 0  # fmt: skip
    one, again = (Store(store).manifest(ModelRef.parse(r)) for r in ("lab@1", "again@1"))
    assert again.metrics == one.metrics
    assert again.training == one.training
    assert again.weights_sha256 == one.weights_sha256
    assert again.arithmetic == "exact-1"
    assert "reconstructions" not in again.figures


def test_a_float_version_is_republished_in_the_exact_arithmetic(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    options = ("--store", str(store), "--data-dir", str(labelled_data), "--threads", "1")
    assert call("republish", "lab@1", *options, "--arithmetic", "float") == 0
    assert call("republish", "lab@3", *options, "--without-float-weights") == 0
    one, plain, exact = (Store(store).manifest(ModelRef.parse(f"lab@{v}")) for v in (1, 3, 4))
    assert (plain.arithmetic, exact.arithmetic) == ("float", "exact-1")
    assert "weights.safetensors" not in exact.files
    assert exact.weights_sha256 == one.weights_sha256
    assert exact.metrics == one.metrics
    capsys.readouterr()
    assert evaluate(store, labelled_data, ref="lab@4") == 0
    out = capsys.readouterr().out
    assert "not measured again: float_test_negative_elbo, float_test_nll" in out
    assert evaluate(store, labelled_data, ref="lab@3") == 0


def test_a_version_without_float_weights_cannot_be_republished(
    store: Path, labelled_data: Path, capsys: pytest.CaptureFixture[str]
):
    options = ("--store", str(store), "--data-dir", str(labelled_data), "--evaluation", "quick")
    assert call("republish", "lab@1", *options, "--without-float-weights") == 0
    assert call("republish", "lab@3", *options) == 2
    assert "lab@3 is published without float weights" in capsys.readouterr().err


@pytest.mark.parametrize("ref", [str(ModelRef(name=name, version=version))
                                 for name in Store(SHIPPED).names()
                                 for version in Store(SHIPPED).versions(name)])  # fmt: skip
def test_the_cards_of_the_shipped_versions_agree_with_their_weights(
    ref: str, capsys: pytest.CaptureFixture[str]
):
    data_dir = TrainingSettings().data_dir
    training = Store(SHIPPED).manifest(ModelRef.parse(ref)).training
    data = Data.model_validate(training.settings["data"])
    if data.dataset == "folder" and data.folder is None:
        data_dir /= training.dataset
    code = evaluate(SHIPPED, data_dir, "--quick", ref=ref)
    output = capsys.readouterr()
    if code == 2 and "data-dir" in output.err.lower():
        pytest.skip(f"{output.err.strip()}: set ZSERVE_DATA_DIR to run this")
    assert code == 0, output.out + output.err


def test_likelihoods_by_many_draws_are_listed_if_the_version_does_not_state_them():
    def metric(value: float) -> Metric:
        return Metric(value=value, unit="nats", protocol="made up")

    measured = {"test_nll": metric(80), NLL_5000: metric(78), NLL_128_SAME_IMAGES: metric(79)}
    assert by_many_draws(measured, {"test_nll": metric(80)}) == {
        NLL_5000: metric(78),
        NLL_128_SAME_IMAGES: metric(79),
    }
    assert by_many_draws(measured, measured) == {}


def test_quick_and_exhaustive_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert evaluate(tmp_path, tmp_path, "--quick", "--exhaustive") == 2
    assert "exclude each other" in capsys.readouterr().err
