import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store.errors import NonFiniteError, PublishError
from model_store.spec import ModelRef
from model_store.store import Store
from tests.training.conftest import call, start, write_mnist
from training.config import Optimiser
from training.runs import checkpoint

QUICK = (
    "--evaluation",
    "bound",
    "--epochs",
    "2",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--set",
    "optimiser.batch_size=64",
)


def contents(store: Path) -> list[Path]:
    return sorted(store.rglob("*"))


def test_two_epochs_on_generated_images_publish_a_version_that_verifies(
    tmp_path: Path, data_dir: Path
):
    process = start(
        "train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path), *QUICK
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    manifest = Store(tmp_path).verify(ModelRef.parse("lab@1"))
    assert out.splitlines()[-1] == f"published lab@1 in {tmp_path / 'lab' / '1'}"
    assert f"{manifest.metrics['test_negative_elbo'].value:.2f}" in out
    assert {"loss", "reconstructions", "samples", "traversal"} <= set(manifest.figures)
    assert (manifest.training.preset, manifest.training.epochs) == ("lab", 2)
    optimiser = Optimiser(learning_rate=1e-3, batch_size=64, epochs=2)
    assert manifest.training.settings["optimiser"] == optimiser.model_dump(mode="json")


def test_the_same_command_gives_the_same_weights_and_the_next_version(
    tmp_path: Path, data_dir: Path
):
    command = ("train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(*command, *QUICK) == 0
    assert call(*command, *QUICK) == 0
    one, two = (Store(tmp_path).manifest(ModelRef.parse(f"lab@{v}")) for v in (1, 2))
    assert one.weights_sha256 == two.weights_sha256
    assert one.metrics == two.metrics


def test_a_version_with_model_figures_only_shows_no_image_of_the_data_set(
    tmp_path: Path, data_dir: Path
):
    command = ("train", "--preset", "digits", "--data-dir", str(data_dir), "--name", "mnist")
    options = ("--store", str(tmp_path), "--figures", "model", "--set", "data.train_images=64")
    assert call(*command, *options, *QUICK) == 0
    manifest = Store(tmp_path).verify(ModelRef.parse("mnist@1"))
    assert {"loss", "samples", "traversal"} <= set(manifest.figures)
    assert not {"reconstructions", "interpolations"} & set(manifest.figures)
    assert "reconstructions.png" not in Store(tmp_path).card(manifest.ref)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "lob"], ["lob", "did you mean lab?"]),
        (["--set", "optimiser.speed=3"], ["optimiser.speed", "optimiser.learning_rate"]),
        (["--set", "optimiser.epochs=many"], ["optimiser.epochs", "integer", "many"]),
        (["--set", "epochs"], ["key=value", "optimiser.epochs=3"]),
        (["--epochs", "0"], ["--epochs", "1"]),
        (["--epochs", "x"], ["--epochs", "integer"]),
        (["--seed", "-1"], ["--seed", "0"]),
        (["--device", "tpu"], ["--device", "cpu"]),
        (["--name", "Not A Name"], ["Not A Name", "a-z"]),
        (["--data-dir", "/nosuch"], ["/nosuch/MNIST/raw", "--data-dir", "--download"]),
        (["--nosuch"], ["--nosuch"]),
    ],
)
def test_an_impossible_request_exits_with_2_and_one_line_that_names_the_remedy(
    *,
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
):
    command = ["train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path)]
    assert call(*command, *options) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err
    assert contents(tmp_path) == []


def test_a_missing_gpu_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = ["train", "--preset", "lab", "--store", str(tmp_path), "--device", "cuda"]
    assert call(*command) == 2
    assert "use --device cpu" in capsys.readouterr().err


def test_a_usage_error_in_a_real_process_has_no_traceback(tmp_path: Path):
    process = start("train", "--preset", "lab", "--data-dir", str(tmp_path))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)


def test_ctrl_c_exits_with_130_and_one_line_and_leaves_the_store_unchanged(
    tmp_path: Path, data_dir: Path, runs: Path
):
    process = start(
        "train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path),
        "--epochs", "100000", "--threads", "1",
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch   2"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    *epochs, last = err.splitlines()
    assert process.returncode == 130
    done = checkpoint.peek(runs / "lab")
    assert done is not None
    assert last == (
        f"error: interrupted; nothing was published; continue from epoch {done.epoch} with --resume"
    )
    assert all(line.startswith("epoch") for line in epochs)
    assert out == ""
    assert contents(tmp_path) == []


@contextlib.contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_exits_with_1_and_one_line_and_leaves_the_store_unchanged(
    *,
    tmp_path: Path,
    data_dir: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = ("train", "--preset", "lab", "--data-dir", str(data_dir))
    with files_of_at_most(500_000):  # the weights of lab are 2.6 MB
        assert call(*command, "--store", str(tmp_path / "store"), *QUICK) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: cannot write the checkpoint of epoch 1")
    assert contents(tmp_path) == []

    assert call(*command, "--store", str(tmp_path / "other"), *QUICK) == 0
    again = ("publish", str(runs / "lab"), "--data-dir", str(data_dir), "--evaluation", "bound")
    with files_of_at_most(500_000):
        assert call(*again, "--store", str(tmp_path / "store")) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: cannot publish lab")
    assert contents(tmp_path / "store") == []


@pytest.mark.parametrize("error", [PublishError("the disk is full"), NonFiniteError("lab: NaN")])
def test_an_error_of_the_store_exits_with_1_and_one_line(
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Store, "publish", fail)
    command = ["train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path)]
    assert call(*command, *QUICK, "--set", "data.train_images=64") == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {error}"


def test_a_loss_that_is_not_finite_exits_with_1_and_publishes_nothing(
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = ["train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path)]
    explosive = ["--set", "optimiser.learning_rate=1", "--set", "optimiser.batch_size=1"]
    assert call(*command, *explosive, "--threads", "1") == 1
    assert "lower optimiser.learning_rate" in capsys.readouterr().err.splitlines()[-1]
    assert contents(tmp_path) == []


def test_damaged_data_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_mnist(tmp_path, train=8, test=8)
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"not IDX at all")
    command = ["train", "--preset", "lab", "--data-dir", str(tmp_path), "--store", str(tmp_path)]
    assert call(*command) == 1
    assert "not IDX" in capsys.readouterr().err


def test_the_environment_sets_the_folders_of_data_and_store(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ZSERVE_DATA_DIR", str(data_dir))
    monkeypatch.setenv("ZSERVE_STORE", str(tmp_path))
    assert call("train", "--preset", "lab", *QUICK) == 0
    assert Store(tmp_path).names() == ("lab",)


def test_ctrl_c_during_publishing_is_ignored(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    publish = Store.publish

    def interrupted(*arguments: object, **options: object) -> object:
        manifest = publish(*arguments, **options)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)
        return manifest

    monkeypatch.setattr(Store, "publish", interrupted)
    command = ("train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(*command, *QUICK) == 0
    assert Store(tmp_path).names() == ("lab",)
