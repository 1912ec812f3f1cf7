"""Servers on a machine without a GPU, or with a driver that does not start."""

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api.service import publish
from tests.e2e.server import run, serving

DRIVER = (
    "int cuDriverGetVersion(int *v) { *v = 99000; return 0; } int cuInit(int f) { return 999; }"
)
"""A driver that returns CUDA_ERROR_UNKNOWN, as after an update under a loaded kernel module."""


@pytest.fixture(params=["no GPU", "broken driver"])
def without_gpu(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make CUDA unusable for the servers that a test starts."""
    if request.param == "no GPU":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        return
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    source = tmp_path / "driver.c"
    source.write_text(DRIVER)
    command = [compiler, "-shared", "-fPIC", "-o", str(tmp_path / "libcuda.so.1"), str(source)]
    subprocess.run(command, check=True)
    paths = os.environ.get("LD_LIBRARY_PATH", "")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:{paths}" if paths else str(tmp_path))


@pytest.mark.parametrize(
    ("without_gpu", "warnings"), [("no GPU", 0), ("broken driver", 1)], indirect=["without_gpu"]
)
def test_auto_computes_on_the_cpu_and_warns_only_if_the_driver_has_a_gpu(
    tmp_path: Path, without_gpu: None, warnings: int
) -> None:
    publish(tmp_path / "store")
    log = tmp_path / "server.log"
    with serving(tmp_path / "store", log, ZSERVE_DEVICE="auto") as url:
        assert httpx.get(f"{url}/readyz").json()["device"] == "cpu"
        assert httpx.get(f"{url}/generate?seed=1").status_code == 200
    lines = [line for line in log.read_text().splitlines() if "GPU" in line]
    assert len(lines) == warnings
    assert all("WARNING" in line and "computing on the CPU" in line for line in lines)


@pytest.mark.usefixtures("without_gpu")
def test_cuda_by_name_is_refused_in_one_line() -> None:
    assert_refused(workers="1")


def test_cuda_by_name_is_refused_once_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "99")
    assert_refused(workers="2")


def assert_refused(workers: str) -> None:
    done = run("-m", "app", "--device", "cuda", "--port", "0", "--workers", workers)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "device=cuda was requested, and no GPU can be used" in done.stderr
