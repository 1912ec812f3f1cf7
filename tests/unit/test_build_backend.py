"""A wheel has every package below `zserve`, and nothing in them is changed but names."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.build_backend import (
    COMMANDS,
    PACKAGES,
    RelocationError,
    module_names,
    relocate,
    relocated,
    relocated_entry_points,
)
from tests.e2e.server import CHECKOUT

MODULES = module_names(CHECKOUT)
IMPORT = re.compile(r"^( *)(from )(app|model_store|training)\b(?=[\w.]* import)")
"""A line that imports from a package of the checkout."""


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as a wheel has it, without the weights, which are large."""
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("moved")
    for name in ("zserve", *PACKAGES):
        (checkout / name).symlink_to(CHECKOUT / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, checkout)
    (checkout / "weights" / "tiny" / "1").mkdir(parents=True)
    (checkout / "weights" / "tiny" / "1" / "card.md").write_text("python -m training evaluate tiny")
    relocate(checkout, folder)
    return folder


def test_all_packages_are_below_zserve(moved: Path):
    assert {path.name for path in moved.iterdir()} == {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "zserve",
    }
    assert {"app", "model_store", "training", "weights"} < {
        p.name for p in (moved / "zserve").iterdir()
    }


def test_nothing_but_imports_and_names_of_commands_changes(moved: Path):
    changed = 0
    for package in PACKAGES:
        for file in (CHECKOUT / package).rglob("*.py"):
            copy = moved / "zserve" / file.relative_to(CHECKOUT)
            pairs = zip(file.read_text().splitlines(), copy.read_text().splitlines(), strict=True)
            for before, after in pairs:
                if before == after:
                    assert not IMPORT.match(before), f"{file}: {before}"
                    continue
                changed += 1
                for command, installed in COMMANDS:
                    before = before.replace(command, installed)  # noqa: PLW2901
                assert IMPORT.sub(r"\1\2zserve.\3", before) == after, file
    assert changed > 500


def test_messages_name_the_installed_command(moved: Path):
    texts = [file.read_text() for file in (moved / "zserve").rglob("*.py")]
    assert not any(f"python -m {package}" in text for text in texts for package in PACKAGES)
    assert any("`zserve models list`" in text for text in texts)


def test_files_of_versions_keep_their_bytes(moved: Path):
    card = moved / "zserve" / "weights" / "tiny" / "1" / "card.md"
    assert card.read_text() == "python -m training evaluate tiny"


def test_entry_points_name_modules_below_zserve():
    text = 'a = "app.__main__:main"\nb = "zserve_client.cli:main"\n"models c" = "training.x:run"\n'
    assert relocated_entry_points(text) == (
        'a = "zserve.app.__main__:main"\nb = "zserve_client.cli:main"\n"models c" = "zserve.training.x:run"\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"from app.settings import X\n", b"from zserve.app.settings import X\n"),
        (b"import app\n", b"from zserve import app\n"),
        (b"import app.settings as s\n", b"import zserve.app.settings as s\n"),
        (b"from  app import (\n    a,\n)\n", b"from  zserve.app import (\n    a,\n)\n"),
        ("x = 'ä'; from app import b\n".encode(), "x = 'ä'; from zserve.app import b\n".encode()),
        (
            b"from app.api import a; from app import b\n",
            b"from zserve.app.api import a; from zserve.app import b\n",
        ),
        (b"import apple\nfrom appdirs import x\n", b"import apple\nfrom appdirs import x\n"),
        (b"x = 'from app import y'\n", b"x = 'from app import y'\n"),
        (b'x = "training.max_nats"\n', b'x = "training.max_nats"\n'),
        (b"# run `python -m training train`\n", b"# run `zserve train`\n"),
        (b"'python -m app.access keys'\n", b"'python -m zserve.app.access keys'\n"),
    ],
)
def test_a_line_is_rewritten_by_what_it_means(before: bytes, after: bytes):
    assert relocated(before, MODULES, "a.py") == after


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"import app.settings\n", r"a\.py:1: write `from app import"),
        (b"import os, app\n", "write `from app import"),
        (b"from \\\n    app import settings\n", "write the import of app in one line"),
        (b"load('app.settings')\n", "names a module in a string"),
        (b"x = ['app.observability.logs.JsonFormatter']\n", "names a module in a string"),
    ],
)
def test_what_cannot_be_rewritten_safely_ends_the_build(line: bytes, words: str):
    with pytest.raises(RelocationError, match=words):
        relocated(line, MODULES, "a.py")


def test_the_formatter_of_json_logs_is_named_by_no_string():
    """In a process of its own, because loggers stay as they were configured."""
    program = """
import logging.config
from app.observability.logs import log_config
logging.config.dictConfig(log_config("json", "info"))
logging.getLogger("zserve").info("hello")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert '"hello"' in done.stderr


def test_extras_and_dependency_groups_of_the_same_name_have_the_same_packages():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    assert set(groups["data"]) == set(extras["data"])
    assert {entry for entry in groups["train"] if isinstance(entry, str)} == set(extras["train"])
