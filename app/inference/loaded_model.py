"""One version of a model, ready to run."""

import math
from dataclasses import dataclass, field
from functools import cached_property

from app.inference.executor import Executor, Function
from app.inference.pace import Pace
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.spec import Manifest, ModelRef
from model_store.store import ENCODED_IMAGES, WEIGHTS
from model_store.typicality import Typicality


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version, its executor, and what the warm-up measured about it."""

    manifest: Manifest
    executor: Executor
    device: str
    """Name of the device that the executor computes on."""
    class_latents: ClassLatents = NO_CLASSES
    """One mixture per class, in the order of `manifest.classes`."""
    directions: Directions = NO_DIRECTIONS
    """Directions of the latent space that the version names."""
    typicality: Typicality | None = None
    """How typical the test images are; None for versions that were published without it."""
    exact: bool = False
    """True if every result has the same bytes on every machine and in every batch."""
    arithmetic: str = "float"
    """Text that identifies the computation and so the bits: `exact-1`, or for a float version the
    library, the device and a hash of their results for fixed inputs."""
    mismatches: tuple[Function, ...] = ()
    """Functions of an exact version whose results on this machine differ from the golden hashes."""
    reference_batch: int = 1
    """Batch size that defines the output: every other size must reproduce it bit for bit.

    For an exact model it is only the largest size: a batch has as many rows as are requested.
    """
    equivalent_batches: tuple[int, ...] = ()
    """Other batch sizes that reproduce the bits of the reference batch, ascending."""
    position_sensitive: bool = False
    """True if a row's output depends on its position in the batch; then only row 0 is used."""
    off_loop_functions: frozenset[Function] = frozenset()
    """Functions that run in a thread beside the event loop; the others run on the loop."""
    pace: Pace = field(default_factory=Pace)
    """Time per row of each function, measured by the warm-up and then by every batch."""

    @cached_property
    def ref(self) -> ModelRef:
        """The reference `name@version`."""
        return self.manifest.ref

    @cached_property
    def name(self) -> str:
        """The reference `name@version` as text."""
        return str(self.ref)

    @property
    def size_bytes(self) -> int:
        """Total size (bytes) of the loaded weight files."""
        unused = {ENCODED_IMAGES}
        if self.manifest.arithmetic != "float":
            unused.add(WEIGHTS)
        names = {name for name in self.manifest.files if name.endswith(".safetensors")} - unused
        return sum(self.manifest.files[name].size_bytes for name in names)

    @cached_property
    def row_bytes(self) -> int:
        """Memory (bytes) of the inputs and results of one row of a function, at most."""
        spec = self.manifest.spec
        return 4 * (math.prod(spec.image.shape) + 2 * spec.latent)

    @property
    def latent(self) -> int:
        """Number of latent dimensions."""
        return self.manifest.spec.latent

    @cached_property
    def has_flow(self) -> bool:
        """True if the prior is a flow, so that z of q(z | x) and u ~ N(0, I) differ."""
        return self.manifest.spec.prior is not None

    @cached_property
    def max_batch(self) -> int:
        """Largest number of requested rows in one batch."""
        if self.position_sensitive:
            return 1
        return max((self.reference_batch, *self.equivalent_batches))

    def batch_size_for(self, rows: int) -> int:
        """Return the smallest batch size that has room for this many rows."""
        if self.exact:
            return rows
        return min(
            size for size in (self.reference_batch, *self.equivalent_batches) if size >= rows
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be drawn; empty for a model without class latents."""
        return (self.manifest.classes or ()) if self.class_latents else ()
