"""No byte of a version can change without being noticed, nor any file be replaced by a link."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_store.errors import ChecksumError, CorruptVersionError, ManifestError, PublishError
from model_store.spec import Manifest, ModelRef
from model_store.store import SHIPPED, Store
from model_store.store.checksums import record
from model_store.store.cli import main
from tests.unit.exact_versions import publish_compressing
from tests.unit.models import a_card, reseal, tiny_classes, tiny_description, tiny_weights

REF = ModelRef.parse("tiny@1")
SHIPPED_NAMES = Store(SHIPPED).names()
RANDOM = random.Random(20)


def publish_float(root: Path) -> None:
    description = tiny_description().model_copy(update={"classes": ("Dress", "7")})
    Store(root).publish(
        "tiny",
        description,
        tiny_weights(),
        card=a_card,
        class_latents=tiny_classes(),
        figures={"samples": b"a picture"},
    )


def publish_exact(root: Path) -> None:
    publish_compressing(root, "tiny", "mlp")


KINDS = {"float": publish_float, "exact": publish_exact}


@pytest.fixture(params=KINDS)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    KINDS[request.param](tmp_path)
    return Store(tmp_path)


def folder(store: Store) -> Path:
    return store.root / "tiny" / "1"


def refused(store: Store, ref: ModelRef = REF) -> bool:
    """Return True if both load and verify refuse a version."""
    for read in (store.load, store.verify):
        try:
            read(ref)
        except CorruptVersionError:
            continue
        return False
    return True


def flips(path: Path, places: Iterator[int] | range) -> Iterator[int]:
    """Flip one bit of a file at each place in turn; restore it afterwards."""
    content = path.read_bytes()
    for place in places:
        bit = 1 << RANDOM.randrange(8)
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        yield place
    path.write_bytes(content)


# --- flips ---


def test_a_flip_of_any_byte_of_a_small_file_is_refused(store: Store):
    small = {"manifest.json", "SHA256SUMS", "card.md", "golden.json", "samples.png"}
    files = [path for path in folder(store).iterdir() if path.name in small]
    assert len(files) == 4
    for path in files:
        for place in flips(path, range(path.stat().st_size)):
            with pytest.raises(CorruptVersionError):
                store.load(REF)
            if place % 50 == 0:
                assert refused(store), (path.name, place)
    store.verify(REF)


def test_a_flip_in_any_large_file_is_refused(store: Store):
    for path in folder(store).glob("*.safetensors"):
        size = path.stat().st_size
        for place in flips(path, range(0, size, max(1, size // 100))):
            assert refused(store), (path.name, place)
    store.verify(REF)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_flip_in_any_file_of_a_shipped_version_is_refused(name: str, tmp_path: Path):
    (version,) = Store(SHIPPED).versions(name)
    ref = ModelRef(name=name, version=version)
    copied = shutil.copytree(SHIPPED / name / str(version), tmp_path / name / str(version))
    store = Store(tmp_path)
    files = sorted(copied.iterdir())
    assert "SHA256SUMS" in {path.name for path in files}
    for path in files:
        size = path.stat().st_size
        places = {0, size - 1, *(RANDOM.randrange(size) for _ in range(4))}
        for place in flips(path, iter(sorted(places))):
            assert refused(store, ref), (path.name, place)
    store.load(ref)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_flip_of_any_byte_of_a_shipped_manifest_is_refused(name: str, tmp_path: Path):
    (version,) = Store(SHIPPED).versions(name)
    ref = ModelRef(name=name, version=version)
    copied = shutil.copytree(SHIPPED / name / str(version), tmp_path / name / str(version))
    store = Store(tmp_path)
    for filename in ("manifest.json", "SHA256SUMS"):
        path = copied / filename
        for place in flips(path, range(path.stat().st_size)):
            with pytest.raises(CorruptVersionError):
                store.load(ref)
            if place % 50 == 0:
                assert refused(store, ref), (filename, place)
    store.load(ref)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"\n",
        lambda content: content.replace(b"  ", b" *"),
        lambda content: b"\n".join(sorted(content.split(b"\n"), reverse=True)),
        lambda content: content.upper(),
        lambda content: content.split(b"\n", 1)[1],
        lambda _: b"",
    ],
)
def test_checksums_have_one_form_only(store: Store, change: Callable[[bytes], bytes]):
    path = folder(store) / "SHA256SUMS"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ChecksumError, match=r"manifest\.json and SHA256SUMS do not fit"):
        store.load(REF)
    with pytest.raises(ChecksumError):
        store.card(REF)


def test_a_manifest_that_means_the_same_in_other_bytes_is_refused(store: Store):
    path = folder(store) / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ChecksumError, match="one of them was changed"):
        store.manifest(REF)


def test_sha256sum_checks_a_version(store: Store):
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder(store), check=False).returncode == 0
    listed = {line.split()[1] for line in (folder(store) / "SHA256SUMS").read_text().splitlines()}
    assert listed | {"SHA256SUMS"} == {path.name for path in folder(store).iterdir()}


# --- versions from before ---


def test_a_version_without_checksums_is_loaded_and_verify_says_so(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    sealed = (folder(store) / "SHA256SUMS").read_bytes()
    (folder(store) / "SHA256SUMS").unlink()
    store.load(REF)
    assert main(["--store", str(store.root), "verify"]) == 0
    assert "unsealed: nothing would show a change of manifest.json" in capsys.readouterr().out
    assert main(["--store", str(store.root), "seal", "tiny@1"]) == 0
    assert capsys.readouterr().out == "tiny@1 is sealed\n"
    assert (folder(store) / "SHA256SUMS").read_bytes() == sealed
    assert main(["--store", str(store.root), "verify"]) == 0
    assert "unsealed" not in capsys.readouterr().out
    assert main(["--store", str(store.root), "seal", "tiny@1"]) == 0
    assert capsys.readouterr().out == "tiny@1 is sealed already\n"


def test_a_damaged_version_is_not_sealed(store: Store):
    (folder(store) / "SHA256SUMS").unlink()
    (folder(store) / "card.md").write_text("changed")
    with pytest.raises(ChecksumError, match=r"card\.md"):
        store.seal(REF)
    assert not (folder(store) / "SHA256SUMS").exists()


def test_a_shipped_version_is_not_sealed(store: Store, tmp_path: Path):
    (folder(store) / "SHA256SUMS").unlink()
    both = Store(tmp_path / "own", shipped=store.root)
    with pytest.raises(PublishError, match="cannot seal tiny@1"):
        both.seal(REF)


# --- what a version must not hold ---


@pytest.mark.parametrize("filename", ["manifest.json", "SHA256SUMS", "card.md", "notes.txt"])
def test_a_symbolic_link_in_a_version_is_refused(store: Store, tmp_path: Path, filename: str):
    outside = tmp_path / "outside"
    path = folder(store) / filename
    outside.write_bytes(path.read_bytes() if path.exists() else b"notes")
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    for read in (store.load, store.verify, store.manifest):
        with pytest.raises(CorruptVersionError, match="symbolic link"):
            read(REF)


def test_a_version_that_is_a_symbolic_link_is_refused(store: Store):
    moved = folder(store).rename(store.root / "tiny" / "elsewhere")
    folder(store).symlink_to(moved)
    with pytest.raises(CorruptVersionError, match="symbolic link"):
        store.load(REF)


def test_a_store_and_a_model_may_be_symbolic_links(store: Store, tmp_path: Path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "tiny").symlink_to(store.root / "tiny")
    Store(linked).verify(REF)


@pytest.mark.parametrize("filename", ["card.md", "manifest.json", "SHA256SUMS"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_and_not_waited_for(
    store: Store, filename: str, make: Callable[[Path], None]
):
    (folder(store) / filename).unlink()
    make(folder(store) / filename)
    with pytest.raises(CorruptVersionError, match=f"cannot read {filename}: "):
        store.load(REF)


def test_a_file_that_is_larger_than_its_manifest_says_is_not_read(store: Store):
    path = folder(store) / "card.md"
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ChecksumError, match=r"card\.md: it has more than \d+ bytes"):
        store.load(REF)


def test_a_manifest_of_any_size_is_not_read(store: Store):
    with (folder(store) / "manifest.json").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ManifestError, match="it has more than 16,777,216 bytes"):
        store.load(REF)


def rewrite(store: Store, **changes: object) -> None:
    """Change fields of the manifest, and make the checksums fit."""
    path = folder(store) / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes()).model_copy(update=changes)
    path.write_text(manifest.model_dump_json())
    reseal(folder(store))


def test_a_version_must_list_its_card(store: Store):
    files = dict(store.manifest(REF).files)
    del files["card.md"]
    rewrite(store, files=files)
    with pytest.raises(ManifestError, match=r"lists no card\.md"):
        store.card(REF)


def test_a_card_that_is_no_text_is_refused(store: Store):
    content = b"\xff\xfe\x00"
    files = {**store.manifest(REF).files, "card.md": record(content)}
    (folder(store) / "card.md").write_bytes(content)
    rewrite(store, files=files)
    store.load(REF)
    with pytest.raises(CorruptVersionError, match=r"card\.md is not UTF-8"):
        store.card(REF)
