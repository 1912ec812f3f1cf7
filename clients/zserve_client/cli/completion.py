"""`zserve completion`: print what makes a shell complete the words of the command."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from zserve_client.cli.command import Command
from zserve_client.cli.parser import actions, complete_parser
from zserve_client.errors import MissingExtraError

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """\
  zserve completion bash > ~/.local/share/bash-completion/completions/zserve
  zserve completion zsh > ~/.zfunc/_zserve             with fpath+=~/.zfunc before compinit in ~/.zshrc
  zserve completion fish > ~/.config/fish/completions/zserve.fish

Run it again after an update, or after the installation of an extra."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def command(commands: Callable[[], Mapping[str, Command]]) -> Command:
    """Return the subcommand; `commands` returns all subcommands of the client."""

    def run(options: argparse.Namespace) -> None:
        """Print the script of a shell."""
        if importlib.util.find_spec("shtab") is None:
            raise MissingExtraError(
                "this needs shtab, which is not installed: pip install 'zserve-client[completion]'"
            )
        import shtab  # noqa: PLC0415 - an extra

        parser = complete_parser(commands())
        for action in actions(parser):
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=options.shell))

    return Command(
        "completion",
        "print the completions of a shell",
        EXAMPLES,
        add_options,
        run,
        over_http=False,
    )
