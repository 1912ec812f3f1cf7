"""A function to fuzz, its inputs, and the errors that it may raise.

Every other exception is a fault, and so is a run that takes longer than SLOW_S.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.errors import ServiceError
from model_store.errors import CompressedFileError, ImageError, StoreError
from tests.hostile.generate import INDEX, read

REFUSALS = (ServiceError, StoreError, ImageError, CompressedFileError)
SLOW_S = 5.0


@dataclass(frozen=True)
class Target:
    """A function to fuzz.

    Attributes:
        name: Name on the command line.
        run: Reads the bytes, and raises one of REFUSALS if they are refused.
        families: Families of hostile inputs from which mutations start.
        words: Parts that the format knows, which mutations insert.
        valid: Returns inputs that are accepted.
        repair: Corrects checksums after a mutation, so that more of them reach the parser.
        read: Returns the input of a hostile case, or None if the case is not for this target.
    """

    name: str
    run: Callable[[bytes], object]
    families: tuple[str, ...]
    words: tuple[bytes, ...]
    valid: Callable[[], list[bytes]] = list
    repair: Callable[[bytes], bytes] = bytes
    read: Callable[[dict[str, Any]], bytes | None] = read

    def seeds(self) -> list[bytes]:
        """Return valid inputs and hostile ones of at most 64 kB."""
        hostile = (
            self.read(entry)
            for entry in json.loads(INDEX.read_text())
            if str(entry["file"]).partition("/")[0] in self.families
        )
        contents = [*self.valid(), *(each for each in hostile if each is not None)]
        return [content for content in contents if len(content) <= 65_536]

    def crash(self, data: bytes) -> Exception | None:
        """Return the exception that these bytes should not cause, or None."""
        try:
            self.run(data)
        except REFUSALS:
            return None
        except Exception as error:  # noqa: BLE001 - this is what fuzzing looks for
            return error
        return None
