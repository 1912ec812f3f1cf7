"""Signatures of versions: made by a push, checked by a command and by the service."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import SettingsError
from app.settings import Settings, read_settings
from model_store.errors import SignatureError
from model_store.spec import ModelRef
from model_store.store import Store, open_store
from model_store.store.cli import main
from model_store.store.tidying import rename_model
from tests.api.service import problem, publish, started
from tests.unit.models import publish_tiny, reseal

REF = ModelRef.parse("tiny@1")


class Keys(NamedTuple):
    private: Path
    public: Path


def make_keys(folder: Path, name: str) -> Keys:
    key = ec.generate_private_key(ec.SECP256R1())
    keys = Keys(folder / f"{name}.pem", folder / f"{name}.pub")
    keys.private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    keys.public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "ours")


@pytest.fixture
def signed(tmp_path: Path, keys: Keys) -> Path:
    """Return a store with a signed copy of tiny@1."""
    publish_tiny(Store(tmp_path / "own"))
    target = tmp_path / "signed"
    target.mkdir()
    assert push(tmp_path / "own", target, keys) == 0
    return target


def push(source: Path, target: Path | str, keys: Keys) -> int:
    return main(
        ["--store", str(source), "push", "tiny", "--to", str(target), "--sign", str(keys.private)]
    )


def verify(store: Path | str, keys: Keys) -> int:
    return main(["--store", str(store), "verify", "--key", str(keys.public)])


def test_a_push_signs_the_copy_and_a_command_checks_it(
    signed: Path, tmp_path: Path, keys: Keys, capsys: Any
):
    theirs, ours = (
        {p.name for p in (root / "tiny" / "1").iterdir()} for root in (tmp_path / "own", signed)
    )
    assert ours - theirs == {"model.sig"}
    capsys.readouterr()
    assert verify(signed, keys) == 0
    assert ", signed by ours.pub" in capsys.readouterr().out
    assert verify(tmp_path / "own", keys) == 1
    assert "tiny@1 is not signed; push it with --sign KEY" in capsys.readouterr().out


def test_the_command_of_the_package_accepts_the_signature(signed: Path, keys: Keys):
    folder = signed / "tiny" / "1"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "model_signing", "verify", "key", folder),
            *("--signature", folder / "model.sig", "--public_key", keys.public),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["weights.safetensors", "samples.png", "manifest.json"])
def test_a_version_that_was_changed_and_sealed_again_is_refused(
    name: str, signed: Path, keys: Keys, capsys: Any
):
    """Checksums that fit are what an attacker writes too."""
    from tests.unit.models import replace_file

    folder = signed / "tiny" / "1"
    content = (folder / name).read_bytes()
    if name == "manifest.json":
        (folder / name).write_bytes(content.replace(b'"made"', b'"evil"'))
        reseal_without_signature(folder)
    else:
        replace_file_and_keep_signature(replace_file, folder, name, content[:-1] + b"\x01")
    store = Store(signed)
    store.files(REF)  # the checksums fit
    assert verify(signed, keys) == 1
    assert "has no valid signature by ours.pub" in capsys.readouterr().out
    store.signed_by = keys.public
    with pytest.raises(SignatureError):
        store.load(REF)


def reseal_without_signature(folder: Path) -> None:
    signature = (folder / "model.sig").read_bytes()
    (folder / "model.sig").unlink()
    reseal(folder)
    (folder / "model.sig").write_bytes(signature)


def replace_file_and_keep_signature(replace: Any, folder: Path, name: str, content: bytes) -> None:
    signature = (folder / "model.sig").read_bytes()
    (folder / "model.sig").unlink()
    replace(folder, name, content)
    (folder / "model.sig").write_bytes(signature)


def test_another_key_a_broken_and_a_missing_signature_are_refused(
    signed: Path, tmp_path: Path, keys: Keys
):
    store = Store(signed)
    store.signed_by = make_keys(tmp_path, "others").public
    with pytest.raises(SignatureError, match=r"no valid signature by others\.pub"):
        store.load(REF)
    store.signed_by = keys.public
    assert store.load(REF).manifest.ref == REF
    for content in (b"{}", b"\xff" * 99, b"x" * 300_000):
        (signed / "tiny" / "1" / "model.sig").write_bytes(content)
        with pytest.raises(SignatureError):
            store.load(REF)
    (signed / "tiny" / "1" / "model.sig").unlink()
    with pytest.raises(SignatureError, match="is not signed"):
        store.load(REF)


def test_a_signature_travels_with_its_version(signed: Path, tmp_path: Path, keys: Keys):
    copy = "memory://signed"
    assert main(["--store", copy, "pull", "tiny", "--from", str(signed)]) == 0
    assert verify(copy, keys) == 0
    assert open_store(copy).files(REF) == Store(signed).files(REF)


def test_a_copy_without_the_signature_that_was_asked_for_is_named(
    signed: Path, tmp_path: Path, keys: Keys, capsys: Any
):
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    own = str(tmp_path / "own")
    assert main(["--store", own, "push", "tiny", "--to", str(unsigned)]) == 0
    assert push(tmp_path / "own", unsigned, keys) == 1
    assert "has tiny@1 without a signature" in capsys.readouterr().out
    assert push(tmp_path / "own", signed, keys) == 0  # signed already


def test_a_renamed_version_loses_the_signature_of_the_other(signed: Path):
    store = Store(signed)
    rename_model(store, "tiny", "small")
    assert "model.sig" not in store.files(ModelRef.parse("small@1"))


def test_a_key_that_cannot_sign_is_a_line(tmp_path: Path, keys: Keys, capsys: Any):
    publish_tiny(Store(tmp_path / "own"))
    (tmp_path / "target").mkdir()
    wrong = Keys(keys.public, keys.public)
    assert push(tmp_path / "own", tmp_path / "target", wrong) == 1
    assert "ours.pub cannot sign" in capsys.readouterr().out
    assert not list((tmp_path / "target").iterdir())


def test_the_service_serves_signed_versions_only(tmp_path: Path, keys: Keys):
    publish(tmp_path / "own", "tiny")
    store = tmp_path / "served"
    store.mkdir()
    assert push(tmp_path / "own", store, keys) == 0
    publish(store, "forged")
    settings = Settings(
        store=store,
        model="tiny",
        require_signature=keys.public,
        device="cpu",
        log_requests=False,
    )
    with started(settings) as service:
        assert service.get("/generate?n=1&seed=1").status_code == 200
        answer = problem(service.get("/generate?model=forged"), 503, "model-unavailable")
    assert "forged@1 is not signed" in answer["detail"]


def test_a_file_that_is_no_public_key_is_refused(tmp_path: Path, keys: Keys):
    for path in (tmp_path / "missing", keys.private):
        with pytest.raises(SettingsError, match=r"--require-signature: the file is no public key"):
            read_settings(require_signature=path)
