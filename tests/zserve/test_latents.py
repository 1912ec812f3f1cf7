"""Latents of many images as a table: `zserve latents`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.api.service import digit
from tests.zserve.test_vae import images_of
from zserve import VAE, load
from zserve.latents import BATCH, NamedImages, read_images, write_latents
from zserve.latents_command import main


@pytest.fixture(scope="module")
def vae(tiny: Path) -> VAE:
    return load("plain", store=tiny)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of image files, two of which are in folders of their classes."""
    folder = tmp_path / "photos"
    for name, slant in (("one.png", 0), ("seven/a.jpg", 9), ("seven/deep/b.png", 15)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(digit(slant, "JPEG" if name.endswith("jpg") else "PNG"))
    (folder / "notes.txt").write_text("no image")
    return folder


def run(tiny: Path, *arguments: object) -> int:
    return main([*map(str, arguments), "--model", "plain", "--store", str(tiny)])


def test_a_folder_becomes_a_table_that_pandas_reads(
    tiny: Path, photos: Path, tmp_path: Path, vae: VAE, capsys: Any
):
    out = tmp_path / "latents.parquet"
    assert run(tiny, photos, "--out", out) == 0
    assert capsys.readouterr().out == f"3 images encoded by plain@1: {out}\n"
    table = pd.read_parquet(out)
    assert table["image"].tolist() == ["one.png", "seven/a.jpg", "seven/deep/b.png"]
    assert [None if pd.isna(each) else each for each in table["label"]] == [None, "seven", "seven"]
    posterior = vae.encode(vae.prepare(*(photos / name for name in table["image"])))
    expected = pd.DataFrame(posterior.columns())
    assert list(table.columns) == ["image", "label", *expected.columns]
    assert np.array_equal(table[expected.columns].to_numpy(), expected.to_numpy())
    assert np.array_equal(table[["mu_0", "mu_1", "mu_2"]].to_numpy(), posterior.mu)
    metadata = json.loads(pq.read_schema(out).metadata[b"zserve"])
    assert metadata["model"] == "plain@1"
    assert metadata["weights_sha256"] == vae.manifest.weights_sha256


def test_arrays_become_an_npz_file_with_the_arrays_of_encode(tiny: Path, tmp_path: Path, vae: VAE):
    x = images_of(vae, 5)
    np.savez(tmp_path / "digits.npz", images=x, labels=np.arange(5))
    out = tmp_path / "latents.npz"
    assert run(tiny, tmp_path / "digits.npz", "--out", out) == 0
    posterior = vae.encode(x)
    with np.load(out, allow_pickle=False) as content:
        for name in ("mu", "logvar", "kl_nats"):
            assert np.array_equal(content[name], getattr(posterior, name))
        assert content["labels"].tolist() == ["0", "1", "2", "3", "4"]
        assert content["names"][4] == "digits.npz[4]"
        assert json.loads(str(content["parameters"]))["model"] == "plain@1"


def test_more_images_than_a_batch_are_written_in_groups(tmp_path: Path, vae: VAE):
    x = images_of(vae, BATCH + 3)
    np.save(tmp_path / "many.npy", x)
    out = tmp_path / "many.parquet"
    assert write_latents(vae, read_images(vae, [tmp_path / "many.npy"]), out) == BATCH + 3
    file = pq.ParquetFile(out)
    assert file.num_row_groups == 2
    table = file.read()
    assert table["image"][BATCH + 2].as_py() == f"many.npy[{BATCH + 2}]"
    assert table["mu_0"].to_numpy()[-1] == vae.encode(x[-1]).mu[0, 0]
    assert table["label"].null_count == BATCH + 3


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_a_failure_leaves_no_file(suffix: str, tmp_path: Path, vae: VAE):
    def failing() -> Any:
        yield NamedImages(images_of(vae, 2), ["a", "b"])
        raise OSError("the disk is gone")

    out = tmp_path / f"latents{suffix}"
    with pytest.raises(OSError, match="the disk is gone"):
        write_latents(vae, failing(), out)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_one_line_that_says_what_to_do(
    tiny: Path, photos: Path, tmp_path: Path, capsys: Any
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.savez(tmp_path / "few.npz", images=np.zeros((2, 28, 28), np.uint8), labels=[1])
    np.save(tmp_path / "small.npy", np.zeros((2, 5, 5), np.uint8))
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    cases = {
        (photos, "a.csv"): "ends with none of .parquet, .npz",
        (tmp_path / "empty", "a.npz"): "has no image files",
        (tmp_path / "missing.png", "a.npz"): "missing.png: No such file",
        (tmp_path / "text.png", "a.npz"): "text.png: 8 bytes that begin with",
        (tmp_path / "other.npz", "a.npz"): "it has: pixels",
        (tmp_path / "few.npz", "a.npz"): "2 images have 1 labels",
        (tmp_path / "small.npy", "a.npz"): "(28, 28)",
        (tmp_path / "bad.npy", "a.npz"): "cannot be read as an array",
    }
    for (source, out), words in cases.items():
        assert run(tiny, source, "--out", tmp_path / out) == 1
        line = capsys.readouterr().err
        assert line.startswith("zserve latents: ")
        assert line.count("\n") == 1
        assert words in line
    assert main([str(photos), "--out", "a.npz", "--model", "nothing", "--store", str(tiny)]) == 1
    assert "no model 'nothing'" in capsys.readouterr().err


def test_parquet_without_pyarrow_names_the_package(
    tiny: Path, photos: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run(tiny, photos, "--out", tmp_path / "a.parquet") == 1
    assert "pip install 'zserve[parquet]'" in capsys.readouterr().err
