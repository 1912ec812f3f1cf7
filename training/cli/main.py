"""Run the command line and turn exceptions into one line and an exit code.

Exit codes: 0 success; 1 a failure, such as a loss that is not finite or a full disk; 2 an
impossible request; 130 interrupted.
"""

import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""Exit code that typer returns after Ctrl-C."""


def train(arguments: Sequence[str]) -> int:
    """Run `train` with these arguments; return the exit code. `zserve train` calls this."""
    return main(["train", *arguments])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one of sys.argv; return the exit code."""
    try:
        return _run(arguments)  # its imports take a moment, during which Ctrl-C may come
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    from model_store.errors import StoreError
    from training.cli.app import app
    from training.errors import InterruptedRunError, TrainingError, UsageError

    try:
        code = int(app(arguments, standalone_mode=False) or 0)
    except InterruptedRunError as error:
        return _fail(str(error), INTERRUPTED)
    except UsageError as error:
        return _fail(str(error), 2)
    except typer.TyperException as error:  # an invalid option or value
        return _fail(f"{error.format_message().rstrip('.')}; see --help", 2)
    except (TrainingError, StoreError) as error:
        return _fail(str(error), 1)
    return _fail("interrupted", code) if code == INTERRUPTED else code


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
