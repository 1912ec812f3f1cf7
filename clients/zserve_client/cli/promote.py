"""`zserve promote`: point an alias of a running service at a version."""

from __future__ import annotations

import argparse

from zserve_client import InputError
from zserve_client.cli.command import Command, connect

EXAMPLES = """\
  zserve promote mine@2                                what `mine` means from now on
  zserve promote mine@2 --alias canary                 requests with model=mine@canary get mine@2

The service needs ZSERVE_ADMIN_TOKEN, or an API key with the scope `promote`; set ZSERVE_TOKEN to it here.
Where the store itself can be written, `zserve models promote` does the same without a service."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `zserve promote`."""
    parser.add_argument("ref", metavar="NAME@VERSION", help="the version")
    parser.add_argument("--alias", default="production", help="the alias (default: production)")


def run(options: argparse.Namespace) -> None:
    """Point the alias at the version, and print what it was."""
    name, _, version = options.ref.partition("@")
    if not name or not version.isdecimal():
        raise InputError(f"{options.ref!r} is not NAME@VERSION, such as mine@2")
    with connect(options) as client:
        before = {model.name: model.aliases for model in client.models()}.get(name, {})
        now = client.promote(name, int(version), alias=options.alias)[options.alias]
    was = before.get(options.alias)
    note = f" (was {was})" if was not in {None, now} else ""
    print(f"{name}@{options.alias} is version {now}{note}")


COMMAND = Command("promote", "point an alias at a version", EXAMPLES, add_options, run)
