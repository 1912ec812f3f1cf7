"""Tiny exact versions in a store, for the tests of serving."""

import hashlib
import json
from pathlib import Path

from model_store.spec import Manifest
from model_store.store import Store, StoredModel
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.compression.codecs import table
from tests.unit.models import a_card, reseal, tiny_description


def publish_exact(root: Path, name: str = "exact", kind: str = "mlp") -> Manifest:
    spec = SPECS[kind]
    description = tiny_description().model_copy(update={"spec": spec, "latents": None})
    return Store(root).publish(name, description, None, card=a_card, network=exact_network(kind))


def publish_compressing(root: Path, name: str = "exact", kind: str = "conv") -> Manifest:
    """Publish an exact version that can compress images."""
    spec = SPECS[kind]
    description = tiny_description().model_copy(update={"spec": spec, "latents": None})
    pixels = table(kind) if spec.likelihood == "bernoulli" else None
    return Store(root).publish(
        name, description, None, card=a_card, network=exact_network(kind), pixels=pixels
    )


def load_exact(root: Path, kind: str = "mlp") -> StoredModel:
    store = Store(root)
    return store.load(publish_exact(root, kind=kind).ref)


def tamper_golden_hash(root: Path, name: str = "exact", function: str = "decode") -> None:
    """Change a golden hash of version 1, with a checksum that fits: nothing else is wrong."""
    folder = root / name / "1"
    hashes = json.loads((folder / "golden.json").read_text()) | {function: "0" * 64}
    content = json.dumps(hashes).encode()
    (folder / "golden.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"]["golden.json"] = {"sha256": digest, "size_bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
