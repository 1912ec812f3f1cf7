"""Every block of code on every page runs."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from model_store.spec import ModelRef
from model_store.store import Store
from tests.docs.pages import PAGES, WORDS, Block, blocks
from tests.docs.scratch import ADDRESS, SERVES, Scratch, named_paths
from tests.e2e.server import CHECKOUT
from training.settings import TrainingSettings

MNIST = "MNIST/raw/train-images-idx3-ubyte"
QUICKLY = "--minutes 0.1 --evaluation quick"
LANGUAGES = {words.split()[0] for words in WORDS}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page}:{block.line}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_blocks_of_a_page_run_from_top_to_bottom(page: str, new_scratch: Callable[[], Scratch]):
    found = blocks(page)
    scratch = new_scratch()
    starts = any(runs_here(block) and SERVES.search(block.text) for block in found)
    asks = any(ADDRESS in block.text or "bin/zserve" in block.text for block in found)
    if asks and not starts:
        scratch.serve("make serve")
    left_out = []
    for block in found:
        if needs_mnist(block) and not (real_data() / MNIST).exists():
            left_out.append(block.line)
            continue
        try:
            try_out(block, scratch)
        except Exception as error:
            error.add_note(f"{page}:{block.line}")
            raise
    assert_that_production_is_as_before(page, scratch)
    if left_out:
        pytest.skip(f"no MNIST: the blocks at the lines {left_out} are left out, the others pass")


def assert_that_production_is_as_before(page: str, scratch: Scratch) -> None:
    """Whoever copies the commands of a page must not change what others are served.

    Before, each bare name means the oldest version, because the store of the scratch has no aliases.
    """
    store = Store(Path(scratch.variables["ZSERVE_STORE"]))
    meant = {name: store.resolve(ModelRef(name=name)).version for name in store.names()}
    assert meant == {name: store.versions(name)[0] for name in meant}, page


def runs_here(block: Block) -> bool:
    """Return true if the block is run by a shell in the scratch folder."""
    return block.language == "sh" and not {"docker", "install"} & set(block.words)


def needs_mnist(block: Block) -> bool:
    """Return true if the block needs the real MNIST."""
    return block.language == "sh" and "mnist" in block.words


def real_data() -> Path:
    """Return the folder of data sets that the settings name."""
    return TrainingSettings().data_dir


def try_out(block: Block, scratch: Scratch) -> None:
    """Treat a block as WORDS says; raise an error if it fails."""
    if block.language == "sh" and "docker" in block.words:
        subprocess.run(["/bin/bash", "-n", "-c", block.text], check=True)
        missing = [path for path in named_paths(block.text) if not (CHECKOUT / path).exists()]
        assert not missing
    elif block.language == "sh" and "install" in block.words:
        subprocess.run(["/bin/bash", "-n", "-c", block.text], check=True)
    elif needs_mnist(block):
        scratch.run_shell(block.text, ZSERVE_DATA_DIR=str(real_data()))
    elif block.language == "sh" and "long" in block.words:
        assert 'ARGS="' in block.text
        scratch.run_shell(block.text.replace('ARGS="', f'ARGS="{QUICKLY} '))
    elif block.language == "sh":
        scratch.run_shell(block.text)
    elif block.language == "python":
        scratch.run_python(block.text)
    elif block.language == "toml":
        assert tomllib.loads(block.text)
        (scratch.folder / block.words[0]).write_text(block.text)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    elif block.language == "json":
        json.loads(block.text)
