"""Every block of code on every page does what a reader would try."""

import json
import subprocess
import tomllib
from collections.abc import Callable

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from tests.docs.pages import PAGES, WORDS, Block, blocks
from tests.docs.scratch import ADDRESS, SERVES, Scratch, named_paths
from tests.e2e.server import CHECKOUT
from training.settings import Settings

LANGUAGES = {words.split()[0] for words in WORDS}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page}:{block.line}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_blocks_of_a_page_run_from_top_to_bottom(page: str, new_scratch: Callable[[], Scratch]):
    found = blocks(page)
    scratch = new_scratch()
    starts = any(block.language == "sh" and SERVES.search(block.text) for block in found)
    asks = any(ADDRESS in block.text or "bin/zserve" in block.text for block in found)
    if asks and not starts:
        scratch.serve("make serve")
    for block in found:
        try:
            try_out(block, scratch)
        except Exception as error:
            error.add_note(f"{page}:{block.line}")
            raise


def try_out(block: Block, scratch: Scratch) -> None:
    """What WORDS promises of a block."""
    if block.language == "sh" and "docker" in block.words:
        subprocess.run(["/bin/bash", "-n", "-c", block.text], check=True)
        missing = [path for path in named_paths(block.text) if not (CHECKOUT / path).exists()]
        assert not missing
    elif block.language == "sh" and "mnist" in block.words:
        real = Settings().data_dir
        if (real / "MNIST" / "raw" / "train-images-idx3-ubyte").exists():
            scratch.run_shell(block.text, ZSERVE_DATA_DIR=str(real))
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
