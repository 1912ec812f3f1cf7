"""Run imported ONNX graphs without PyTorch, in float by ONNX Runtime."""

from collections.abc import Mapping, Sequence

from app.inference.executor import Function
from app.typing import Floats
from model_store.arithmetic.executors.onnx_runtime import onnxruntime
from model_store.arithmetic.importance import log_standard_normal
from model_store.graphs.network import load_graphs
from model_store.store import StoredModel

NAME = f"graphs-onnxruntime-{onnxruntime.__version__}"
REFERENCE_BATCH = 16
OTHER_BATCHES = (2, 4, 8, 32, 64)
"""Numbers of rows; 1 is left out because libraries compute vectors by code with other bits."""


class GraphExecutor:
    """The graphs of one version, always on the CPU; raises GraphError if they cannot run."""

    name = NAME
    exact = False
    reference_batch = REFERENCE_BATCH
    other_batches: Sequence[int] = OTHER_BATCHES
    always_off_loop = False

    def __init__(self, stored: StoredModel, threads: int = 1) -> None:
        ref = str(stored.manifest.ref)
        self._network = load_graphs(ref, stored.spec, stored.weights, threads)
        x, z = stored.spec.image.shape, (stored.spec.latent,)
        self.input_shapes: Mapping[Function, Sequence[tuple[int, ...]]] = {
            "encode": [x],
            "decode": [z],
            "log_likelihood": [x, z],
        }

    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        """Compute one batch; returns new arrays, (batch, ...)."""
        match function:
            case "encode" | "posterior":
                return self._network.encode(inputs[0])
            case "decode":
                return [self._network.decode(inputs[0])]
            case "log_likelihood":
                return [self._network.log_likelihood(*inputs)]
            case "log_joint":
                log_px = self._network.log_likelihood(*inputs)
                return [log_px, log_standard_normal(inputs[1]).astype(log_px.dtype)]
            case "to_u" | "to_z":
                raise ValueError(f"{function} needs a flow, which graphs of ONNX do not have")
