"""Write a tar file whose bytes depend on its members alone."""

from __future__ import annotations

import tarfile
from typing import IO

BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * BLOCK)


class TarWriter:
    """Writes members of a tar file in the POSIX format ustar.

    The modification time and the owner of each member are 0, so that two files with the same
    members are equal. tarfile's own writer would add padding up to a size of 20 blocks.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, name: str, content: bytes) -> None:
        """Write a member."""
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        padding = bytes(-len(content) % BLOCK)
        header = entry.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
        self._file.write(b"".join((header, content, padding)))

    def close(self) -> None:
        """Write the end of the archive; the file stays open."""
        self._file.write(_END)
