"""Names of zserve that a package with a network of its own imports.

The names are the same in a checkout and in an installation. docs/own-network.md says what such a package
has, and `examples/template` is one.
"""

from model_store.spec import ImageShape, ModelSpec

__all__ = ["ImageShape", "ModelSpec"]
