"""The options of each command of the store, and what its help says."""

import argparse
from collections.abc import Callable
from pathlib import Path

from model_store.arithmetic import golden
from model_store.spec import PRODUCTION

_REFERENCE = "NAME[@VERSION|@ALIAS]"


def list_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `list`."""
    parser.add_argument("names", metavar=_REFERENCE, nargs="*", help="default: all models")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def show_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `show`."""
    parser.add_argument("ref", metavar=_REFERENCE)
    parser.add_argument("--json", action="store_true", help="print the manifest instead")


def verify_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `verify`."""
    parser.add_argument("ref", metavar=_REFERENCE, nargs="?", help="default: all")
    parser.add_argument(
        "--executor",
        choices=[*golden.EXECUTORS, "all"],
        default=golden.fastest_installed(),
        help="what computes the golden hashes of exact versions again; all: whatever is installed "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        type=Path,
        metavar="PEM",
        help="public key by which every version has to be signed",
    )
    parser.add_argument(
        "--against",
        metavar="STORE",
        help="also compare the manifests and aliases with those of another store",
    )


def copy_options(option: str) -> Callable[[argparse.ArgumentParser], None]:
    """Return what adds the options of `push` and `pull`; `option` names the other store."""

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "refs",
            metavar=_REFERENCE,
            nargs="*",
            help="a bare name means all of its versions (default: all versions of all models); "
            "hf://org/name[@revision] among them is the other store",
        )
        parser.add_argument(option, metavar="STORE", help="folder or address of the other store")
        parser.add_argument("--aliases", action="store_true", help="copy their aliases as well")
        if option == "--to":
            parser.add_argument(
                "--sign",
                type=Path,
                metavar="KEY",
                help="PEM file of a private elliptic-curve key, by which the copies are signed",
            )
            parser.add_argument(
                "--license",
                default="unknown",
                metavar="ID",
                help="licence of the versions, as the Hugging Face hub names it, such as mit; only "
                "for hf:// (default: %(default)s)",
            )

    return add


def sync_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sync`."""
    parser.add_argument("--to", metavar="STORE", required=True, help="folder or address")


def seal_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `seal`."""
    parser.add_argument("ref", metavar="NAME@VERSION")


def resolve_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `resolve`."""
    parser.add_argument("ref", metavar=_REFERENCE)


def promote_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `promote`."""
    parser.add_argument("ref", metavar="NAME@VERSION")
    parser.add_argument("--alias", default=PRODUCTION, help="default: %(default)s")


def remove_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rm`."""
    parser.add_argument("refs", metavar="NAME@VERSION", nargs="+", help="with --all: NAME")
    parser.add_argument("--all", action="store_true", help="remove all versions and the aliases")


def rename_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rename`."""
    parser.add_argument("old", metavar="NAME")
    parser.add_argument("new", metavar="NEW_NAME")


def prune_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `prune`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="default: all models")
    parser.add_argument(
        "--keep",
        type=_count,
        default=1,
        metavar="N",
        help="number of the newest versions of each model that are kept too (default: 1)",
    )
    parser.add_argument("--yes", action="store_true", help="remove them; else they are only listed")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of versions")
    return int(text)


_COPYING = (
    "Copy versions with their numbers and bytes. Versions that are there already are skipped, so a "
    "copy that was interrupted is continued by the same command."
)
DESCRIPTIONS = {
    "list": "Print one line for each version. SAMPLES: how recognisable samples are, relative to test "
    "images. FRECHET: their distance from test images; lower is better. Both are comparable only "
    "within one data set, whose best version is marked.",
    "push": _COPYING,
    "pull": _COPYING,
    "rm": "Remove versions that no alias names. Their numbers are not used again, and `pull` or `push` "
    "can bring the same versions back.",
    "rename": "Give a model another name, with its versions, their numbers and its aliases. Weights "
    "keep their bytes. What was interrupted is continued by the same command.",
    "prune": "List the versions that no alias names and that are not the newest of their models, and "
    "with --yes remove them.",
}
