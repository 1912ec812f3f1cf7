"""SHA256SUMS, the checksum over a whole version.

    <64 hexadecimal digits>  card.md
    <64 hexadecimal digits>  exact.safetensors
    <64 hexadecimal digits>  manifest.json

One line for each file of the version but itself, sorted by name. `sha256sum --check SHA256SUMS`
checks a version without zserve. Only one content fits a manifest, because the manifest lists the
checksums of all other files: a change of the manifest or of SHA256SUMS is found by comparing them.
"""

import hashlib
from collections.abc import Mapping

from model_store.spec import FileRecord

MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"

MAX_MANIFEST_BYTES = 2 * 1024**2
"""Largest manifest.json or SHA256SUMS that is read; the shipped ones have up to 50 kB. While pydantic
parses a manifest, in 10 ms per megabyte, no other thread of a service runs."""


def record(content: bytes) -> FileRecord:
    """Return size and checksum of a file with this content."""
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def checksums(files: Mapping[str, FileRecord], manifest: bytes) -> bytes:
    """Return the content of SHA256SUMS for the files of a manifest and its own content."""
    hashes = {name: file.sha256 for name, file in files.items()}
    hashes[MANIFEST] = record(manifest).sha256
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()
