"""Subcommands of other installed packages, such as `zserve serve`.

A package adds a subcommand with an entry point of the group `zserve.commands`. The entry point is
a function that takes the arguments after the name and returns an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

GROUP = "zserve.commands"
SERVER_COMMANDS = ("serve", "train")
"""Subcommands that the package `zserve` adds."""
INSTALL_HINT = (
    "in a checkout of zserve, `make install` installs `zserve serve` and "
    "`python3 scripts/install.py train` also `zserve train`"
)


class NotInstalledError(Exception):
    """A subcommand is not installed, or a package that it needs is not."""


def summaries() -> dict[str, str]:
    """Return one line about each subcommand of another package."""
    missing = dict.fromkeys(SERVER_COMMANDS, "needs the package zserve, not installed here")
    installed = {
        entry.name: f"from the package {entry.dist.name}" if entry.dist else "from another package"
        for entry in entry_points(group=GROUP)
    }
    return missing | installed


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a subcommand of another package and raise SystemExit; return if there is none.

    Raises NotInstalledError if the package, or one that it needs, is not installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        try:
            status = entry.load()(arguments)
        except ModuleNotFoundError as error:
            raise NotInstalledError(
                f"zserve {name} needs {error.name}, which is not installed; {INSTALL_HINT}"
            ) from error
        raise SystemExit(status)
    if name in SERVER_COMMANDS:
        raise NotInstalledError(
            f"zserve {name} needs the package zserve, and only the client is installed; "
            f"{INSTALL_HINT}; to use a service elsewhere, give its address with --url"
        )
