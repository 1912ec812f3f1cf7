"""No byte of a version can change without being noticed, nor any file be replaced by a link."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    ManifestError,
    ModelNotFoundError,
    PublishError,
)
from model_store.spec import Manifest, ModelRef
from model_store.store import SHIPPED, Store
from model_store.store.checksums import MAX_MANIFEST_BYTES, record
from model_store.store.cli import main
from model_store.store.transfer import copy_version
from tests.unit.backends import KINDS as PLACES
from tests.unit.backends import FolderPlace, Place, in_place, new_place
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
    """A version in a folder."""
    KINDS[request.param](tmp_path / "folder")
    return Store(tmp_path / "folder")


@pytest.fixture(params=PLACES)
def place(tmp_path: Path, store: Store, request: pytest.FixtureRequest) -> Place:
    """Return a place of each kind with one version in it."""
    place = new_place(request.param, tmp_path)
    copy_version(store, REF, in_place(place))
    return place


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


def flips(place: Place, path: str, offsets: Iterator[int] | range) -> Iterator[int]:
    """Flip one bit of a file at each offset in turn; restore it afterwards."""
    content = place.read(path)
    for offset in offsets:
        bit = 1 << RANDOM.randrange(8)
        place.write(path, content[:offset] + bytes([content[offset] ^ bit]) + content[offset + 1 :])
        yield offset
    place.write(path, content)


# --- flips ---


def over_network(place: Place) -> bool:
    return place.location.startswith(("s3:", "az:"))


SMALL = ("manifest.json", "SHA256SUMS", "card.md", "golden.json", "samples.png")


def test_a_flip_of_any_byte_of_a_small_file_is_refused(place: Place):
    """Over a network it is one byte of two hundred."""
    store = in_place(place)
    files = [path for path in place.paths() if path.endswith(SMALL)]
    assert len(files) == 4
    step = 200 if over_network(place) else 1
    for path in files:
        for offset in flips(place, path, range(0, len(place.read(path)), step)):
            with pytest.raises(CorruptVersionError):
                store.load(REF)
            if offset % 50 == 0:
                assert refused(store), (path, offset)
    store.verify(REF)


def test_a_flip_in_any_large_file_is_refused(place: Place):
    store = in_place(place)
    flips_of_a_file = 5 if over_network(place) else 100
    for path in (path for path in place.paths() if path.endswith(".safetensors")):
        size = len(place.read(path))
        for offset in flips(place, path, range(0, size, max(1, size // flips_of_a_file))):
            assert refused(store), (path, offset)
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
        offsets = {0, size - 1, *(RANDOM.randrange(size) for _ in range(4))}
        for offset in flips(FolderPlace(copied), path.name, iter(sorted(offsets))):
            assert refused(store, ref), (path.name, offset)
    store.load(ref)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_flip_of_any_byte_of_a_shipped_manifest_is_refused(name: str, tmp_path: Path):
    (version,) = Store(SHIPPED).versions(name)
    ref = ModelRef(name=name, version=version)
    copied = shutil.copytree(SHIPPED / name / str(version), tmp_path / name / str(version))
    store = Store(tmp_path)
    for filename in ("manifest.json", "SHA256SUMS"):
        size = (copied / filename).stat().st_size
        for offset in flips(FolderPlace(copied), filename, range(size)):
            with pytest.raises(CorruptVersionError):
                store.load(ref)
            if offset % 50 == 0:
                assert refused(store, ref), (filename, offset)
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
def test_checksums_have_one_form_only(place: Place, change: Callable[[bytes], bytes]):
    store = in_place(place)
    place.write("tiny/1/SHA256SUMS", change(place.read("tiny/1/SHA256SUMS")))
    with pytest.raises(ChecksumError, match=r"manifest\.json and SHA256SUMS do not fit"):
        store.load(REF)
    with pytest.raises(ChecksumError):
        store.card(REF)


def test_a_manifest_that_means_the_same_in_other_bytes_is_refused(place: Place):
    place.write("tiny/1/manifest.json", place.read("tiny/1/manifest.json") + b" ")
    with pytest.raises(ChecksumError, match="one of them was changed"):
        in_place(place).manifest(REF)


def test_sha256sum_checks_a_version(store: Store):
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder(store), check=False).returncode == 0
    listed = {line.split()[1] for line in (folder(store) / "SHA256SUMS").read_text().splitlines()}
    assert listed | {"SHA256SUMS"} == {path.name for path in folder(store).iterdir()}


# --- versions from before ---


def test_a_version_without_checksums_is_loaded_and_verify_says_so(
    place: Place, capsys: pytest.CaptureFixture[str]
):
    sealed = place.read("tiny/1/SHA256SUMS")
    place.delete("tiny/1/SHA256SUMS")
    in_place(place).load(REF)
    assert main(["--store", place.location, "verify"]) == 0
    assert "unsealed: nothing would show a change of manifest.json" in capsys.readouterr().out
    assert main(["--store", place.location, "seal", "tiny@1"]) == 0
    assert capsys.readouterr().out == "tiny@1 is sealed\n"
    assert place.read("tiny/1/SHA256SUMS") == sealed
    assert main(["--store", place.location, "verify"]) == 0
    assert "unsealed" not in capsys.readouterr().out
    assert main(["--store", place.location, "seal", "tiny@1"]) == 0
    assert capsys.readouterr().out == "tiny@1 is sealed already\n"


def test_a_damaged_version_is_not_sealed(place: Place):
    place.delete("tiny/1/SHA256SUMS")
    place.write("tiny/1/card.md", b"changed")
    with pytest.raises(ChecksumError, match=r"card\.md"):
        in_place(place).seal(REF)
    assert "tiny/1/SHA256SUMS" not in place.paths()


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


@pytest.mark.parametrize("filename", ["card.md", "manifest.json"])
def test_a_missing_file_is_named(place: Place, filename: str):
    place.delete(f"tiny/1/{filename}")
    with pytest.raises((ChecksumError, ManifestError, ModelNotFoundError)):
        in_place(place).load(REF)


def test_a_file_with_more_bytes_is_refused(place: Place):
    place.write("tiny/1/card.md", place.read("tiny/1/card.md") + b" ")
    with pytest.raises(ChecksumError, match=r"card\.md: it has more than \d+ bytes"):
        in_place(place).load(REF)


def test_a_file_that_is_larger_than_its_manifest_says_is_not_read(store: Store):
    path = folder(store) / "card.md"
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ChecksumError, match=r"card\.md: it has more than \d+ bytes"):
        store.load(REF)


def test_a_manifest_of_any_size_is_not_read(store: Store):
    with (folder(store) / "manifest.json").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ManifestError, match=f"it has more than {MAX_MANIFEST_BYTES:,} bytes"):
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
