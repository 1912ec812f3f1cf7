"""The parser of the whole command `zserve`, for its help, its errors and its completions."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping

from zserve_client._client import DEFAULT_URL
from zserve_client.cli import plugins
from zserve_client.cli.command import Command
from zserve_client.cli.suggestions import ArgumentParser

ABOUT = """\
Train, keep and serve variational autoencoders of small images, and ask a service for images.

  zserve serve                                      start a service on http://localhost:8000
  zserve generate --n 16 --seed 7 --out digits.png  sixteen digits; the same seed, the same images
  zserve models                                     the models of the service and their metrics
"""
EPILOG = """\
The service is http://localhost:8000 unless --url or the variable ZSERVE_URL names another one. If it
requires an API key, set the variable ZSERVE_TOKEN.
`zserve COMMAND --help` has examples for each command. An error is one line on stderr, and status 1.
"""
HERE = "on this machine"
OVER_HTTP = "images and models of a service, over HTTP"
OF_STORE = "versions in a store"


class RootParser(ArgumentParser):
    """The parser of `zserve`; its help lists the commands in groups."""

    groups: Mapping[str, Mapping[str, str]] = {}
    """Title of a group -> command -> one line about it."""

    def format_help(self) -> str:
        """Return the text of `zserve --help`."""
        lines = ["usage: zserve COMMAND [OPTIONS]", "", ABOUT]
        for title, commands in self.groups.items():
            lines.append(f"{title}:")
            lines += [f"    {name:<18} {summary}" for name, summary in commands.items()]
            lines.append("")
        lines += [
            "options:",
            "    -h, --help         show this help",
            "    --version          show versions",
        ]
        return "\n".join([*lines, "", EPILOG])


def root_parser(commands: Mapping[str, Command], *, plugins_too: bool) -> RootParser:
    """Return the parser of all subcommands; it lists those of other packages on request."""
    parser = RootParser(prog="zserve")
    parser.add_argument("--version", action="store_true", help="show versions")
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=ArgumentParser
    )
    for command in commands.values():
        add_command(subparsers, command)
    if plugins_too:
        others = plugins.summaries()
        for name in (name for name in others if " " not in name):
            subparsers.add_parser(name, help=others[name], add_help=False)
        parser.groups = grouped(commands, others)
    return parser


def grouped(
    commands: Mapping[str, Command], others: Mapping[str, str]
) -> Mapping[str, Mapping[str, str]]:
    """Return the commands in the groups in which help lists them."""
    return {
        HERE: {name: text for name, text in others.items() if " " not in name},
        OF_STORE: {name: text for name, text in others.items() if " " in name},
        OVER_HTTP: {name: command.summary for name, command in commands.items()},
    }


def add_command(
    subparsers: argparse._SubParsersAction[
        ArgumentParser
    ],  # the only name that argparse has for it
    command: Command,
) -> argparse.ArgumentParser:
    """Add a subcommand of the client."""
    parser = subparsers.add_parser(
        command.name,
        help=command.summary,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog=f"examples:\n{command.examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=command.run)
    if command.over_http:
        parser.add_argument(
            "--url",
            default=os.environ.get("ZSERVE_URL") or DEFAULT_URL,
            help=f"address of the service (default: $ZSERVE_URL, else {DEFAULT_URL})",
        )
    command.add_options(parser)
    return parser


def complete_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of everything that can be typed, from which completions are made."""
    parser = argparse.ArgumentParser(prog="zserve")
    subparsers = parser.add_subparsers(parser_class=ArgumentParser)
    models = None
    for command in commands.values():
        if command.name == "models":
            models = subparsers.add_parser("models", help=command.summary)
        else:
            add_command(subparsers, command)
    of_store = None if models is None else models.add_subparsers(parser_class=ArgumentParser)
    for name, summary in plugins.summaries().items():
        first, _, second = name.partition(" ")
        target = of_store if first == "models" and second and of_store is not None else subparsers
        described = target.add_parser(second or first, help=summary)
        add_options = plugins.add_options_of(name)
        if add_options is not None:
            with contextlib.suppress(ModuleNotFoundError):  # an extra is not installed
                add_options(described)
    return parser


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments and options of a parser and of all of its subcommands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - its name in argparse
            for subparser in action.choices.values():
                yield from actions(subparser)
