"""The network of a stored version as it is served: exact if the version is, else float."""

import torch

from model_store.spec import Onnx
from model_store.store import StoredModel
from model_store.vae import TrainedVAE, build_vae


def served_vae(stored: StoredModel, device: torch.device | str = "cpu") -> TrainedVAE:
    """Return the VAE that computes the images of a version, on a device."""
    if isinstance(stored.spec.network, Onnx):
        from model_store.graphs.network import load_graphs  # noqa: PLC0415 - loads ONNX Runtime
        from model_store.vae.graphs import GraphVAE  # noqa: PLC0415 - loads ONNX Runtime

        ref, threads = str(stored.manifest.ref), torch.get_num_threads()
        return GraphVAE(load_graphs(ref, stored.spec, stored.weights, threads))
    if stored.network is None:
        return build_vae(stored.spec, stored.weights).to(device)
    from model_store.vae.exact import ExactVAE  # noqa: PLC0415 - loads ONNX Runtime

    return ExactVAE(stored.network, stored.spec, device)
