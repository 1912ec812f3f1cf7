"""The page's arithmetic, app/web/js/exact, on Node, against the reference."""

import base64
import functools
import hashlib
import json
import re
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store.arithmetic import rounding
from model_store.arithmetic.certificate import nearest_certified_scale
from model_store.arithmetic.executors import Executor
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.factors import RAW_EXPONENT, RAW_LIMIT, factor
from model_store.arithmetic.file import to_bytes
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import (
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    ExactNetwork,
    Fork,
    Function,
    Join,
    LatentDense,
    ReluLevels,
    Reshape,
    SiluLevels,
)
from model_store.arithmetic.rounding import DIGITS
from model_store.spec import MLP, Conv, Flow, ImageShape, ModelSpec, Residual
from tests.unit.arithmetic import networks
from tests.unit.arithmetic.networks import SPECS, exact_network, images

SCRIPT = Path(__file__).with_name("page_arithmetic.mjs")
OLDEST_NODE = (20, 19)
"""The first Node that loads a .js file as a module without being told so."""


@functools.cache
def _reason_to_skip() -> str:
    node = shutil.which("node")
    if node is None:
        return "node is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_NODE:
        return f"node {version.strip()} is older than {OLDEST_NODE[0]}.{OLDEST_NODE[1]}"
    return ""


@pytest.fixture(autouse=True)
def _node() -> None:
    if reason := _reason_to_skip():
        pytest.skip(reason)


