"""The description inside an exported graph: the entries of `metadata_props` of an ONNX file."""

import json

from model_store.spec import Manifest

FLOW_NOTE = "flow.onnx maps mu to the latents that decoder.onnx takes"


def metadata(manifest: Manifest, function: str) -> dict[str, str]:
    """Return the entries of the graph of one function of a version, such as `decoder`."""
    spec = manifest.spec
    entries = {
        "zserve.model": str(manifest.ref),
        "zserve.function": function,
        "zserve.weights_sha256": manifest.weights_sha256,
        "zserve.arithmetic": manifest.arithmetic,
        "zserve.spec": spec.model_dump_json(),
        "zserve.trained_on": manifest.training.dataset,
    }
    if spec.prior is not None:
        entries["zserve.flow"] = FLOW_NOTE
    if manifest.classes is not None:
        entries["zserve.classes"] = json.dumps(manifest.classes)
    return entries
