"""Read the command line of `zserve` and run a subcommand."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version

from zserve_client import ProblemError, ZserveError
from zserve_client.cli import (
    augment,
    bench,
    completion,
    compress,
    decode,
    decompress,
    edit,
    encode,
    generate,
    interpolate,
    models,
    plugins,
    promote,
    reconstruct,
    score,
    traverse,
)
from zserve_client.cli.command import Command
from zserve_client.cli.parser import root_parser
from zserve_client.cli.suggestions import suggestion

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        generate.COMMAND,
        reconstruct.COMMAND,
        interpolate.COMMAND,
        traverse.COMMAND,
        edit.COMMAND,
        augment.COMMAND,
        encode.COMMAND,
        decode.COMMAND,
        score.COMMAND,
        compress.COMMAND,
        decompress.COMMAND,
        models.COMMAND,
        promote.COMMAND,
        bench.COMMAND,
        completion.command(lambda: COMMANDS),
    )
}
EXIT_INTERRUPTED = 130
"""128 + SIGINT, the exit status of an interrupted program in a shell."""
EXIT_WITHOUT_READER = 141
"""128 + SIGPIPE, the exit status of a program whose output nobody reads any more."""
EXIT_USAGE = 2
DISTRIBUTIONS = ("zserve", "zserve-client")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors end the process with one line on stderr."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of stdout, such as `head`, has left
        # What is still to be written is thrown away, so that Python is silent at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_WITHOUT_READER)
    except (ZserveError, plugins.NotInstalledError) as error:
        sys.exit(f"zserve: {error}{_token_hint(error)}{_meant(arguments)}")
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        sys.exit(f"zserve: {file}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _run(arguments: Sequence[str]) -> None:
    """Run a subcommand of another package, or of the client."""
    if arguments and not arguments[0].startswith("-"):
        name, rest = plugins.split(arguments)
        if name not in COMMANDS:
            plugins.run(name, rest)
            _refuse(name)
    parser = root_parser(COMMANDS, plugins_too=not arguments or arguments[0] not in COMMANDS)
    options = parser.parse_args(arguments)
    if options.version:
        print(_versions())
        return
    if "run" not in options:
        parser.print_help(sys.stderr)
        sys.exit(EXIT_USAGE)
    options.run(options)


def _token_hint(error: Exception) -> str:
    """Return how the shell passes a token if the service asks for one."""
    refused = isinstance(error, ProblemError) and error.status == HTTPStatus.UNAUTHORIZED
    return "; the shell takes it from the variable ZSERVE_TOKEN" if refused else ""


def _meant(arguments: Sequence[str]) -> str:
    """Return a suggestion if `zserve models` got a word that resembles one of its commands."""
    commands = plugins.store_commands()
    if arguments[:1] != ["models"] or len(arguments) < 2 or arguments[1] in commands:
        return ""
    words = {f"`zserve models {word}`" for word in commands}
    return suggestion(f"`zserve models {arguments[1]}`", words, similarity=0.88)


def _refuse(name: str) -> None:
    """End the program: there is no such subcommand."""
    words = [*COMMANDS, *plugins.names()]
    print(
        f"zserve: invalid choice: {name[:80]!r} is no command{suggestion(name, words)}; "
        "`zserve --help` lists them",
        file=sys.stderr,
    )
    sys.exit(EXIT_USAGE)


def _versions() -> str:
    """Return one line about each installed distribution of zserve."""
    lines = []
    for name in DISTRIBUTIONS:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
