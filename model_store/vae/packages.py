"""Networks of other packages: entry points of the group `zserve.networks`.

A package registers a module, or another object, that has three attributes:

    Settings                               a pydantic model of the network's settings
    build_encoder(settings, spec) -> nn.Module    images -> mu, logvar, both (batch, latent)
    build_decoder(settings, spec) -> nn.Module    latents -> logits of images

An encoder with `uses_labels = True` also has a method `with_labels(x, labels)`, which training calls. It
returns mu, logvar, and nats for each image that are added to the loss.

A manifest names an entry point and its distribution; nothing else is ever imported because of it.
"""

import importlib.metadata
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError
from torch import nn

from model_store import json_files
from model_store.errors import MissingPackageError
from model_store.spec import ModelSpec, Package

GROUP = "zserve.networks"


class NetworkPackage(Protocol):
    """The attributes that an object named by an entry point of the group must have."""

    Settings: type[BaseModel]

    def build_encoder(self, settings: Any, spec: ModelSpec) -> nn.Module:
        """Return a module from images (batch, *image) in [0, 1] to mu and logvar."""

    def build_decoder(self, settings: Any, spec: ModelSpec) -> nn.Module:
        """Return a module from latents (batch, latent) to logits (batch, *image)."""


def build_networks(spec: ModelSpec, network: Package) -> tuple[nn.Module, nn.Module]:
    """Return the new encoder and decoder of a package; raises MissingPackageError."""
    package = load_package(network)
    try:
        settings = package.Settings.model_validate(network.settings)
    except ValidationError as error:
        raise MissingPackageError(
            f"the network {network.name} of the package {network.package} does not take these "
            f"settings: {json_files.first_problem(error)}; install the release that made the version"
        ) from error
    try:
        return package.build_encoder(settings, spec), package.build_decoder(settings, spec)
    except (TypeError, ValueError) as error:
        raise MissingPackageError(
            f"the network {network.name} of the package {network.package} cannot be built: {error}"
        ) from error


def load_package(network: Package) -> NetworkPackage:
    """Import the package of a network; raises MissingPackageError if it is not installed."""
    entries = importlib.metadata.entry_points(group=GROUP, name=network.name)
    for entry in entries:
        if entry.dist is not None and _same(entry.dist.name, network.package):
            try:
                return cast(NetworkPackage, entry.load())
            except (ImportError, AttributeError) as error:
                raise MissingPackageError(
                    f"the network {network.name} of the package {network.package} cannot be imported: "
                    f"{error}"
                ) from error
    raise MissingPackageError(
        f"this model needs the network {network.name} of the package {network.package}, which is not "
        f"installed here; install it, for example by: pip install {network.package}"
    )


def _same(name: str, other: str) -> bool:
    """Return True if two names of distributions are the same by PEP 503."""
    return _normalised(name) == _normalised(other)


def _normalised(name: str) -> str:
    return "-".join(name.lower().replace("_", "-").replace(".", "-").split("-"))
