"""Read the command line of `zserve` and run a subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from zserve_client import ZserveError
from zserve_client._client import DEFAULT_URL
from zserve_client.cli import (
    bench,
    compress,
    decompress,
    edit,
    generate,
    interpolate,
    models,
    plugins,
    reconstruct,
    score,
    traverse,
)

COMMANDS = {
    module.COMMAND.name: module.COMMAND
    for module in (
        generate,
        reconstruct,
        interpolate,
        traverse,
        edit,
        score,
        compress,
        decompress,
        models,
        bench,
    )
}
EXIT_INTERRUPTED = 130
"""128 + SIGINT, the exit status of an interrupted program in a shell."""

ABOUT = """\
Images of variational autoencoders, from a zserve service over HTTP.

  zserve serve                                      start a service on http://localhost:8000
  zserve generate --n 16 --seed 7 --out digits.png  sixteen digits; the same seed, the same images
  zserve models                                     the models and their metrics
"""
EPILOG = """\
The service is http://localhost:8000 unless --url or the variable ZSERVE_URL names another one. If it
requires an API key, set the variable ZSERVE_TOKEN.
`zserve COMMAND --help` has examples for each command. An error is one line on stderr, and status 1.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors end the process with one line on stderr."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            plugins.run(arguments[0], arguments[1:])
        options = _parser(with_plugins=arguments[:1] not in [[name] for name in COMMANDS])
        parsed = options.parse_args(arguments)
        parsed.run(parsed)
    except (ZserveError, plugins.NotInstalledError) as error:
        sys.exit(f"zserve: {error}")
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        sys.exit(f"zserve: {file}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _parser(*, with_plugins: bool) -> argparse.ArgumentParser:
    """Return the parser of all subcommands; it lists those of other packages on request."""
    parser = argparse.ArgumentParser(
        prog="zserve",
        description=ABOUT,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS.values():
        subparser = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=f"examples:\n{command.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.set_defaults(run=command.run)
        subparser.add_argument(
            "--url",
            default=os.environ.get("ZSERVE_URL") or DEFAULT_URL,
            help=f"address of the service (default: $ZSERVE_URL, else {DEFAULT_URL})",
        )
        command.add_options(subparser)
    if with_plugins:
        for name, summary in plugins.summaries().items():
            commands.add_parser(name, help=summary, add_help=False)
    return parser


if __name__ == "__main__":
    main()
