import resource
from pathlib import Path

import pytest

from training.available_memory import available_bytes

MEMINFO = "MemTotal:       8000 kB\nMemAvailable:   5000 kB\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


def group(folder: Path, limit: str, used: int, files: int) -> Path:
    path = folder / "group"
    path.mkdir()
    (path / "memory.max").write_text(f"{limit}\n")
    (path / "memory.current").write_text(f"{used}\n")
    (path / "memory.stat").write_text(f"anon 1\ninactive_file {files}\n")
    return path


def test_without_a_control_group_it_is_what_the_machine_has(tmp_path: Path, proc: Path):
    assert available_bytes(proc, tmp_path / "nosuch") == 5000 * 1024


def test_a_control_group_without_a_limit_changes_nothing(tmp_path: Path, proc: Path):
    assert available_bytes(proc, group(tmp_path, "max", 1, 0)) == 5000 * 1024


def test_the_limit_of_a_control_group_counts_without_its_cached_files(tmp_path: Path, proc: Path):
    assert available_bytes(proc, group(tmp_path, "3000000", 2_500_000, 400_000)) == 900_000


def test_a_control_group_that_is_full_leaves_nothing(tmp_path: Path, proc: Path):
    assert available_bytes(proc, group(tmp_path, "1000", 2000, 0)) == 0


def test_what_the_process_has_already_counts_as_available(tmp_path: Path, proc: Path):
    (proc / "self").mkdir()
    (proc / "self" / "statm").write_text("900 250 30 1 0 40 0\n")
    free = 5000 * 1024
    assert available_bytes(proc, tmp_path / "nosuch") == free + 250 * resource.getpagesize()


def test_other_systems_do_not_say(tmp_path: Path):
    assert available_bytes(tmp_path / "nosuch", tmp_path / "nosuch") is None
