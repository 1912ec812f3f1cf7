import os
from pathlib import Path

import pytest

from app.server.cores import MOST, WORKER_BYTES, choose_workers
from app.settings import Settings

PLENTY_KB = 64 * 1024**2


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a machine with eight cores and plenty of memory."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    write(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {PLENTY_KB} kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def chosen(machine: Path, **settings: object) -> int:
    return choose_workers(Settings(**settings), machine)  # type: ignore[arg-type]


def test_one_worker_is_chosen_for_each_core_that_the_process_may_use(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(machine) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5}, raising=False)
    assert chosen(machine) == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(400)), raising=False)
    assert chosen(machine) == MOST


def test_a_number_that_is_set_is_used(machine: Path) -> None:
    assert chosen(machine, workers=3) == 3
    assert chosen(machine, workers=100) == 100


@pytest.mark.parametrize(
    ("quota", "workers"),
    [("max 100000", 8), ("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 1)],
)
def test_the_quota_of_a_container_counts(machine: Path, quota: str, workers: int) -> None:
    write(machine / "sys/fs/cgroup/cpu.max", quota)
    assert chosen(machine) == workers


@pytest.mark.parametrize("group", ["system.slice", "system.slice/zserve.service"])
def test_the_quota_of_each_group_around_a_process_counts(machine: Path, group: str) -> None:
    write(machine / "proc/self/cgroup", "0::/system.slice/zserve.service\n")
    write(machine / "sys/fs/cgroup" / group / "cpu.max", "300000 100000\n")
    assert chosen(machine) == 3


def test_quota_and_memory_of_version_1_groups_count(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "4:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n")
    folder = machine / "sys/fs/cgroup"
    write(folder / "cpu/cpu.cfs_quota_us", "-1\n")
    write(folder / "cpu/cpu.cfs_period_us", "100000\n")
    assert chosen(machine) == 8
    write(folder / "cpu/docker/abc/cpu.cfs_quota_us", "600000\n")
    write(folder / "cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    assert chosen(machine) == 6
    write(folder / "memory/memory.limit_in_bytes", str(6 * WORKER_BYTES))
    write(folder / "memory/memory.usage_in_bytes", str(WORKER_BYTES))
    assert chosen(machine) == 5


def test_no_more_workers_are_chosen_than_there_is_memory_for(machine: Path) -> None:
    write(machine / "sys/fs/cgroup/memory.max", str(5 * WORKER_BYTES))
    write(machine / "sys/fs/cgroup/memory.current", str(2 * WORKER_BYTES))
    assert chosen(machine) == 3
    write(machine / "proc/meminfo", f"MemAvailable: {2 * WORKER_BYTES // 1024} kB\n")
    assert chosen(machine) == 2
    write(machine / "proc/meminfo", "MemAvailable: 1 kB\n")
    assert chosen(machine) == 1


def test_a_gpu_has_one_worker(machine: Path) -> None:
    write(machine / "dev/nvidia0", "")
    assert chosen(machine) == 1
    assert chosen(machine, device="cpu") == 8
    assert chosen(machine, device="cuda") == 1


def test_a_machine_that_says_nothing_has_a_worker_for_each_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    assert chosen(tmp_path) == 2
