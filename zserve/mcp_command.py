"""`zserve mcp`: the tools of the Model Context Protocol over stdin and stdout, without a service."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_store.command_line import ArgumentParser

if TYPE_CHECKING:
    from zserve.mcp_models import LocalModels

EXAMPLES = """\
An entry for clients such as Claude Desktop, VS Code and Cursor:

  {"mcpServers": {"zserve": {"command": "zserve", "args": ["mcp"]}}}

A service offers the same tools at /mcp if it is started with ZSERVE_MCP=true.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until stdin ends; return 0, or 1 after one line on stderr."""
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("mcp") is None:
        print("zserve mcp: needs the package mcp: pip install 'zserve[mcp]'", file=sys.stderr)
        return 1
    from app.api.mcp_tools import make_server  # noqa: PLC0415 - mcp is optional
    from model_store.errors import StoreError  # noqa: PLC0415 - --help imports nothing else

    try:
        models = _models(options)
        models.check_default()
    except StoreError as error:
        print(f"zserve mcp: {error}", file=sys.stderr)
        return 1
    make_server(models, version="1").run("stdio")
    return 0


def _models(options: argparse.Namespace) -> "LocalModels":
    from zserve.mcp_models import LocalModels  # noqa: PLC0415 - --help imports nothing else

    files = None if options.files is None else Path(options.files)
    return LocalModels(options.store, default=options.model, files=files)


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog="zserve mcp",
        description="Offer five tools that return images to a client of the Model Context Protocol, "
        "over stdin and stdout. Models run in this process.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command accepts to a parser."""
    parser.add_argument(
        "--model",
        default=os.environ.get("ZSERVE_MODEL") or "mnist",
        metavar="NAME[@VERSION|@ALIAS]",
        help="model to use if a call names none (default: %(default)s)",
    )
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="folder or address (default: $ZSERVE_STORE, or the shipped)",
    )
    parser.add_argument(
        "--files",
        metavar="FOLDER",
        help="folder whose image files reconstruct_image may read by their paths (default: none)",
    )
