"""`python -m training`: the command line; the commands are in `training.cli`.

Exit codes: 0 done; 1 a failure, such as a loss that is not finite or a disk that refuses; 2 what
was asked for cannot be done; 130 interrupted.
"""

import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def train(arguments: Sequence[str]) -> int:
    """Run `train` with these arguments, and return the exit code; `zserve train` calls this."""
    return main(["train", *arguments])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default that of sys.argv, and return the exit code."""
    try:
        return _run(arguments)  # importing torch takes seconds, and Ctrl-C may come then
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run(arguments: Sequence[str] | None) -> int:
    import typer  # noqa: PLC0415

    from model_store.errors import StoreError  # noqa: PLC0415
    from training.cli import app  # noqa: PLC0415
    from training.errors import InterruptedRunError, TrainingError, UsageError  # noqa: PLC0415

    try:
        code = int(app(arguments, standalone_mode=False) or 0)
    except InterruptedRunError as error:
        return _fail(str(error), INTERRUPTED)
    except UsageError as error:
        return _fail(str(error), 2)
    except typer.TyperException as error:  # an option's name or value
        return _fail(f"{error.format_message().rstrip('.')}; see --help", 2)
    except (TrainingError, StoreError) as error:
        return _fail(str(error), 1)
    return _fail("interrupted", code) if code == INTERRUPTED else code


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
