"""The interface between inference and a numeric library, such as PyTorch or ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from app.typing import Floats
from model_store.store import StoredModel

Function = Literal["encode", "decode", "to_u", "to_z", "log_likelihood", "posterior", "log_joint"]
"""Functions of a model.

encode          x -> mu, logvar
decode          z -> mean image
to_u            z of q(z | x) -> u ~ N(0, I); only models with a flow have it
to_z            u -> z, the inverse of to_u; only models with directions before a flow have it
log_likelihood  x, z -> ln p(x | z)
posterior       x -> mu, logvar of q(z | x), in the space before a flow
log_joint       x, z -> ln p(x | z), ln p(z); z in the space before a flow
"""


class Executor(Protocol):
    """Runs the functions of one model on batches; `run` is called by one thread at a time.

    An executor of exact arithmetic accepts any number of rows, and no row depends on the others. All
    other executors get batches of `reference_batch` or `other_batches` rows only.
    """

    @property
    def name(self) -> str:
        """Name and version of the library, such as `onnxruntime-1.32.0`."""

    @property
    def exact(self) -> bool:
        """True if the results should be the same bytes on every machine."""

    @property
    def input_shapes(self) -> Mapping[Function, Sequence[tuple[int, ...]]]:
        """Shapes of the inputs of each function that the warm-up runs, without the batch axis.

        It does not run `posterior` and `log_joint`, which take the time of `encode` and
        `log_likelihood`.
        """

    @property
    def reference_batch(self) -> int:
        """Number of rows of the batch that defines the output bits."""

    @property
    def other_batches(self) -> Sequence[int]:
        """Further batch sizes that `run` accepts, ascending; their bits may differ."""

    @property
    def always_off_loop(self) -> bool:
        """True if `run` waits for another device, and so must never run on the event loop."""

    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[NDArray[Any]]:
        """Return new arrays, one for each output, (batch, ...); inputs are (batch, ...).

        They are float32, but for the images of `decode` on exact arithmetic, which are grey levels
        0..255 (uint8).
        """


class Backend(Protocol):
    """Makes executors for one device."""

    @property
    def device(self) -> str:
        """Name of the device, such as `cpu`."""

    def load(self, stored: StoredModel) -> Executor:
        """Load a model on the device.

        Raises RuntimeError if the device cannot take it, and NotReadyError if a library is missing.
        """
