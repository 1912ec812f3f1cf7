"""Every line of zserve in the tables of docs/coming-from.md runs."""

import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from app.settings import read_settings
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.docs.pages import read
from tests.docs.scratch import Scratch
from tests.e2e.server import CHECKOUT
from tests.hub.conftest import hub
from tests.hub.server import FakeHub
from tests.unit.test_import_pytorch_vae import network

PAGE = "docs/coming-from.md"
QUICKLY = "--evaluation quick --figures model --threads 1"
IN_PYTHON = ("vae", "load(", "mu, ")
NAMES = {
    "seed=10",
    "production",
    "model.prior",
    "mnist-flow",
    "beta",
    "mnist@11",
    "models/lab/5/",
    "pull --from",
}
"""Words in the tables that are no lines to run."""

__all__ = ["hub"]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"  # the client of the hub uploads in this way
)


def lines() -> list[str]:
    """Return the spans of code in the right columns, in the order of the page."""
    tokens = MarkdownIt("commonmark").enable("table").parse(read(PAGE))
    cells, column = [], 0
    for token in tokens:
        if token.type == "tr_open":
            column = 0
        elif token.type == "td_close":
            column += 1
        elif token.type == "inline" and column == 1:
            cells += [
                child.content for child in token.children or () if child.type == "code_inline"
            ]
    return cells


def matching(*beginnings: str) -> list[str]:
    return [line for line in lines() if line.startswith(beginnings)]


def test_each_line_is_run_by_a_test():
    """The tests below run all lines that begin in one of these ways."""
    tested = (*IN_PYTHON, "zserve ", "--set ", "ZSERVE_", "curl ", "pip install ", "docker build ")
    assert [line for line in lines() if not line.startswith(tested) and line not in NAMES] == []
    preset = tomllib.loads((CHECKOUT / "training" / "presets" / "mnist-flow.toml").read_text())
    assert "prior" in preset["model"]
    assert 11 in Store(SHIPPED).versions("mnist")
    assert (CHECKOUT / "Dockerfile").exists()


def test_extras_and_variables_exist(monkeypatch: pytest.MonkeyPatch):
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for line in matching("pip install "):
        named = re.search(r"zserve\[(\w+)\]", line)
        assert named is not None
        assert named[1] in extras
    for line in matching("ZSERVE_"):
        monkeypatch.setenv(*line.split("="))
        read_settings()  # refuses variables that it does not know


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy two shipped models, and make their store the default."""
    for name in ("lab", "mnist"):
        shutil.copytree(SHIPPED / name, tmp_path / "store" / name)
    monkeypatch.setenv("ZSERVE_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def test_the_lines_of_python_give_what_the_other_library_gives(hub: FakeHub, store: Path):
    from model_store.store.hub_push import push_version
    from zserve import VAE, load

    push_version(Store(store), ModelRef.parse("mnist"), "hf://me/mnist", license_id="mit")
    vae = load("lab")
    images = vae.sample(16, seed=0)
    names = {
        "load": load,
        "vae": vae,
        "x": images,
        "a": images[0],
        "b": images[1],
        "images": images,
    }
    names["z"] = vae.draw(4, seed=1)
    for line in matching(*IN_PYTHON):
        if " = " in line.partition("(")[0]:
            exec(line, names)  # noqa: S102 - a line of our own page
            continue
        result = eval(line, names)  # noqa: S307 - a line of our own page
        if line.startswith("load("):
            assert isinstance(result, VAE)
        elif line.startswith("vae.png("):
            assert result.startswith(b"\x89PNG")
        else:
            assert len(result) in {4, 8, 16}  # latents, frames, images
    assert isinstance(names["vae"], VAE)
    np.testing.assert_array_equal(vae.sample(16, seed=7)[3], vae.sample(1, seed=10)[0])
    assert len(names["mu"]) == len(names["logvar"]) == 16


@pytest.fixture
def scratch(new_scratch: Callable[[], Scratch], hub: FakeHub) -> Scratch:
    """Return a folder with the files that the lines name."""
    import safetensors.torch

    scratch = new_scratch()
    folder = scratch.folder
    presets = CHECKOUT / "training" / "presets"
    (folder / "mine.toml").write_text((presets / "lab.toml").read_text())
    (folder / "FOLDER").mkdir()
    rng = np.random.default_rng(0)
    for place in range(40):
        levels = rng.integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(levels).save(folder / "FOLDER" / f"{place}.png")
    weights = {k: v.contiguous() for k, v in network().state_dict().items()}
    safetensors.torch.save_file(weights, folder / "weights.safetensors")
    return scratch


def as_run(line: str) -> str:
    """Return a line with what a test needs to add: short training, a folder in place of a bucket."""
    line = line.replace("s3://bucket/models", "other")
    if line.startswith("--set "):
        line = f"zserve train --preset lab {line} --epochs 1 --restart"
    if line.startswith("zserve train"):
        minutes = " --minutes 0.1" if "FOLDER" in line else ""
        line = (
            line.replace("zserve train", ".venv/bin/python -m training train")
            + f" {QUICKLY}{minutes}"
        )
    return line.replace("zserve ", ".venv/bin/zserve ", 1) if line.startswith("zserve ") else line


@pytest.mark.processes
def test_the_lines_of_the_shell_run(scratch: Scratch, hub: FakeHub):
    (scratch.folder / "other").mkdir()
    for line in matching("zserve ", "--set ", "curl "):
        try:
            scratch.run_shell(as_run(line).replace("--port 8000", f"--port {scratch.port}"))
        except AssertionError as error:
            error.add_note(line)
            raise
    store = Store(Path(scratch.variables["ZSERVE_STORE"]))
    assert store.versions("my-faces") == (1,)
    assert max(store.versions("lab")) > 4
    assert Store(scratch.folder / "other").names()
    assert {"me/lab", "me/mnist"} <= hub.repositories.keys()
