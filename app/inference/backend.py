"""Choose the library that runs a version, and import PyTorch only if that is needed.

on a CPU    exact versions by ONNX Runtime or numpy, float versions by PyTorch
on a GPU    all versions by PyTorch
anywhere    imported graphs of ONNX by ONNX Runtime, on the CPU
"""

import importlib.util
from functools import partial

from app.errors import TorchMissingError
from app.inference.devices import Device
from app.inference.exact_executor import ExactExecutor, fastest
from app.inference.executor import Executor
from app.inference.graph_executor import GraphExecutor
from model_store.arithmetic.model import ExactModel
from model_store.spec import Onnx
from model_store.store import StoredModel


class ChosenBackend:
    """Backend that chooses a library for each version, on one device, with `threads` threads."""

    def __init__(self, device: Device, threads: int = 1) -> None:
        self._device = device
        self._threads = threads

    @property
    def device(self) -> Device:
        """Name of the device."""
        return self._device

    def load(self, stored: StoredModel) -> Executor:
        """Load a version on the device.

        Raises RuntimeError if a GPU cannot take it, and TorchMissingError for a float version if
        PyTorch is not installed.
        """
        if stored.network is not None and self._device == "cpu":
            make = partial(fastest, threads=self._threads)
            model = ExactModel(stored.network, stored.spec, make)
            return ExactExecutor(model, with_to_z=stored.directions.before_flow)
        if isinstance(stored.spec.network, Onnx) and stored.network is None:
            return GraphExecutor(stored, self._threads)
        if importlib.util.find_spec("torch") is None:
            raise TorchMissingError(
                f"{stored.manifest.ref} is a float version, which needs PyTorch, and PyTorch is "
                "not installed"
            )
        # Imported late: it takes seconds and half a gigabyte, which exact versions do not need.
        from app.inference.torch_executor import TorchBackend  # noqa: PLC0415

        return TorchBackend(self._device, self._threads).load(stored)
