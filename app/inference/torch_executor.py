"""Run models by PyTorch: float versions on the CPU, and all versions on a GPU.

The process imports this module when it loads the first version that needs it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from app.inference import cuda_graphs
from app.inference.devices import Device
from app.inference.exact_executor import BATCHES, ExactExecutor
from app.inference.executor import Executor, Function
from app.typing import Floats
from model_store.arithmetic.model import ExactModel
from model_store.store import StoredModel
from model_store.vae import ARITHMETIC, VAE, build_vae, compile_for_inference

CPU_REFERENCE_BATCH = 16
"""Number of rows; part of the published results, because other sizes give other last bits."""

CPU_OTHER_BATCHES = (2, 4, 8, 32, 64)
"""Numbers of rows; 1 is left out because libraries compute vectors by code with other bits."""

GPU_REFERENCE_BATCH = 256
"""Number of rows; larger than on a CPU because a GPU computes many rows in the time of a few."""

NAME = f"{ARITHMETIC}-torch-{torch.__version__}"

_SELDOM: tuple[Function, ...] = ("posterior", "log_joint")
"""Functions that are not worth a graph of their own on a GPU."""

_thread = threading.local()

TensorFunction = Callable[..., tuple[Tensor, ...]]


class TorchBackend:
    """PyTorch on one device. More threads than one make the output bits depend on the batch."""

    def __init__(self, device: Device, threads: int = 1) -> None:
        self._device = device
        self._threads = threads

    @property
    def device(self) -> Device:
        """Name of the device."""
        return self._device

    def load(self, stored: StoredModel) -> Executor:
        """Optimise the model for its device. Raises RuntimeError if a GPU cannot take it."""
        _configure_thread(self._threads)
        if stored.network is None:
            return TorchExecutor(
                build_vae(stored.spec, stored.weights),
                self._device,
                self._threads,
                with_to_z=stored.directions.before_flow,
            )
        # Imported late, because it switches off libraries that float versions may use.
        from model_store.arithmetic.executors import torch_executor  # noqa: PLC0415

        on_gpu = self._device == "cuda"
        return ExactExecutor(
            ExactModel(
                stored.network,
                stored.spec,
                lambda program, _: torch_executor.TorchExecutor(program, self._device),
            ),
            NAME,
            batches=(GPU_REFERENCE_BATCH,) if on_gpu else BATCHES,
            always_off_loop=on_gpu,
            with_to_z=stored.directions.before_flow,
        )


class TorchExecutor:
    """One model on one device; a GPU runs each function as a graph of one batch size."""

    name = NAME
    exact = False

    def __init__(
        self, vae: VAE, device: Device, threads: int = 1, *, with_to_z: bool = False
    ) -> None:
        on_gpu = device == "cuda"
        self._threads = threads
        self.reference_batch = GPU_REFERENCE_BATCH if on_gpu else CPU_REFERENCE_BATCH
        self.other_batches: Sequence[int] = () if on_gpu else CPU_OTHER_BATCHES
        self.always_off_loop = on_gpu
        self.vae = compile_for_inference(vae, torch.device(device), self.reference_batch)
        x, z = vae.spec.image.shape, (vae.spec.latent,)
        shapes: dict[Function, list[tuple[int, ...]]] = {
            "encode": [x],
            "decode": [z],
            "log_likelihood": [x, z],
        }
        if vae.flow is not None:
            shapes["to_u"] = [z]
            if with_to_z:
                shapes["to_z"] = [z]
        self.input_shapes: Mapping[Function, Sequence[tuple[int, ...]]] = shapes
        functions = _functions(self.vae)
        self._run: dict[Function, Callable[..., list[Floats]]] = {
            name: self._captured(functions[name], inputs) if on_gpu else _on_cpu(functions[name])
            for name, inputs in shapes.items()
        }
        for name in _SELDOM:
            self._run[name] = _not_captured(functions[name], torch.device(device))

    def run(self, function: Function, inputs: Sequence[Floats]) -> list[Floats]:
        """Compute one batch; returns new arrays, (batch, ...)."""
        _configure_thread(self._threads)
        return self._run[function](*inputs)

    def _captured(
        self, function: TensorFunction, shapes: Sequence[tuple[int, ...]]
    ) -> cuda_graphs.StaticFunction:
        return cuda_graphs.capture(function, [(self.reference_batch, *shape) for shape in shapes])


def _configure_thread(threads: int) -> None:
    """Make PyTorch repeatable in this thread: a fixed number of threads, the same kernels."""
    if getattr(_thread, "threads", None) == threads:
        return
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    _thread.threads = threads


def _functions(vae: VAE) -> dict[Function, TensorFunction]:
    """Return the functions of a model between tensors on its device."""

    def decode(z: Tensor) -> tuple[Tensor, ...]:
        return (vae.mean_image(vae.decode(z)),)

    def to_u(z: Tensor) -> tuple[Tensor, ...]:
        return (vae.to_u(z),)

    def to_z(u: Tensor) -> tuple[Tensor, ...]:
        return (u if vae.flow is None else vae.flow.inverse(u),)

    def log_likelihood(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return (vae.log_likelihood(x, vae.decode(z)),)

    def log_joint(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        return vae.log_likelihood(x, vae.logits(z)), vae.log_prior(z)

    return {
        "encode": vae.encode,
        "decode": decode,
        "to_u": to_u,
        "to_z": to_z,
        "log_likelihood": log_likelihood,
        "posterior": vae.posterior,
        "log_joint": log_joint,
    }


def _not_captured(function: TensorFunction, device: torch.device) -> Callable[..., list[Floats]]:
    """Wrap a function of tensors as a function of arrays, which a GPU runs step by step."""

    @torch.inference_mode()
    def run(*inputs: Floats) -> list[Floats]:
        tensors = [torch.tensor(each, device=device) for each in inputs]
        return [output.cpu().numpy() for output in function(*tensors)]

    return run


def _on_cpu(function: TensorFunction) -> Callable[..., list[Floats]]:
    """Wrap a function of tensors as a function of arrays; they share memory."""

    @torch.inference_mode()
    def run(*inputs: Floats) -> list[Floats]:
        return [output.numpy() for output in function(*map(torch.from_numpy, inputs))]

    return run
