"""The store keeps its promises: whole versions or none, numbers that nobody shares, aliases."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from model_store.errors import (
    AliasNotFoundError,
    ChecksumError,
    FigureNotFoundError,
    InvalidReferenceError,
    ManifestError,
    ModelNotFoundError,
    NonFiniteError,
    PublishError,
    ShapeError,
    VersionNotFoundError,
)
from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from model_store.vae import VAE
from tests.unit.models import TINY, a_card, tiny_description, tiny_weights


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(store: Store, name: str = "tiny", seed: int = 0) -> Manifest:
    return store.publish(
        name,
        tiny_description(),
        tiny_weights(seed),
        card=a_card,
        figures={"samples": b"a picture", "loss": b"another"},
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# --- publish, then read back ---


def test_a_published_version_is_loaded_bit_for_bit(store: Store):
    publish(store, seed=5)
    loaded = store.load(ModelRef.parse("tiny@1")).weights
    expected = tiny_weights(5)
    assert loaded.keys() == expected.keys()
    assert all(np.array_equal(loaded[name], tensor) for name, tensor in expected.items())


def test_arrays_and_tensors_are_published_as_the_same_file(store: Store):
    tensors = tiny_weights()
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    files = [
        store.publish("tiny", tiny_description(), weights, card=a_card).weights_sha256
        for weights in (tensors, arrays)
    ]
    assert files[0] == files[1]
    content = (store.root / "tiny" / "1" / "weights.safetensors").read_bytes()
    assert content == safetensors.torch.save(tensors)


def test_weights_stored_in_16_bits_are_loaded_in_32(store: Store):
    half = {name: tensor.half() for name, tensor in tiny_weights().items()}
    manifest = store.publish("tiny", tiny_description(), half, card=a_card)
    assert manifest.files["weights.safetensors"].size_bytes == len(safetensors.torch.save(half))
    loaded = store.load(manifest.ref).weights
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(loaded[name], tensor.float()) for name, tensor in half.items())


def test_bfloat16_is_published_without_loss(store: Store):
    weights = {name: tensor.bfloat16() for name, tensor in tiny_weights().items()}
    manifest = store.publish("tiny", tiny_description(), weights, card=a_card)
    loaded = store.load(manifest.ref).weights
    assert all(np.array_equal(loaded[name], tensor.float()) for name, tensor in weights.items())


def test_a_tensor_that_learns_is_published_as_its_value(store: Store):
    vae = VAE(TINY)
    manifest = store.publish("tiny", tiny_description(), dict(vae.named_parameters()), card=a_card)
    loaded = store.load(manifest.ref).weights
    assert np.array_equal(loaded["to_mu.bias"], vae.to_mu.bias.detach())


def test_a_version_carries_manifest_card_and_figures(store: Store):
    publish(store)
    ref = ModelRef.parse("tiny@1")
    assert store.manifest(ref).metrics["test_neg_elbo"].value == 12.5
    assert store.manifest(ref).figures == ("loss", "samples")
    assert store.card(ref) == "# tiny@1\n"
    assert store.figure(ref, "samples") == b"a picture"


def test_the_manifest_that_publishing_returns_is_the_one_on_disk(store: Store):
    assert publish(store) == store.manifest(ModelRef.parse("tiny@1"))


def test_the_manifest_sorts_latent_dimensions_by_information(store: Store):
    assert publish(store).informative_dimensions() == (1, 2, 0)


def test_versions_count_upwards_and_are_compared_as_integers(store: Store):
    publish(store)
    shutil.copytree(store.root / "tiny" / "1", store.root / "tiny" / "9")
    assert publish(store).version == 10
    assert store.versions("tiny") == (1, 9, 10)


def test_names_lists_what_has_a_version(store: Store):
    assert store.names() == ()
    publish(store, "b")
    publish(store, "a")
    (store.root / "empty").mkdir()
    (store.root / "NOT A NAME" / "1").mkdir(parents=True)
    assert store.names() == ("a", "b")


# --- aliases ---


def test_production_is_the_oldest_version_until_another_is_promoted(store: Store):
    publish(store)
    publish(store)
    assert store.resolve(ModelRef.parse("tiny")).version == 1
    store.set_alias("tiny", "production", 2)
    assert store.resolve(ModelRef.parse("tiny")).version == 2
    assert store.resolve(ModelRef.parse("tiny@production")).version == 2


def test_rolling_back_is_promoting_the_older_version(store: Store):
    publish(store)
    publish(store)
    store.set_alias("tiny", "production", 2)
    store.set_alias("tiny", "production", 1)
    assert store.aliases("tiny") == {"production": 1}


def test_aliases_live_side_by_side(store: Store):
    publish(store)
    publish(store)
    store.set_alias("tiny", "canary", 2)
    assert store.aliases("tiny") == {"production": 1, "canary": 2}


def test_an_alias_cannot_point_at_nothing(store: Store):
    publish(store)
    with pytest.raises(VersionNotFoundError, match="tiny has no version 7; it has 1"):
        store.set_alias("tiny", "production", 7)


@pytest.mark.parametrize("alias", ["", "3", "Prod", "a/b", "x" * 64])
def test_an_alias_that_could_be_taken_for_something_else_is_refused(store: Store, alias: str):
    publish(store)
    with pytest.raises(InvalidReferenceError, match="is not an alias"):
        store.set_alias("tiny", alias, 1)


@pytest.mark.processes
def test_aliases_that_were_set_at_the_same_time_are_all_kept(store: Store):
    publish(store)
    run_together(_set_alias, [(store.root, f"alias-{i}") for i in range(3)])
    assert set(store.aliases("tiny")) == {"production", *(f"alias-{i}" for i in range(3))}


def test_unreadable_aliases_are_an_error_and_not_an_empty_list(store: Store):
    publish(store)
    (store.root / "tiny" / "aliases.json").write_text('{"production": ')
    with pytest.raises(ManifestError, match=r"aliases\.json"):
        store.resolve(ModelRef.parse("tiny"))


# --- what is not there ---


def test_an_unknown_model_is_named_with_those_that_exist(store: Store):
    publish(store, "lab")
    with pytest.raises(ModelNotFoundError, match="no model 'mnist' in the store; it holds: lab"):
        store.load(ModelRef.parse("mnist"))


def test_of_many_models_and_versions_a_message_names_the_first_twenty(store: Store):
    publish(store, "m0")
    for i in range(1, 30):
        shutil.copytree(store.root / "m0", store.root / f"m{i}")
        (store.root / "m0" / str(i + 1)).mkdir()
    with pytest.raises(ModelNotFoundError, match=r"it holds: m0, m1, m10, .* and 10 more$"):
        store.load(ModelRef.parse("mnist"))
    with pytest.raises(VersionNotFoundError, match=r"it has 1, 2, 3, .*, 20 and 10 more$"):
        store.load(ModelRef.parse("m0@99"))


def test_an_unknown_version_alias_or_figure_is_named_with_those_that_exist(store: Store):
    publish(store)
    with pytest.raises(VersionNotFoundError, match="no version 2; it has 1"):
        store.load(ModelRef.parse("tiny@2"))
    with pytest.raises(AliasNotFoundError, match="no alias 'canary'; it has production"):
        store.load(ModelRef.parse("tiny@canary"))
    with pytest.raises(FigureNotFoundError, match="no figure 'x'; it has loss, samples"):
        store.figure(ModelRef.parse("tiny"), "x")


# --- what is refused ---


@pytest.mark.parametrize("name", ["", "Tiny", "../tiny", "a b", ".tiny"])
def test_a_name_that_is_no_name_is_refused(store: Store, name: str):
    with pytest.raises(InvalidReferenceError, match="is not a model name"):
        publish(store, name)
    assert not store.root.exists()


def test_weights_that_do_not_fit_the_spec_are_not_published(store: Store):
    weights = tiny_weights()
    weights["to_mu.weight"] = torch.zeros(3, 6)
    with pytest.raises(
        ShapeError,
        match=r"tensor to_mu\.weight is \(3, 6\) float32, the spec asks for \(3, 5\) float32",
    ):
        store.publish("tiny", tiny_description(), weights, card=a_card)
    assert store.names() == ()


def test_weights_with_a_nan_are_not_published(store: Store):
    weights = tiny_weights()
    weights["to_mu.bias"][1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"to_mu\.bias holds 1 values that are NaN"):
        store.publish("tiny", tiny_description(), weights, card=a_card)
    assert store.names() == ()


# --- interrupted publishing ---

OS_CALLS = ["fsync", "open", "rename"]


def failing(name: str, call: int, fail: Callable[[], None]) -> Callable[..., object]:
    """`os.<name>`, but its call number `call` (from 0) fails instead."""
    original = getattr(os, name)
    calls = iter(range(10_000))

    def wrapper(*args: object, **kwargs: object) -> object:
        if next(calls) == call:
            fail()
        return original(*args, **kwargs)

    return wrapper


def disk_full() -> None:
    raise OSError(28, "No space left on device")


def interrupt() -> None:
    raise KeyboardInterrupt


def count_calls(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often another publish of the same model calls `os.<name>`."""
    calls = 0
    original = getattr(os, name)

    def wrapper(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        return original(*args, **kwargs)

    publish(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, wrapper)
        publish(store)
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
            patch.setattr(os, name, failing(name, step, disk_full))
            with pytest.raises(PublishError, match="No space left on device"):
                publish(store)
        assert tree(store.root) == before
        assert sorted(entry.name for entry in (store.root / "tiny").iterdir()) == ["1", "2"]


STEPS = 9
"""Files and folders that a publish waits for: six files and the hidden folder before the rename, and
then the folders of the model and of the store."""


@pytest.mark.parametrize("step", range(STEPS))
def test_control_c_at_any_step_leaves_the_store_as_it_was(
    store: Store, step: int, monkeypatch: pytest.MonkeyPatch
):
    publish(store)
    before = tree(store.root)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing("fsync", step, interrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(store)
    assert tree(store.root) == before


def killed(store: Store, step: int) -> int:
    """Publish in a process that ends at a step; return its exit status."""
    script = (
        "import os; from pathlib import Path\n"
        "from model_store.store import Store; from tests.unit import test_store as t\n"
        f"os.fsync = t.failing('fsync', {step}, lambda: os._exit(9))\n"
        f"t.publish(Store(Path({str(store.root)!r})))\n"
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
        publish(store)
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
        patch.setattr(os, "fsync", failing("fsync", step, disk_full))
        with pytest.raises(PublishError):
            publish(store)
    assert tree(store.root) == {}
    assert store.names() == ()
    assert publish(store).version == 1


@pytest.mark.processes
@pytest.mark.parametrize("step", [STEPS - 2, STEPS - 1])
def test_a_publisher_killed_after_the_rename_leaves_two_whole_versions(store: Store, step: int):
    publish(store)
    assert killed(store, step) == 9
    assert store.versions("tiny") == (1, 2)
    for version in store.versions("tiny"):
        store.verify(ModelRef(name="tiny", version=version))


@pytest.mark.processes
@pytest.mark.parametrize("step", range(STEPS - 2))
def test_a_publisher_killed_at_any_step_leaves_whole_versions_only(store: Store, step: int):
    publish(store)
    assert killed(store, step) == 9
    assert store.versions("tiny") == (1,)
    store.verify(ModelRef.parse("tiny"))
    assert publish(store).version == 2


def test_what_a_killed_publisher_left_is_swept_a_day_later(store: Store):
    publish(store)
    fresh, old = (store.root / "tiny" / f".publishing-{age}" for age in ("fresh", "old"))
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    publish(store)
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
    publish(store)
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
        publish(Store(root), seed=seed)


def _set_alias(root: Path, alias: str) -> None:
    Store(root).set_alias("tiny", alias, 1)


# --- files that people edit ---


def test_aliases_that_an_editor_saved_with_a_byte_order_mark_are_read(store: Store):
    publish(store)
    publish(store)
    aliases = store.root / "tiny" / "aliases.json"
    aliases.write_text('\N{ZERO WIDTH NO-BREAK SPACE}{"production": 2}', encoding="utf-8")
    assert store.resolve(ModelRef.parse("tiny")).version == 2
    store.set_alias("tiny", "canary", 1)
    assert aliases.read_bytes().startswith(b"{")
    assert store.aliases("tiny") == {"production": 2, "canary": 1}


def test_a_manifest_that_an_editor_saved_with_a_byte_order_mark_is_read_unless_it_is_sealed(
    store: Store,
):
    manifest = publish(store)
    folder = store.root / "tiny" / "1"
    content = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(b"\xef\xbb\xbf" + content)
    with pytest.raises(ChecksumError, match="one of them was changed"):
        store.manifest(manifest.ref)
    (folder / "SHA256SUMS").unlink()
    assert store.manifest(manifest.ref) == manifest
