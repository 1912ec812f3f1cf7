"""python -m model_store: list the versions of a store, show one, check them, promote, export, import."""

import sys

from model_store.command_line import without_reader
from model_store.store import cli as store


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return without_reader()
    return status


def _run(words: list[str]) -> int:
    """Run a command.

    `export` and `import` have parsers of their own, because they lie above the store. They are imported when
    they are needed: they load ONNX Runtime.
    """
    if words[:1] == ["export"]:
        from model_store.exporting import cli as exporting  # noqa: PLC0415

        return exporting.main(words[1:])
    if words[:1] == ["import"]:
        from model_store.importing import cli as importing  # noqa: PLC0415

        return importing.main(words[1:])
    return store.main(words)


if __name__ == "__main__":
    sys.exit(main())
