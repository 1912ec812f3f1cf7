"""Golden hashes: a check that this machine and an executor compute the exact arithmetic.

A version carries the SHA-256 of its results for fixed inputs. An executor whose results have other
hashes must not be used for it.
"""

import importlib.util
from collections.abc import Mapping
from typing import Literal, get_args

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.flow import MakeExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import ExactNetwork
from model_store.errors import GoldenHashError
from model_store.spec import ModelRef, ModelSpec

ExecutorName = Literal["numpy", "onnx", "torch"]
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)


_LIBRARIES: dict[ExecutorName, str] = {"numpy": "numpy", "onnx": "onnxruntime", "torch": "torch"}


def installed() -> tuple[ExecutorName, ...]:
    """Return the executors whose library is installed."""
    return tuple(name for name in EXECUTORS if importlib.util.find_spec(_LIBRARIES[name]))


def fastest_installed() -> ExecutorName:
    """Return `onnx` if ONNX Runtime is installed, else `numpy`."""
    return "onnx" if "onnx" in installed() else "numpy"


def executor_maker(name: ExecutorName) -> MakeExecutor:
    """Return the function that makes executors of this name, and import its library.

    Raises ModuleNotFoundError if the library is not installed.
    """
    match name:
        case "onnx":
            from model_store.arithmetic.executors.onnx_executor import (  # noqa: PLC0415 - optional
                OnnxExecutor,
            )

            return OnnxExecutor
        case "torch":
            from model_store.arithmetic.executors.torch_executor import (  # noqa: PLC0415 - optional
                TorchExecutor,
            )

            return lambda function, _shape: TorchExecutor(function)
        case "numpy":
            return lambda function, _shape: NumpyExecutor(function)


def compute(network: ExactNetwork, spec: ModelSpec, executor: ExecutorName) -> dict[str, str]:
    """Return the SHA-256 of the results of each function of a network, computed by an executor."""
    return ExactModel(network, spec, executor_maker(executor)).hashes()


def check(
    ref: ModelRef,
    network: ExactNetwork,
    spec: ModelSpec,
    golden: Mapping[str, str],
    executor: ExecutorName,
) -> None:
    """Raise GoldenHashError unless an executor reproduces the golden hashes of a version.

    Raises ModuleNotFoundError if the executor's library is not installed.
    """
    hashes = compute(network, spec, executor)
    different = sorted(
        name for name in hashes.keys() | golden.keys() if hashes.get(name) != golden.get(name)
    )
    if different:
        raise GoldenHashError(
            f"{ref}: results of executor {executor} do not match golden.json for "
            f"{', '.join(different)}; either the version was changed, or this machine does not "
            "compute exact-1"
        )