def on_node(*calls: dict[str, Any]) -> list[Any]:
    """Return the results of calls of the page's arithmetic."""
    node = shutil.which("node")
    assert node
    text = json.dumps({"calls": calls})
    done = subprocess.run(
        [node, SCRIPT], input=text, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def packed(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def unpacked(text: str, dtype: Any = np.float32) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype)


def reference(function: Function, _: Any) -> Executor:
    return NumpyExecutor(function)


def model_file(folder: Path, network: ExactNetwork) -> str:
    path = folder / "exact.safetensors"
    path.write_bytes(to_bytes(network))
    return str(path)


# --- whole models ------------------------------------------------------------------------------


MORE_SPECS = {
    "convolution, flow": ModelSpec(
        network=Conv(channels=(3, 9), hidden=7, batch_norm=True, kernel=4),
        latent=5,
        image=ImageShape(height=11, width=9),
        prior=Flow(couplings=4, hidden=9),
    ),
    "colour, flow": ModelSpec(
        network=Residual(channels=(4, 8), hidden=10, encoder_blocks=1, decoder_blocks=2),
        latent=6,
        image=ImageShape(channels=3, height=8, width=12),
        likelihood="discretised_logistic",
        upload="resize",
        prior=Flow(couplings=2, hidden=8),
    ),
    "colour, linear": ModelSpec(
        network=MLP(hidden=(9, 17)),
        latent=2,
        image=ImageShape(channels=3, height=5, width=4),
        likelihood="discretised_logistic",
        upload="resize",
    ),
}


@pytest.fixture
def more_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, spec in MORE_SPECS.items():
        monkeypatch.setitem(networks.SPECS, kind, spec)


@pytest.mark.usefixtures("more_kinds")
@pytest.mark.parametrize("kind", [*SPECS, *MORE_SPECS])
def test_the_page_gives_the_bytes_of_the_reference(tmp_path: Path, kind: str) -> None:
    network, spec = exact_network(kind), networks.SPECS[kind]
    expected = ExactModel(network, spec, reference)
    levels = images(kind, 9, seed=2)
    rng = np.random.default_rng(1)
    u = rng.standard_normal((9, spec.latent)).astype(np.float32)
    far = (rng.standard_normal((33, spec.latent)) * 30).astype(np.float32)
    where = {
        "file": model_file(tmp_path, network),
        "spec": json.loads(spec.model_dump_json()),
    }
    names = ["decode", "decode", "decode", "encode", "posterior", "to_u", "to_z", "log_likelihood"]
    inputs = [u, u[4:5], far, levels, levels, u, u, u]
    calls = [
        {"call": name, "u": packed(x), "levels": packed(levels)} | where
        for name, x in zip(names, inputs, strict=True)
    ]
    *results, hashes = on_node(*calls, {"call": "hashes"} | where)

    def pair(arrays: Any) -> list[str]:
        return [packed(row) for array in arrays for row in array]

    assert results == [
        packed(expected.decode(u)),
        packed(expected.decode(u[4:5])),
        packed(expected.decode(far)),
        pair(expected.encode(levels)),
        pair(expected.posterior(levels)),
        packed(expected.to_u(u)),
        packed(expected.to_z(u)),
        packed(expected.log_likelihood(levels, u)),
    ]
    assert hashes == expected.hashes()


# --- operations --------------------------------------------------------------------------------


def layer_arrays(rng: Any, shape: tuple[int, ...], outs: int) -> dict[str, Any]:
    return {
        "weight": rng.integers(-90, 91, shape).astype(np.int16),
        "bias": rng.integers(-3000, 3000, outs).astype(np.int32),
        "exponent": rng.integers(3, 9, outs).astype(np.int32),
    }


def latent_layer(rng: Any, outs: int, latent: int) -> LatentDense:
    return LatentDense(
        weight=rng.integers(-(2**19), 2**19, (outs, latent)).astype(np.int32),
        bias=rng.integers(-(2**40), 2**40, outs).astype(np.int64),
        exponent=rng.integers(28, 33, outs).astype(np.int32),
    )


def silu(rng: Any, channels: int) -> SiluLevels:
    return SiluLevels(scale=rng.choice(certified_scales(), channels), highest=511, exponent=7)


@functools.cache
def certified_scales() -> Any:
    scales = [nearest_certified_scale(scale, 7, 511) for scale in (2.0, 20.0, 41.0, 60.0)]
    return np.array(scales, np.float32)


def random_convolutions(seed: int) -> tuple[Function, tuple[int, int, int]]:
    """Return two layers of random shapes, and the shape of their input."""
    rng = np.random.default_rng(seed)
    ins, middle, outs = (int(n) for n in rng.integers(1, 20, 3))
    kernel, other = (int(n) for n in rng.integers(1, 6, 2))
    stride, padding = int(rng.integers(1, 4)), int(rng.integers(0, kernel))
    apart = int(rng.integers(1, 4))
    shape = (ins, int(rng.integers(kernel, 12)), int(rng.integers(kernel, 12)))
    more = tuple(int(n) for n in rng.integers(0, apart, 2))
    function = (
        Convolution(
            **layer_arrays(rng, (middle, ins, kernel, kernel), middle),
            stride=stride,
            padding=padding,
        ),
        ReluLevels(highest=255),
        Deconvolution(
            **layer_arrays(rng, (middle, outs, other, other), outs),
            stride=apart,
            padding=int(rng.integers(0, other // 2 + 1)),
            output_padding=(more[0], more[1]),
        ),
    )
    return function, shape


def compare(tmp_path: Path, cases: list[tuple[Function, tuple[int, ...], float | None, Any]]):
    """Compare functions, given as (function, shape of the input, its bound, rows)."""
    calls = []
    for i, (function, shape, bound, rows) in enumerate(cases):
        (folder := tmp_path / str(i)).mkdir()
        network = ExactNetwork(encode=function, decode=())
        calls.append(
            {
                "call": "run",
                "name": "encode",
                "file": model_file(folder, network),
                "shape": shape,
                "bound": bound,
                "input": packed(rows),
            }
        )
    for result, (function, _, _, rows) in zip(on_node(*calls), cases, strict=True):
        assert not isinstance(result, dict), result
        expected = NumpyExecutor(function)(rows)
        assert result == packed(expected), function


def test_convolutions_of_any_shape_give_the_sums_of_the_reference(tmp_path: Path) -> None:
    cases: list[Any] = []
    for seed in range(60):
        function, shape = random_convolutions(seed)
        rows = np.random.default_rng(seed).integers(0, 256, (1 + seed % 11, *shape))
        if min(NumpyExecutor(function)(rows[:1].astype(np.float32)).shape) > 0:
            cases.append((function, shape, 255, rows.astype(np.float32)))
    assert len(cases) > 50
    compare(tmp_path, cases)


def test_layers_of_latents_and_activations_give_the_values_of_the_reference(tmp_path: Path) -> None:
    cases: list[Any] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        latent, hidden, channels = (int(n) for n in rng.integers(1, 30, 3))
        height, width = (int(n) for n in rng.integers(1, 6, 2))
        function = (
            latent_layer(rng, hidden, latent),
            silu(rng, hidden),
            Dense(
                **layer_arrays(rng, (channels * height * width, hidden), channels * height * width)
            ),
            Reshape(shape=(channels, height, width)),
            Fork(),
            Affine(
                scale=rng.integers(-99, 99, channels).astype(np.int16),
                bias=rng.integers(-5000, 5000, channels).astype(np.int32),
                exponent=rng.integers(0, 8, channels).astype(np.int32),
                limit=4096,
            ),
            silu(rng, channels),
            Convolution(
                **layer_arrays(rng, (channels, channels, 3, 3), channels), stride=1, padding=1
            ),
            Join(),
            ReluLevels(highest=1023),
            Reshape(shape=(channels * height * width,)),
            Dense(**layer_arrays(rng, (5, channels * height * width), 5)),
        )
        rows = (rng.standard_normal((13, latent)) * 9).astype(np.float32)
        cases.append((function, (latent,), None, rows))
    compare(tmp_path, cases)


def test_inputs_that_16_bits_cannot_hold_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for highest, fits in ((2**15 - 1, True), (2**15, False)):
        function = (
            latent_layer(rng, 3, 2),
            ReluLevels(highest=highest),
            Dense(**layer_arrays(rng, (1, 3), 1)),
        )
        path = model_file(tmp_path, ExactNetwork(encode=function, decode=()))
        call = {"call": "run", "name": "encode", "file": path, "shape": (2,), "bound": None}
        (result,) = on_node(call | {"input": packed(np.ones((1, 2), np.float32))})
        assert isinstance(result, str) == fits
        assert fits or "more than 16 bits" in result["error"]


def test_another_arithmetic_is_refused(tmp_path: Path) -> None:
    path = Path(model_file(tmp_path, exact_network("mlp")))
    path.write_bytes(path.read_bytes().replace(b"exact-1 ", b"exact-2 "))
    call = {"call": "hashes", "file": str(path), "spec": {}}
    (result,) = on_node(call | {"spec": json.loads(SPECS["mlp"].model_dump_json())})
    assert result == {"error": "UnsupportedError: The page does not know the arithmetic exact-2."}


# --- functions ---------------------------------------------------------------------------------


def test_the_tables_of_the_flow_are_those_of_the_reference() -> None:
    limit = RAW_LIMIT * 2**RAW_EXPONENT
    raw = (np.arange(-limit - 2, limit + 3) / 2**RAW_EXPONENT).astype(np.float32)
    logvar = (np.arange(-33 * 256, 33 * 256) / 256).astype(np.float32)
    factors, sigmas = on_node(
        {"call": "factors", "values": packed(raw)}, {"call": "sigmas", "values": packed(logvar)}
    )
    assert np.array_equal(unpacked(factors), factor(raw))
    grid = np.clip(logvar.astype(np.float64), -32, 32)
    assert np.array_equal(unpacked(sigmas), rounding.exp(grid / 2))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double has 53 bits here")
def test_no_library_can_round_an_entry_of_these_tables_wrongly() -> None:
    """Every entry is a hundred units of float64 away from a rounding boundary of float32."""
    limit = RAW_LIMIT * 2**RAW_EXPONENT
    raw = np.arange(-limit, limit + 1).astype(np.longdouble) / 2**RAW_EXPONENT
    logvar = np.arange(-8192, 8193).astype(np.longdouble) / 512
    for values in (np.exp(2 * np.tanh(raw / 2)), np.exp(logvar)):
        nearest = values.astype(np.float32)
        boundaries = [
            (nearest.astype(np.longdouble) + np.nextafter(nearest, np.float32(end))) / 2
            for end in (-np.inf, np.inf)
        ]
        distance = np.minimum(*(np.abs(values - boundary) for boundary in boundaries))
        assert (distance > 100 * np.spacing(values.astype(np.float64))).all()


def test_logarithms_are_correctly_rounded() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-40, 40, 2000))
    # ln of these lies as near to a rounding boundary as a float64 can bring it.
    halfway = np.arange(0.7, 3, 0.01).astype(np.float32).astype(np.float64) + 2.0**-25
    values = np.concatenate([values, np.exp(halfway), [1.0, 0.5, 2.0, 5e-324, 1e308]])
    (logs,) = on_node({"call": "logs", "values": packed(values)})
    assert np.array_equal(unpacked(logs), rounding.log(values))


def test_the_logarithm_that_decides_close_calls_has_fifty_digits() -> None:
    values = np.array([1.0, 2.0, 0.3, 1.75, 1e-30, 123456.789])
    (logs,) = on_node({"call": "exact_logs", "values": packed(values)})
    for value, text in zip(values, logs, strict=True):
        result = DIGITS.divide(Decimal(text), Decimal(2**200))
        error = DIGITS.subtract(result, DIGITS.ln(Decimal(float(value))))
        assert abs(error) < Decimal("1e-45")


def test_sha256_is_that_of_the_standard_library() -> None:
    contents = [bytes(range(n % 256)) * (n // 99 + 1) for n in (0, 1, 55, 56, 63, 64, 65, 119, 250)]
    hashes = on_node(
        *({"call": "sha256", "content": base64.b64encode(c).decode()} for c in contents)
    )
    assert hashes == [hashlib.sha256(content).hexdigest() for content in contents]
