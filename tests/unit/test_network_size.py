"""A spec says how large its network is before anything of it is built."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from torch import nn

from model_store.arithmetic import file as exact_file
from model_store.arithmetic.program import (
    Convolution,
    Dense,
    ExactNetwork,
    LatentDense,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)
from model_store.arithmetic.proof import ProofError, prove
from model_store.errors import CorruptVersionError, ManifestError, PublishError
from model_store.network_size import excess, network_size
from model_store.spec import MLP, Conv, Flow, ImageShape, ModelRef, ModelSpec, Residual
from model_store.store import Store
from model_store.store.checksums import record
from model_store.vae import VAE
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.exact_versions import publish_exact
from tests.unit.models import a_card, reseal, tiny_description, tiny_weights
from training.config import load_preset
from training.errors import SettingError

LARGE = ImageShape(channels=3, height=256, width=256)
NETWORKS = {
    "mlp": ModelSpec(network=MLP(hidden=(40, 30)), latent=7),
    "conv": ModelSpec(network=Conv(channels=(6, 8), hidden=20), latent=5),
    "kernel 3": ModelSpec(network=Conv(channels=(6, 8, 9), kernel=3), latent=5),
    "residual": ModelSpec(
        network=Residual(channels=(6, 8), encoder_blocks=2, batch_norm=True), latent=5
    ),
    "flow": ModelSpec(network=MLP(), latent=6, prior=Flow(couplings=3, hidden=9)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_number_of_weights_is_that_of_torch(kind: str):
    spec = NETWORKS[kind]
    state = VAE(spec).state_dict()
    assert network_size(spec).parameters == sum(weight.numel() for weight in state.values())


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_number_of_multiplications_is_that_of_the_layers(kind: str):
    """Count them in torch, by the shapes that each layer sees."""
    spec = NETWORKS[kind]
    vae = VAE(spec).eval()
    counted = 0

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal counted
        if isinstance(layer, nn.Linear):
            counted += layer.weight.numel() * len(inputs[0])
        elif isinstance(layer, nn.ConvTranspose2d):
            counted += layer.weight.numel() * inputs[0][0, 0].numel()
        elif isinstance(layer, nn.Conv2d):
            counted += layer.weight.numel() * output[0, 0].numel()

    for layer in vae.modules():
        layer.register_forward_hook(count)
    mu, _ = vae.encode(vae.mean_image(vae.decode(vae.to_mu.bias.detach()[None])))
    assert mu.shape == (1, spec.latent)
    assert counted == network_size(spec).multiplications


@pytest.mark.parametrize(
    "fields",
    [
        {"latent": 10**18},
        {"latent": 16_385},
        {"network": {"kind": "mlp", "hidden": [8] * 20_000}},
        {"network": {"kind": "mlp", "hidden": [8] * 65}},
        {"network": {"kind": "mlp", "hidden": [10**12]}},
        {"network": {"kind": "conv", "channels": [8] * 20_000, "kernel": 3}},
        {"network": {"kind": "conv", "channels": [10**9]}},
        {"network": {"kind": "conv", "hidden": 10**9}},
        {"network": {"kind": "residual", "encoder_blocks": 10**6}},
        {"network": {"kind": "residual", "decoder_blocks": 65}},
        {"prior": {"couplings": 10**9}},
        {"prior": {"hidden": 10**9}},
        {"image": {"height": 257}},
        {"logvar_bound": 1e308},
    ],
    ids=lambda fields: json.dumps(fields)[:50],
)
def test_every_field_of_a_spec_has_a_bound(fields: dict[str, object]):
    tiny = {"network": {"kind": "mlp"}, "latent": 4}
    with pytest.raises(ValidationError):
        ModelSpec.model_validate(tiny | fields)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (ModelSpec(network=MLP(hidden=(60_000, 60_000)), latent=2), "weights"),
        (ModelSpec(network=MLP(hidden=(60_000,)), latent=16_000), "weights"),
        (ModelSpec(network=Conv(channels=(4096,)), latent=2, image=LARGE), "weights"),
        (
            ModelSpec(network=Conv(channels=(1024, 8, 8, 8)), latent=2, image=LARGE),
            "values between two layers",
        ),
        (
            ModelSpec(network=MLP(hidden=(9,)), latent=3000, prior=Flow(couplings=1, hidden=1)),
            "values between two layers",
        ),
        (
            ModelSpec(
                network=Residual(channels=(128, 8, 8, 8), decoder_blocks=64), latent=2, image=LARGE
            ),
            "multiplications",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_fields_within_their_bounds_may_be_too_much_together(spec: ModelSpec, problem: str):
    reason = excess(spec)
    assert reason is not None
    assert problem in reason


def test_networks_that_people_train_are_not_too_large():
    """A residual network of 256x256 in colour, as in the literature, is within every bound."""
    spec = ModelSpec(
        network=Residual(channels=(64, 128, 256, 512), hidden=512, encoder_blocks=1),
        latent=128,
        image=LARGE,
        prior=Flow(couplings=16, hidden=512),
    )
    assert excess(spec) is None


# --- a version that is too large is refused at once ---


def change_spec(root: Path, change: Callable[[dict[str, Any]], None], name: str = "tiny") -> None:
    folder = root / name / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest["spec"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "latent": lambda spec: spec.update(latent=10**18),
    "layers": lambda spec: spec["network"].update(hidden=[8] * 20_000),
    "widths": lambda spec: spec["network"].update(hidden=[60_000] * 60),
    "couplings": lambda spec: spec.update(prior={"couplings": 128, "hidden": 60_000}),
    "digits": lambda spec: spec.update(latent=10**4000),
}


@pytest.mark.parametrize("publish", ["float", "exact"])
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_version_that_is_too_large_is_refused_before_its_weights_are_read(
    tmp_path: Path, publish: str, change: Callable[[dict[str, Any]], None]
):
    if publish == "float":
        Store(tmp_path).publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    else:
        publish_exact(tmp_path, "tiny")
    change_spec(tmp_path, change)
    for path in (tmp_path / "tiny" / "1").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(ManifestError, match="spec"):
        Store(tmp_path).load(ModelRef.parse("tiny@1"))


def test_a_network_that_could_not_be_loaded_is_not_published(tmp_path: Path):
    huge = ModelSpec(network=MLP(hidden=(60_000, 60_000)), latent=3)
    with pytest.raises(PublishError, match=r"the network has 7,\d+,\d+,\d+ weights"):
        Store(tmp_path).publish("huge", tiny_description(huge), {}, card=a_card)


def test_a_preset_whose_network_could_not_be_published_is_refused():
    with pytest.raises(SettingError, match="weights, at most 268,435,456 are supported"):
        load_preset("lab", {"model.network.hidden": [60_000, 60_000]})


@pytest.mark.parametrize("field", ["kl_nats", "mean", "std"])
@pytest.mark.parametrize("values", [[], [0.5], [0.5] * 4])
def test_statistics_of_too_few_or_too_many_dimensions_are_refused(
    tmp_path: Path, field: str, values: list[float]
):
    Store(tmp_path).publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    folder = tmp_path / "tiny" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["latents"][field] = values
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
    with pytest.raises(ManifestError, match=rf"latents\.{field} has {len(values)} values for 3"):
        Store(tmp_path).load(ModelRef.parse("tiny@1"))


# --- exact networks ---


def silu(scale: float, highest: int = 100, channels: int = 4) -> SiluLevels:
    return SiluLevels(np.full(channels, scale, np.float32), highest, 12)


def convolution(padding: int, stride: int = 1) -> Convolution:
    one = np.ones((1, 1, 1, 1), np.int16)
    zero = np.zeros(1, np.int32)
    return Convolution(one, zero, zero, stride, padding)


def oversized() -> Dense:
    """A layer that says it has 2^28 + 1 weights, which all lie in the same two bytes."""
    weight = np.broadcast_to(np.ones(1, np.int16), (1, 2**28 + 1))
    zero = np.zeros(1, np.int32)
    return Dense(weight, zero, zero)


@pytest.mark.parametrize(
    ("operations", "problem"),
    [
        ((convolution(10**9), ReluLevels(9)), "values are too many"),
        ((convolution(1020), ReluLevels(9)) * 4100, "values are too many|takes too long"),
        ((convolution(1000), *[ReluLevels(9)] * 5000), "takes too long"),
        ((convolution(0), silu(1e-30, channels=1)), "take too long to check"),
        ((convolution(0), silu(1e-3, 2**23, channels=1)), "take too long to check"),
        ((oversized(),), "268,435,457 weights, at most"),
        ((Reshape("no shape"),), "reshape"),  # type: ignore[arg-type]
        ((convolution(0, stride="two"),), "convolution"),  # type: ignore[arg-type]
        ((ReluLevels([9]),), "relu_levels"),  # type: ignore[arg-type]
    ],
)
def test_an_exact_network_that_would_take_too_much_is_not_proved(
    operations: tuple[Operation, ...], problem: str
):
    network = exact_network("mlp")
    hostile = ExactNetwork(operations, network.decode)
    with pytest.raises(ProofError, match=problem):
        prove(hostile, SPECS["mlp"])


def test_a_wide_first_layer_is_summed_without_a_python_integer_for_each_weight():
    network = exact_network("mlp")
    first = network.decode[0]
    assert isinstance(first, LatentDense)
    weight = np.full_like(first.weight, 2**31 - 1)
    layer = LatentDense(weight, np.zeros_like(first.bias), first.exponent)
    with pytest.raises(
        ProofError, match=rf"a sum can reach {(2**31 - 1) * 2**24 * weight.shape[1]}"
    ):
        prove(ExactNetwork(network.encode, (layer, *network.decode[1:])), SPECS["mlp"])


def test_a_file_with_endless_operations_is_refused():
    network = exact_network("mlp")
    endless = ExactNetwork(network.encode + (ReluLevels(9),) * 5000, network.decode)
    with pytest.raises(CorruptVersionError, match="operations, at most 4096"):
        exact_file.from_bytes(exact_file.to_bytes(endless))


def test_a_program_that_is_nested_too_deeply_is_a_refusal(tmp_path: Path):
    publish_exact(tmp_path, "tiny")
    folder = tmp_path / "tiny" / "1"
    nested = "[" * 200_000
    header = json.dumps({"__metadata__": {"program": f"exact-1 {nested}"}}).encode()
    content = len(header).to_bytes(8, "little") + header
    (folder / "exact.safetensors").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["exact.safetensors"] = record(content).model_dump()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
    with pytest.raises(CorruptVersionError, match="tiny@1"):
        Store(tmp_path).load(ModelRef.parse("tiny@1"))
