"""Skip the files of a command line that cannot be used: print the name of each, go on with the others."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from zserve_client.errors import InputError, UploadError, ZserveError

T = TypeVar("T")

_NAMED = re.compile(r"image (\d+): (.*)", re.DOTALL)


class Batch:
    """The files of a command line, and what was wrong with those that were skipped.

    Attributes:
        files: The files that have not been skipped.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self._total = len(self.files)

    @property
    def has_one(self) -> bool:
        """True if the command line names a single file: its error ends the command."""
        return self._total == 1

    def skip(self, index: int, error: ZserveError) -> None:
        """Leave a file out, and print why; raises the error if no file is left."""
        file = self.files.pop(index)
        reason = _NAMED.sub(r"\2", str(error))
        print(f"zserve: {file} is skipped: {reason}", file=sys.stderr)
        if not self.files:
            raise error

    def skip_unreadable(self) -> None:
        """Leave out files that cannot be read."""
        for index in reversed(range(len(self.files))):
            file = self.files[index]
            try:
                with file.open("rb"):
                    pass
            except OSError as error:
                self.skip(index, InputError(f"it cannot be read: {error.strerror}"))

    def send(self, request: Callable[[list[Path]], T]) -> T:
        """Send the files together; repeat without each one that the service refuses by name."""
        while True:
            try:
                return request(self.files)
            except UploadError as error:
                named = _NAMED.match(error.detail)
                if named is None or self.has_one or int(named[1]) > len(self.files):
                    raise
                self.skip(int(named[1]) - 1, error)

    def end(self) -> None:
        """End the command with status 1 if files were skipped."""
        skipped = self._total - len(self.files)
        if skipped:
            sys.exit(f"zserve: {skipped} of {self._total} files were skipped")
