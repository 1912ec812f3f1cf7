"""The option that names a store, the same for every command."""

import argparse
import os

STORE_HELP = (
    "folder of the models, or address of an object store such as s3://bucket/prefix (default: "
    "ZSERVE_STORE, or the models you trained together with the shipped ones)"
)


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Add `--store` to a parser; `model_store.store.open_store` takes its value."""
    parser.add_argument(
        "--store", default=os.environ.get("ZSERVE_STORE") or None, metavar="STORE", help=STORE_HELP
    )
