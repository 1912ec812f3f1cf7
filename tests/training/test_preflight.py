import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import CHECKOUT
from training import preflight


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the checks with the standard library alone, as `make` does before installing."""
    command = [sys.executable, "-S", "-m", "training.preflight", *arguments]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ZSERVE_")}
    return subprocess.run(
        command, cwd=CHECKOUT, env=variables, capture_output=True, text=True, check=False
    )


def test_a_command_that_can_work_prints_nothing(data_dir: Path, tmp_path: Path):
    answer = check(
        "--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path / "store"),
        "--runs-dir", str(tmp_path / "runs"), "--epochs", "2", "--no-tensorboard",
    )  # fmt: skip
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "lob"], ["no preset 'lob'", "did you mean lab?"]),
        (["--name", "Not A Name"], ["'Not A Name'", "a-z"]),
        (["--name", "mnist@2"], ["'mnist@2'", "a-z"]),
        (["--preset", "My Shapes.toml"], ["no preset"]),
        (["--store", "/dev/null/store"], ["/dev/null is not", "--store"]),
        (["--runs-dir", "/dev/null/runs"], ["/dev/null is not", "--runs-dir"]),
        (["--data-dir", "/nosuch"], ["no mnist in /nosuch/MNIST/raw", "--download"]),
        (["--data-dir", "/dev/null/data", "--download"], ["cannot download mnist"]),
        (["--preset", "folder", "--data-dir", "/nosuch"], ["no images in /nosuch"]),
    ],
    ids=str,
)
def test_what_would_fail_later_is_one_line_and_exit_code_2(
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
):
    command = ["--preset", "lab", "--data-dir", str(data_dir), "--store", str(tmp_path)]
    assert preflight.main([*command, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


def test_a_disk_without_space_for_the_packages_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    problem = preflight.space_problem(CHECKOUT / ".venv", preflight.PACKAGES_BYTES, "installing")
    assert problem is not None
    assert "installing needs about 1,500 MB" in problem
    assert "1 MB are free" in problem


def test_make_checks_before_it_installs():
    makefile = (CHECKOUT / "Makefile").read_text()
    recipe = makefile.partition("\ntrain:")[2].partition("\n\n")[0]
    check_at, install_at = recipe.index("training.preflight"), recipe.index(".installed-train")
    assert check_at < install_at
