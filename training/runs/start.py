"""Start a training from the weights of a published version."""

import torch

from model_store.errors import FloatWeightsNotFoundError, NotFoundError
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from model_store.vae import VAE, build_vae
from model_store.vae.derived import derive_vae
from training.data.images import Images
from training.errors import SettingError
from training.fitting.narrowing import can_be_narrowed, narrowed_weights

IMAGES = 5000
"""Training images, evenly spaced, to which narrower layers are fitted."""


def load_start(vae: VAE, store: Store, ref: ModelRef, train: Images) -> None:
    """Load the weights of a version from the store or the shipped models, in place.

    A flow that the version does not have in this form stays as it is. If the linear layers of the
    VAE are narrower than the version's, they are fitted to them. Raises StoreError, SettingError.
    """
    try:
        start = _start(store, ref)
    except NotFoundError:
        start = _start(Store(SHIPPED), ref)
    if can_be_narrowed(start.spec, vae.spec):
        index = torch.arange(0, len(train), max(1, len(train) // IMAGES))[:IMAGES]
        images = train.batch(index.to(train.pixels.device)).cpu()
        weights = narrowed_weights(start, vae.spec, images)
    else:
        weights = dict(start.state_dict())
    if start.spec.prior != vae.spec.prior:
        weights = {k: v for k, v in weights.items() if not k.startswith("flow.")}
    untrained = {k: v for k, v in vae.state_dict().items() if k.startswith("flow.")}
    try:
        vae.load_state_dict(untrained | weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise SettingError(f"start: {ref} does not fit the preset's model: {reason}") from error


def _start(store: Store, ref: ModelRef) -> VAE:
    """Return the float network of a version; an exact one without float weights is derived."""
    stored = store.load(ref)
    try:
        return build_vae(stored.spec, store.float_weights(ref))
    except FloatWeightsNotFoundError:
        assert stored.network is not None  # noqa: S101 - only exact versions lack float weights
        return derive_vae(stored.network, stored.spec)
