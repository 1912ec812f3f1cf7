"""python -m model_store: list the versions of a store, show one, check them, promote, export, import."""

import sys
from collections.abc import Callable

from model_store.exporting import cli as exporting
from model_store.importing import cli as importing
from model_store.store import cli as store

COMMANDS: dict[str, Callable[[list[str] | None], int]] = {
    "export": exporting.main,
    "import": importing.main,
}
"""Commands with a parser of their own, because they lie above the store; `store` has all others."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    command = COMMANDS.get(words[0]) if words else None
    return store.main(words) if command is None else command(words[1:])


if __name__ == "__main__":
    sys.exit(main())
