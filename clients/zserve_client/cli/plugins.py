"""Subcommands of other installed packages, such as `zserve serve` and `zserve models list`.

A package adds a subcommand with an entry point of the group `zserve.commands`. Its name is one word, or
`models` and another word. It is a function that takes the arguments after the name and returns an exit
status. Help shows the first line of its docstring, or its attribute `summary`. If it has an attribute
`add_options`, a function of an argparse parser, the completions of the shell know its options.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires

GROUP = "zserve.commands"
SERVER_COMMANDS = {
    "serve": "serve the models of a store over HTTP",
    "doctor": "look for what is wrong, and say what to do",
    "train": "train a preset or on a folder of images, and publish a version",
    "evaluate": "measure a version again, and check its card",
    "compare": "compare versions: a table of numbers, and figures",
    "tune": "search for better settings of a preset",
}
"""The most important subcommands that the package `zserve` adds -> one line about each."""
STORE_COMMANDS = ("list", "show", "verify", "promote", "push", "pull", "rm", "rename", "prune")
"""Words after `zserve models` that the package `zserve` adds, and that never name a model."""

INSTALL_HINT = (
    "run `pip install zserve`, or `pip install 'zserve[train]'` for training; in a checkout, "
    "`make install`, or `python3 scripts/install.py train`"
)
_OF_AN_EXTRA = re.compile(r"([\w.-]+).*;.*\bextra == [\"']([\w-]+)[\"']")
"""A requirement of an extra, such as `mcp>=2.3; extra == "mcp"`: its distribution, the extra."""


class NotInstalledError(Exception):
    """A subcommand is not installed, or a package that it needs is not."""


def names() -> set[str]:
    """Return the names of the subcommands of other packages, and of those of `zserve`."""
    return {*SERVER_COMMANDS, *(entry.name for entry in entry_points(group=GROUP))}


def store_commands() -> set[str]:
    """Return the words that `zserve models` takes as commands of a store."""
    installed = (name.partition(" ")[2] for name in names() if name.startswith("models "))
    return {*STORE_COMMANDS, *installed}


def summaries() -> dict[str, str]:
    """Return one line about each subcommand of another package."""
    missing = {name: f"{text} (not installed)" for name, text in SERVER_COMMANDS.items()}
    return missing | {entry.name: _summary(entry) for entry in entry_points(group=GROUP)}


def _summary(entry: EntryPoint) -> str:
    """Return what a subcommand says about itself, or which package it is from."""
    origin = f"from the package {entry.dist.name}" if entry.dist else "from another package"
    try:
        command = entry.load()
    except ImportError:
        return origin
    text: str | None = getattr(command, "summary", None)
    if text is None:
        text = (getattr(command, "__doc__", None) or "").strip().partition("\n")[0].rstrip(".")
        text = text[:1].lower() + text[1:]
    return text or origin


def add_options_of(name: str) -> Callable[[argparse.ArgumentParser], None] | None:
    """Return the function that describes the options of a subcommand, or None if it has none."""
    for entry in entry_points(group=GROUP, name=name):
        try:
            return getattr(entry.load(), "add_options", None)
        except ImportError:
            return None
    return None


def split(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of the subcommand that arguments begin with, and the arguments after it."""
    first, rest = arguments[0], arguments[1:]
    if first == "models" and rest and rest[0] in store_commands():
        return f"models {rest[0]}", rest[1:]
    return first, rest


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a subcommand of another package and raise SystemExit; return if there is none.

    Raises NotInstalledError if the package, or one that it needs, is not installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        try:
            status = entry.load()(arguments)
        except ModuleNotFoundError as error:
            raise NotInstalledError(
                f"zserve {name} needs {error.name}, which is not installed; {_remedy(error.name)}"
            ) from error
        raise SystemExit(status)
    if name in SERVER_COMMANDS or name.partition(" ")[2] in STORE_COMMANDS:
        raise NotInstalledError(
            f"zserve {name} needs the package zserve, and only the client is installed; "
            f"{INSTALL_HINT}; to use a service elsewhere, give its address with --url"
        )


def _remedy(module: str | None) -> str:
    """Return the command that installs a missing module: by the first extra of zserve that has it."""
    missing = _normal_name((module or "").partition(".")[0])
    try:
        requirements = requires("zserve") or ()
    except PackageNotFoundError:
        requirements = ()
    for requirement in requirements:
        match = _OF_AN_EXTRA.match(requirement)
        if match and _normal_name(match[1]) == missing:
            checkout = "; in a checkout, `python3 scripts/install.py train`"
            return (
                f"run `pip install 'zserve[{match[2]}]'`{checkout if match[2] == 'train' else ''}"
            )
    return INSTALL_HINT


def _normal_name(distribution: str) -> str:
    """Return a name as the package index compares it."""
    return distribution.replace("_", "-").lower()
