import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from app.server.metrics_folder import MetricsFolder, remove_abandoned


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make_old(path: Path) -> None:
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))


def test_the_last_process_that_leaves_removes_the_folder() -> None:
    folder = MetricsFolder()
    (folder.path / "counter_1.db").touch()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        folder.leave()
        os._exit(0)
    folder.leave()
    assert folder.path.exists()
    os.close(writing)
    os.waitpid(pid, 0)
    assert not folder.path.exists()


def test_the_next_start_removes_the_folder_of_processes_that_were_all_killed() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(MetricsFolder().path).encode())
        signal.pause()
    path = Path(os.read(reading, 1000).decode())
    make_old(path)
    remove_abandoned()
    assert path.exists()  # its process lives
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    other = MetricsFolder()
    assert not path.exists()
    other.leave()


def test_a_new_folder_that_is_not_locked_yet_is_left_alone(temporary: Path) -> None:
    path = temporary / "zserve-metrics-new"
    path.mkdir()
    remove_abandoned()
    assert path.exists()
    make_old(path)
    remove_abandoned()
    assert not path.exists()


def test_a_link_is_not_followed(temporary: Path) -> None:
    precious = temporary / "precious"
    precious.mkdir()
    link = temporary / "zserve-metrics-link"
    link.symlink_to(precious)
    make_old(precious)
    remove_abandoned()
    assert precious.exists()
