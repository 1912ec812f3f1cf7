"""The origin of an answer: model, weights, and the parameters that reproduce it."""

from app.inference.loaded_model import LoadedModel
from app.typing import Floats


def provenance(model: LoadedModel) -> dict[str, str]:
    """Return the fields of JSON answers that name the weights."""
    return {"model": model.name, "weights_sha256": model.manifest.weights_sha256}


def model_headers(model: LoadedModel, seed: int | None = None) -> dict[str, str]:
    """Return the headers that name the weights, and the seed if there is one."""
    headers = {"X-Model": model.name, "X-Weights-SHA256": model.manifest.weights_sha256}
    if seed is not None:
        headers["X-Seed"] = str(seed)
    return headers


def request_parameters(endpoint: str, model: LoadedModel, **values: object) -> dict[str, object]:
    """Return the parameters that reproduce an answer; values that are None are left out."""
    present = {name: value for name, value in values.items() if value is not None}
    return {"endpoint": endpoint, **provenance(model), **present}


def latent_parameters(model: LoadedModel, z: Floats) -> dict[str, object]:
    """Return the parameters that reproduce one image through /decode; z (latent,)."""
    return request_parameters("/decode", model, n=1, columns=1, z=[z.tolist()])
