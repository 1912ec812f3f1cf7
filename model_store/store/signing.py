"""Signatures of versions by a key of their publisher, with the package model-signing.

A signature is one more file of a version, `model.sig`. It covers all other files: those of the manifest,
the manifest and SHA256SUMS. The command `model_signing verify key` of the package checks it as well.
Checksums find damage, and a signature also a version that somebody else has made.
"""

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_store.errors import SignatureError

SIGNATURE = "model.sig"
MAX_SIGNATURE_BYTES = 256 * 1024
"""Largest signature that is read; that of fifteen files has 3 kB."""

_MISSING = "signatures need the package model-signing: pip install 'zserve[sign]'"


def sign(files: Mapping[str, bytes], private_key: Path) -> bytes:
    """Return the signature of the files of a version by an elliptic-curve key, a PEM file.

    Raises SignatureError if the key cannot be used.
    """
    check_installed()
    from model_signing import signing  # noqa: PLC0415 - optional

    with _folder(files) as folder, tempfile.TemporaryDirectory(prefix="zserve-sign-") as other:
        target = Path(other) / SIGNATURE
        try:
            new: Any = signing.Config  # it has no annotations
            config = new().use_elliptic_key_signer(private_key=private_key)
            config.sign(folder, target)
        except Exception as error:
            raise SignatureError(f"{private_key} cannot sign: {_reason(error)}") from error
        return target.read_bytes()


def check(name: str, files: Mapping[str, bytes], public_key: Path) -> None:
    """Raise SignatureError unless the files of a version have a signature by this key.

    Args:
        name: the version, for messages.
        files: its files, with `model.sig`.
        public_key: PEM file of the public key.
    """
    check_installed()
    from model_signing import verifying  # noqa: PLC0415 - optional

    if SIGNATURE not in files:
        raise SignatureError(f"{name} is not signed; push it with --sign KEY")
    with _folder(files) as folder, tempfile.TemporaryDirectory(prefix="zserve-sign-") as other:
        signature = Path(other) / SIGNATURE
        signature.write_bytes(files[SIGNATURE])
        try:
            new: Any = verifying.Config  # it has no annotations
            config = new().use_elliptic_key_verifier(public_key=public_key)
            config.verify(folder, signature)
        except Exception as error:
            raise SignatureError(
                f"{name} has no valid signature by {public_key.name}: {_reason(error)}"
            ) from error


def check_installed() -> None:
    """Raise SignatureError if the package for signatures is missing."""
    if importlib.util.find_spec("model_signing") is None:
        raise SignatureError(_MISSING)


@contextmanager
def _folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write the files, without the signature, to a folder for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="zserve-version-") as name:
        folder = Path(name)
        for filename, content in files.items():
            if filename != SIGNATURE:
                (folder / filename).write_bytes(content)
        yield folder


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0][:300]
