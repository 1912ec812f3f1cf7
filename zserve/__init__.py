"""zserve: train, version and serve variational autoencoders of small images.

from zserve import load

vae = load("mnist@production")
images = vae.sample(16, seed=7)

An installation has the packages app, model_store and training of the repository under `zserve`, and
the shipped models in `zserve/weights`. Names are imported when they are first used: `import zserve`
takes no time, and loads no model.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zserve.vae import VAE, load

__all__ = ["VAE", "load"]

_HOMES = {"VAE": "zserve.vae", "load": "zserve.vae"}


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` from its module."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
