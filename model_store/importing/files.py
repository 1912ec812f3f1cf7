"""Read the files of a model that was made elsewhere: regular files of bounded size."""

import os
import re
import stat
from pathlib import Path

from model_store.errors import GraphError
from model_store.spec import MAX_GRAPH_BYTES

MAX_BYTES = MAX_GRAPH_BYTES
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,200}")


def read_regular_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file; raises OSError, and GraphError if it is too large."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise GraphError(f"{path} is not a regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise GraphError(f"{path} has more than {most:,} bytes, which are not read")
    return content


class FilesBeside:
    """Reads parts of the files in one folder, for constants that a graph keeps outside of itself.

    Names with a folder, symbolic links and other things than regular files are refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_bytes = 0

    def __call__(self, location: str, offset: int, length: int) -> bytes:
        """Return a part of a file; raises GraphError."""
        if not _PLAIN_NAME.fullmatch(location):
            raise GraphError(
                f"it keeps weights in {location[:80]!r}; only a file beside the graph is read"
            )
        self._read_bytes += length
        if self._read_bytes > MAX_BYTES:
            raise GraphError(f"its files have more than {MAX_BYTES:,} bytes, which are not read")
        try:
            descriptor = os.open(
                self._folder / location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise GraphError(f"{location[:80]!r}, beside the graph, is not a regular file")
                file.seek(offset)
                content = file.read(length)
        except OSError as error:
            raise GraphError(
                f"cannot read {location[:80]!r} beside the graph: {error.strerror}"
            ) from error
        if len(content) != length:
            raise GraphError(f"{location[:80]!r}, beside the graph, is too short")
        return content
