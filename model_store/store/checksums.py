"""SHA256SUMS, the checksum over a whole version, and its files as regular files of bounded size.

    <64 hexadecimal digits>  card.md
    <64 hexadecimal digits>  exact.safetensors
    <64 hexadecimal digits>  manifest.json

One line for each file of the version but itself, sorted by name. `sha256sum --check SHA256SUMS`
checks a version without zserve. Only one content fits a manifest, because the manifest lists the
checksums of all other files: a change of the manifest or of SHA256SUMS is found by comparing them.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

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


def read_regular(path: Path, max_bytes: int, *, follow_link: bool = False) -> bytes:
    """Read a file; raises OSError if it is a link, a device or a folder, or is too large.

    A link to a file is refused, unless `follow_link`, because its target can change after it was
    checked.
    """
    if path.is_symlink() and not follow_link:
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    follow = 0 if follow_link else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | follow | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if status.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", str(path))
        return file.read(max_bytes + 1)


def find_link(folder: Path) -> str | None:
    """Return the name of a symbolic link in a version, its folder included, or None."""
    if folder.is_symlink():
        return folder.name
    with os.scandir(folder) as entries:
        return min((entry.name for entry in entries if entry.is_symlink()), default=None)
