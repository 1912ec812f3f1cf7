"""A store in a folder: publishers that fail or are killed at any step, and several processes."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.errors import PublishError
from model_store.spec import ModelRef
from model_store.store import Store
from tests.unit.models import publish_tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_folder_without_versions_is_no_model(store: Store):
    publish_tiny(store, "a")
    (store.root / "empty").mkdir()
    (store.root / "NOT A NAME" / "1").mkdir(parents=True)
    assert store.names() == ("a",)


@pytest.mark.processes
def test_aliases_that_were_set_at_the_same_time_are_all_kept(store: Store):
    publish_tiny(store)
    run_together(_set_alias, [(store.root, f"alias-{i}") for i in range(3)])
    assert set(store.aliases("tiny")) == {"production", *(f"alias-{i}" for i in range(3))}


# --- interrupted publishing ---

OS_CALLS = ["fsync", "open", "rename"]


def concerns(store: Store, path: object) -> bool:
    """Return True if a path or file descriptor lies in the folder that holds the store.

    Other threads open files elsewhere at the same time. These are not steps of a publish.
    """
    name = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else Path(str(path))
    return name.is_relative_to(store.root.parent)


def failing(store: Store, name: str, call: int, fail: Callable[[], None]) -> Callable[..., object]:
    """`os.<name>`, but its call number `call` (from 0) about the store fails instead."""
    original = getattr(os, name)
    calls = iter(range(10_000))

    def wrapper(path: object, *args: object, **kwargs: object) -> object:
        if concerns(store, path) and next(calls) == call:
            fail()
        return original(path, *args, **kwargs)

    return wrapper


def disk_full() -> None:
    raise OSError(28, "No space left on device")


def interrupt() -> None:
    raise KeyboardInterrupt


def count_calls(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often another publish of the same model calls `os.<name>` about the store."""
    calls = 0
    original = getattr(os, name)

    def wrapper(path: object, *args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += concerns(store, path)
        return original(path, *args, **kwargs)

    publish_tiny(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, wrapper)
        publish_tiny(store)
    return calls


@pytest.mark.parametrize("name", OS_CALLS)
def test_a_disk_that_fails_at_any_step_leaves_the_store_as_it_was(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
):
    steps = count_calls(store, name, monkeypatch)
    assert steps > 0
    before = tree(store.root)
    for step in range(steps):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing(store, name, step, disk_full))
            with pytest.raises(PublishError, match="No space left on device"):
                publish_tiny(store)
        assert tree(store.root) == before
        assert sorted(entry.name for entry in (store.root / "tiny").iterdir()) == ["1", "2"]


STEPS = 9
"""Files and folders that a publish waits for: six files and the hidden folder before the rename, and
then the folders of the model and of the store."""


@pytest.mark.parametrize("step", range(STEPS))
def test_control_c_at_any_step_leaves_the_store_as_it_was(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
):
    publish_tiny(store)
    before = tree(store.root)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(store, "fsync", step, interrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_tiny(store)
    assert tree(store.root) == before


def killed(store: Store, step: int) -> int:
    """Publish in a process that ends at a step; return its exit status."""
    script = (
        "import os; from pathlib import Path\n"
        "from model_store.store import Store; from tests.unit import test_store_folder as t\n"
        f"store = Store(Path({str(store.root)!r}))\n"
        f"os.fsync = t.failing(store, 'fsync', {step}, lambda: os._exit(9))\n"
        "t.publish_tiny(store)\n"
    )
    return subprocess.run([sys.executable, "-c", script], check=False).returncode


def test_the_first_version_of_a_name_waits_for_every_folder_that_it_appears_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(tmp_path / "deep" / "store")
    synced: list[str] = []
    original = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", recording)
        publish_tiny(store)
    folders = {tmp_path, tmp_path / "deep", store.root, store.root / "tiny"}
    assert {str(folder) for folder in folders} <= set(synced)
    assert synced[-2:] == [str(store.root / "tiny"), str(store.root)]
    synced.clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", recording)
        Store(tmp_path / "aliases", shipped=store.root).set_alias("tiny", "canary", 1)
    assert {str(tmp_path), str(tmp_path / "aliases")} <= set(synced)


@pytest.mark.parametrize("step", range(STEPS + 2))
def test_a_first_publish_that_fails_at_any_step_leaves_no_model_behind(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
):
    """Two more steps: the folders of the store and of the model are new."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(store, "fsync", step, disk_full))
        with pytest.raises(PublishError):
            publish_tiny(store)
    assert tree(store.root) == {}
    assert store.names() == ()
    assert publish_tiny(store).version == 1


@pytest.mark.processes
@pytest.mark.parametrize("step", [STEPS - 2, STEPS - 1])
def test_a_publisher_killed_after_the_rename_leaves_two_whole_versions(store: Store, step: int):
    publish_tiny(store)
    assert killed(store, step) == 9
    assert store.versions("tiny") == (1, 2)
    for version in store.versions("tiny"):
        store.verify(ModelRef(name="tiny", version=version))


@pytest.mark.processes
@pytest.mark.parametrize("step", range(STEPS - 2))
def test_a_publisher_killed_at_any_step_leaves_whole_versions_only(store: Store, step: int):
    publish_tiny(store)
    assert killed(store, step) == 9
    assert store.versions("tiny") == (1,)
    store.verify(ModelRef.parse("tiny"))
    assert publish_tiny(store).version == 2


def test_what_a_killed_publisher_left_is_swept_a_day_later(store: Store):
    publish_tiny(store)
    fresh, old = (store.root / "tiny" / f".publishing-{age}" for age in ("fresh", "old"))
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    publish_tiny(store)
    assert fresh.exists()
    assert not old.exists()


# --- publishers and readers at the same time ---


@pytest.mark.processes
def test_parallel_publishers_get_different_versions_and_lose_none(store: Store):
    run_together(_publish_five, [(store.root, seed) for seed in range(3)])
    assert store.versions("tiny") == tuple(range(1, 16))
    for version in store.versions("tiny"):
        store.verify(ModelRef(name="tiny", version=version))
    assert not list((store.root / "tiny").glob(".publishing-*"))


@pytest.mark.processes
def test_a_reader_during_publishing_never_sees_half_a_version(store: Store):
    publish_tiny(store)
    context = multiprocessing.get_context("spawn")
    publisher = context.Process(target=_publish_five, args=(store.root, 1))
    publisher.start()
    reads = 0
    while publisher.is_alive() or reads == 0:
        newest = store.versions("tiny")[-1]
        store.verify(ModelRef(name="tiny", version=newest))
        reads += 1
    publisher.join()
    assert publisher.exitcode == 0
    assert store.versions("tiny") == (1, 2, 3, 4, 5, 6)


def run_together(target: Callable[..., None], arguments: list[tuple[object, ...]]) -> None:
    """Run a function in one process per tuple of arguments, all at the same time."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _publish_five(root: Path, seed: int) -> None:
    for _ in range(5):
        publish_tiny(Store(root), seed=seed)


def _set_alias(root: Path, alias: str) -> None:
    Store(root).set_alias("tiny", alias, 1)
