"""The synchronous modules are generated from the asynchronous ones."""

import shutil
import subprocess
from pathlib import Path

import pytest

import zserve_client
from tests.e2e.server import run

PACKAGE = Path(zserve_client.__file__).parent
GENERATED = ("_client.py", "_transport.py")


def unasync(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return run("scripts/unasync.py", *arguments)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the client in which a test may change files."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "zserve_client"))


def test_the_generated_modules_are_up_to_date():
    done = unasync("--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changed", "outdated"),
    [("_client.py", "_client.py"), ("_async_transport.py", "_transport.py")],
)
def test_a_change_on_one_side_alone_is_reported(package: Path, changed: str, outdated: str):
    with (package / changed).open("a") as file:
        file.write("\nLATE = 1\n")
    before = (package / outdated).read_text()
    done = unasync("--check", "--package", package)
    assert done.returncode == 1
    assert done.stderr == f"{outdated}: out of date; run `python scripts/unasync.py`\n"
    assert (package / outdated).read_text() == before


def test_writing_ends_the_difference_and_leaves_nothing_asynchronous(package: Path):
    for name in GENERATED:
        (package / name).unlink()
    assert unasync("--package", package).returncode == 0
    assert unasync("--check", "--package", package).returncode == 0
    for name in GENERATED:
        code = (package / name).read_text().partition("\n")[2]
        assert not [word for word in ("async ", "await", "Async", "asyncio.") if word in code]
