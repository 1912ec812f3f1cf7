"""Export the same weights for every server: a store for zserve, safetensors for its peers."""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional as F

from benchmarks.serving.expected_png import ExpectedPng
from model_store.spec import MLP, Description, ModelRef, ModelSpec, TrainingRecord
from model_store.store import SHIPPED, Store, StoredModel
from model_store.vae import VAE, build_vae
from model_store.vae.derived import derive_vae

DEFAULT, LAB = "mnist", "lab"
DISTILLATION_STEPS = 300


@dataclass(frozen=True)
class ExportedModels:
    """Folders of the exported weights, and descriptions of the two models."""

    store: Path
    peers: Path
    pngs: Path
    lab: str
    default: str

    def folder(self, name: str) -> Path:
        """Return the folder with spec.json and weights.safetensors of a model."""
        return self.peers / name


def export_models(folder: Path, counts: tuple[int, ...]) -> ExportedModels:
    """Export the shipped default model and the MLP `lab`, and a constant PNG for each n."""
    torch.set_num_threads(1)  # several threads wait for each other on a busy machine
    store = Store(folder / "store")
    shipped = Store(SHIPPED)
    for name in {DEFAULT, LAB} & set(shipped.names()):
        shutil.copytree(SHIPPED / name, store.root / name)
    if LAB in shipped.names():
        lab = f"{shipped.resolve(ModelRef.parse(LAB))}, as shipped"
    else:
        lab = "784-400-20, distilled from the default model in a few seconds: no lab is shipped"
        publish_distilled(store)
    peers, pngs = folder / "peers", folder / "pngs"
    for name in (DEFAULT, LAB):
        _export(store, name, peers / name)
    _constant_pngs(store, pngs, counts)
    default = f"{shipped.resolve(ModelRef.parse(DEFAULT))}, as shipped"
    return ExportedModels(store.root, peers, pngs, lab, default)


def publish_distilled(store: Store) -> None:
    """Publish an MLP whose decoder was fitted to the default model's, so it draws digits.

    The time to decode an image does not depend on its content, but the size of its PNG does.
    """
    stored = store.load(ModelRef.parse(DEFAULT))
    teacher = _float_vae(stored)
    image, latent = teacher.spec.image, teacher.spec.latent
    spec = ModelSpec(network=MLP(hidden=(400,)), latent=latent, image=image)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = VAE(spec)
    adam = torch.optim.Adam(student.decoder.parameters(), lr=2e-3)
    for _ in range(DISTILLATION_STEPS):
        z = torch.randn(128, latent, generator=generator)
        with torch.no_grad():
            x = teacher.mean_image(teacher.decode(z))
        adam.zero_grad()
        loss = F.binary_cross_entropy_with_logits(student.decode(z), x)
        torch.autograd.backward(loss)
        adam.step()
    record = TrainingRecord(preset=LAB, dataset="samples of mnist", seed=0, epochs=0)
    description = Description(spec=spec, training=record)
    store.publish(LAB, description, student.state_dict(), card=lambda ref: f"# {ref}\n")


def _export(store: Store, name: str, folder: Path) -> None:
    ref = store.resolve(ModelRef.parse(name))
    folder.mkdir(parents=True)
    spec = store.manifest(ref).spec
    (folder / "spec.json").write_text(spec.model_dump_json())
    # Exported in float32, as zserve loads them, even if the version stores half precision.
    weights = {n: w.contiguous() for n, w in _float_vae(store.load(ref)).state_dict().items()}
    save_file(weights, folder / "weights.safetensors")


def _float_vae(stored: StoredModel) -> VAE:
    """Return the float network of a version: peers compute in float."""
    if stored.network is None:
        return build_vae(stored.spec, stored.weights)
    return derive_vae(stored.network, stored.spec)


def _constant_pngs(store: Store, folder: Path, counts: tuple[int, ...]) -> None:
    """Write <n>.png for each n with Pillow."""
    folder.mkdir(parents=True)
    stored = store.load(ModelRef.parse(LAB))
    vae = _float_vae(stored)
    generator = torch.Generator().manual_seed(0)
    for n in counts:
        with torch.inference_mode():
            z = torch.randn(n, vae.spec.latent, generator=generator)
            images = vae.mean_image(vae.decode(z)).mul(255).round().byte().numpy()
        (folder / f"{n}.png").write_bytes(pillow_png(_grid(images[:, 0], ExpectedPng(n))))


def pillow_png(pixels: "np.typing.NDArray[np.uint8]") -> bytes:
    """Encode with Pillow's defaults; pixels (height, width) or (height, width, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _grid(
    images: "np.typing.NDArray[np.uint8]", expected: ExpectedPng
) -> "np.typing.NDArray[np.uint8]":
    width, height = expected.size
    grid = np.zeros((height, width), np.uint8)
    for i, image in enumerate(images):
        row, column = i // expected.columns, i % expected.columns
        top = row * (expected.height + expected.padding) + expected.padding
        left = column * (expected.width + expected.padding) + expected.padding
        grid[top : top + expected.height, left : left + expected.width] = image
    return grid
