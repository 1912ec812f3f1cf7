"""Start a training from the weights of a published version."""

import torch
from torch import Tensor

from model_store.errors import FloatWeightsNotFoundError, NotFoundError
from model_store.spec import ModelRef, ModelSpec
from model_store.store import SHIPPED, Store
from model_store.vae import VAE, build_vae
from model_store.vae.derived import derive_vae
from training.data.images import Images
from training.errors import SettingError
from training.fitting.batch_norm import restore_statistics
from training.fitting.narrowing import can_be_narrowed, narrowed_weights

IMAGES = 5000
"""Training images, evenly spaced, to which narrower layers are fitted."""
STATISTICS_IMAGES = 2000
"""Training images, evenly spaced, on which statistics of batch norms are measured."""


def find_start(store: Store, ref: ModelRef, spec: ModelSpec) -> VAE:
    """Return the float network of a version in the store or among the shipped models.

    Raises StoreError, and SettingError if its weights do not fit the spec.
    """
    try:
        start = _start(store, ref)
    except NotFoundError:
        start = _start(Store(SHIPPED), ref)
    if not can_be_narrowed(start.spec, spec):
        try:
            with torch.device("meta"):
                vae = VAE(spec)
            vae.load_state_dict(_weights(start, vae), assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise SettingError(f"start: {ref} does not fit the preset's model: {reason}") from error
    return start


def load_start(vae: VAE, start: VAE, train: Images) -> None:
    """Load the weights of a network that `find_start` returned, in place.

    A flow of another form stays as it is. If the linear layers of the VAE are narrower, they are
    fitted to those of the start. Batch norms that were folded into layers get statistics again.
    """
    weights = _weights(start, vae)
    if can_be_narrowed(start.spec, vae.spec):
        weights |= narrowed_weights(start, vae.spec, _evenly_spaced(train, IMAGES))
    vae.load_state_dict(weights)
    restore_statistics(vae, _evenly_spaced(train, STATISTICS_IMAGES))


def _evenly_spaced(train: Images, most: int) -> Tensor:
    """Return images from all over the training split, on the CPU, as floats."""
    index = torch.arange(0, len(train), max(1, len(train) // most))[:most]
    return train.batch(index.to(train.pixels.device)).cpu()


def _weights(start: VAE, vae: VAE) -> dict[str, Tensor]:
    """Return the weights of the start; if the priors differ, with the flow of the VAE instead of its own."""
    flow = {k: v for k, v in vae.state_dict().items() if k.startswith("flow.")}
    weights = start.state_dict()
    if start.spec.prior != vae.spec.prior:
        weights = {k: v for k, v in weights.items() if not k.startswith("flow.")}
    return flow | weights


def _start(store: Store, ref: ModelRef) -> VAE:
    """Return the float network of a version; an exact one without float weights is derived."""
    stored = store.load(ref)
    try:
        return build_vae(stored.spec, store.float_weights(ref))
    except FloatWeightsNotFoundError:
        if stored.network is None:  # graphs of ONNX
            raise
        return derive_vae(stored.network, stored.spec)
