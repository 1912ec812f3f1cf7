"""`python -m model_store export`: write a version for programs without zserve."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_store.command_line import ArgumentParser
from model_store.durable_files import make_folder_durably, replace_durably
from model_store.errors import CorruptVersionError, FloatWeightsNotFoundError, StoreError
from model_store.exporting.onnx_exact import exact_graphs
from model_store.graphs.pair import DECODER, ENCODER
from model_store.spec import ModelRef, Onnx
from model_store.store import Store, StoredModel, open_store
from model_store.store.options import add_store_option

PROGRAM = "python -m model_store export"
DESCRIPTION = "Write a version for programs without zserve."


def main(arguments: Sequence[str] | None = None, *, prog: str = PROGRAM) -> int:
    """Export a version and return the exit status.

    The status is 0 on success, 1 if the version is damaged or cannot be written, and 2 if it does not
    exist, has no such form, or an argument is wrong. `prog` is the command as help and messages name it.
    """
    parser = ArgumentParser(prog=prog, description=DESCRIPTION)
    add_options(parser)
    options = parser.parse_args(arguments)
    if options.onnx is None and options.torch is None:
        print(f"{prog}: say where to write it: --onnx FOLDER, --torch FOLDER", file=sys.stderr)
        return 2
    try:
        store = open_store(options.store)
        stored = store.load(ModelRef.parse(options.ref))
        if options.onnx is not None:
            _write(options.onnx, _onnx_files(stored))
        if options.torch is not None:
            _write(options.torch, _torch_files(store, stored))
    except (StoreError, ValueError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1 if isinstance(error, CorruptVersionError) else 2
    except OSError as error:
        print(f"{prog}: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _onnx_files(stored: StoredModel) -> dict[str, bytes]:
    """Return the graphs of a version; imported ones are those that are served.

    PyTorch is imported for float versions of layers alone.
    """
    if stored.network is not None:
        return exact_graphs(stored.network, stored.manifest)
    if isinstance(stored.spec.network, Onnx):
        return {name: stored.weights[name].tobytes() for name in (ENCODER, DECODER)}
    from model_store.exporting.onnx_float import float_graphs  # noqa: PLC0415 - imports torch
    from model_store.vae import build_vae  # noqa: PLC0415 - imports torch

    return float_graphs(build_vae(stored.spec, stored.weights), stored.manifest)


def _torch_files(store: Store, stored: StoredModel) -> dict[str, bytes]:
    """Return the code and the float weights of a version, which may be derived from its integers."""
    from model_store.exporting.torch_module import torch_files  # noqa: PLC0415 - imports torch
    from model_store.vae import build_vae  # noqa: PLC0415 - imports torch
    from model_store.vae.derived import derive_vae  # noqa: PLC0415 - imports torch

    try:
        vae = build_vae(stored.spec, store.float_weights(stored.manifest.ref))
    except FloatWeightsNotFoundError:
        if stored.network is None:  # graphs of ONNX
            raise
        vae = derive_vae(stored.network, stored.spec)
    return torch_files(vae, stored.manifest)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    make_folder_durably(folder)
    for name, content in files.items():
        replace_durably(folder / name, content)
        print(f"{folder / name}  {len(content):,} bytes")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to a parser."""
    add_store_option(parser)
    parser.add_argument("ref", metavar="NAME[@VERSION|@ALIAS]")
    parser.add_argument(
        "--onnx",
        type=Path,
        metavar="FOLDER",
        help="write encoder.onnx, decoder.onnx and, if the prior is a flow, flow.onnx; the graphs of an "
        "exact version give the bytes of the service",
    )
    parser.add_argument(
        "--torch",
        type=Path,
        metavar="FOLDER",
        help="write vae.py and vae.safetensors, which need torch and safetensors but no zserve",
    )
