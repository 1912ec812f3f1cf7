"""A folder that cannot be used ends the service at start: one line on stderr, and exit status 2."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.server.cli import main
from app.server.folders import check_folders
from app.settings import Settings
from tests.e2e.server import CHECKOUT

NOBODY = 65534
METRICS = ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"]


@pytest.mark.parametrize("variable", METRICS)
@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_missing_folder_of_metrics_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    variable: str,
    kind: str,
) -> None:
    path = tmp_path / "metrics"
    if kind == "file":
        path.touch()
    monkeypatch.setenv(variable, "" if kind == "empty" else str(path))
    for workers in ("1", "2"):
        assert main(["--port", "0", "--device", "cpu", "--workers", workers]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert printed.startswith(f"zserve: {variable}: the folder '")
        assert "does not exist; create it, or unset" in printed


def as_nobody(code: str, **variables: str) -> str:
    """Run code as a user who may do nothing, and return what it prints.

    The user could not read this checkout, so the code imports what it needs before it becomes that user.
    """
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    setup = (
        "import os; from app.errors import SettingsError; from app.settings import Settings;"
        "from app.server.folders import check_folders;"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", setup + code],
        cwd=CHECKOUT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


CHECK = """
try:
    check_folders(Settings(), 1, os.environ)
except SettingsError as error:
    print(error)
"""


def test_a_folder_of_metrics_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    printed = as_nobody(CHECK, PROMETHEUS_MULTIPROC_DIR="/")
    assert printed.startswith("PROMETHEUS_MULTIPROC_DIR: the folder '/' cannot be written")


def test_a_store_that_cannot_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory(prefix="zserve-closed-") as store:
        printed = as_nobody(CHECK, ZSERVE_STORE=store)
    assert printed.startswith(f"ZSERVE_STORE: the folder '{store}' cannot be read")
    assert f"let user {NOBODY} read it" in printed


def test_several_workers_need_a_folder_for_temporary_files() -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    check_folders(Settings(), 1, {}, find_temporary=none)
    with pytest.raises(SettingsError, match="mount one at /tmp, name one in TMPDIR, or set"):
        check_folders(Settings(), 2, {}, find_temporary=none)


def test_folders_that_can_be_used_are_accepted(tmp_path: Path) -> None:
    check_folders(Settings(store=tmp_path), 2, {METRICS[0]: str(tmp_path)})
