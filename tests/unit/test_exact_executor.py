"""Exact versions give the same bytes with every executor, in every batch, at every position."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from app.errors import TorchMissingError
from app.inference import exact_executor
from app.inference.backend import ChosenBackend
from app.inference.engine import Engine
from app.inference.exact_executor import ExactExecutor, fastest
from app.inference.executor import Function
from app.inference.fixed_results import result_hashes
from app.inference.torch_executor import TorchBackend, TorchExecutor
from app.inference.warm_up import warm_up
from app.sampling import latents
from app.typing import Floats
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.program import FlowMap
from model_store.preprocessing import from_bytes
from model_store.spec import ModelRef
from model_store.store import Store, StoredModel
from tests.unit.arithmetic.networks import SPECS, exact_network, images
from tests.unit.exact_versions import load_exact, tamper_golden_hash
from tests.unit.inference_models import TINY, stored


@pytest.fixture(params=SPECS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def version(tmp_path: Path, kind: str) -> StoredModel:
    return load_exact(tmp_path, kind)


def an_executor(version: StoredModel) -> ExactExecutor:
    executor = ChosenBackend("cpu").load(version)
    assert isinstance(executor, ExactExecutor)
    return executor


def some_inputs(kind: str, rows: int) -> dict[Function, tuple[Floats, ...]]:
    x = from_bytes(images(kind, rows))
    z = latents.standard_normal(latents.consecutive_seeds(0, rows), SPECS[kind].latent)
    return {"encode": (x,), "decode": (z,), "to_u": (z,), "log_likelihood": (x, z)}


def test_its_results_have_the_golden_hashes(version: StoredModel) -> None:
    hashes = result_hashes(an_executor(version), version.spec)
    assert hashes
    assert {name: version.golden[name] for name in hashes} == hashes


def test_torch_gives_the_same_results(version: StoredModel) -> None:
    executor = TorchBackend("cpu").load(version)
    assert isinstance(executor, ExactExecutor)
    assert result_hashes(executor, version.spec).items() <= version.golden.items()


def test_a_row_has_the_same_bytes_in_any_batch_and_at_any_position(
    version: StoredModel, kind: str
) -> None:
    executor = an_executor(version)
    inputs = some_inputs(kind, 20)
    for function in executor.input_shapes:
        together = executor.run(function, inputs[function])
        backwards = executor.run(function, [each[::-1].copy() for each in inputs[function]])
        for i in (0, 7, 19):
            alone = executor.run(function, [each[i : i + 1] for each in inputs[function]])
            for all_rows, reversed_rows, row in zip(together, backwards, alone, strict=True):
                assert row.tobytes() == all_rows[i].tobytes() == reversed_rows[19 - i].tobytes()


def test_decoded_images_are_grey_levels(version: StoredModel, kind: str) -> None:
    (decoded,) = an_executor(version).run("decode", some_inputs(kind, 3)["decode"])
    assert decoded.dtype == np.uint8


def test_images_are_rounded_to_grey_levels(version: StoredModel, kind: str) -> None:
    executor = an_executor(version)
    (x,) = some_inputs(kind, 2)["encode"]
    near = np.clip(x + np.float32(0.001), 0, 1)
    for one, other in zip(executor.run("encode", [x]), executor.run("encode", [near]), strict=True):
        assert np.array_equal(one, other)


def test_the_faster_library_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    program, shape = exact_network("mlp").decode, (SPECS["mlp"].latent,)
    seconds: dict[type, float] = {NumpyExecutor: 1.0, OnnxExecutor: 2.0}
    monkeypatch.setattr(exact_executor, "_seconds", lambda each, _batch: seconds[type(each)])
    assert isinstance(fastest(program, shape), NumpyExecutor)
    seconds[NumpyExecutor] = 3.0
    assert isinstance(fastest(program, shape), OnnxExecutor)


def test_convolutions_are_computed_by_onnx_runtime() -> None:
    assert isinstance(fastest(exact_network("conv").decode, (SPECS["conv"].latent,)), OnnxExecutor)


def test_flows_are_computed_by_onnx_runtime() -> None:
    latent = SPECS["flow"].latent
    flow = (FlowMap(exact_network("flow").flow, latent, inverse=True),)
    assert isinstance(fastest(flow, (latent,)), OnnxExecutor)


# --- warm-up ---


def test_a_warm_exact_model_takes_batches_of_any_size(version: StoredModel, kind: str) -> None:
    z = some_inputs(kind, 150)["decode"][0]
    (expected,) = an_executor(version).run("decode", [z])

    async def run() -> None:
        engine = Engine(ChosenBackend("cpu"), timeout_s=30)
        model = await engine.warm_up(version)
        assert model.exact
        assert model.arithmetic == "exact-1"
        assert model.max_batch in exact_executor.BATCHES
        assert [model.batch_size_for(rows) for rows in (1, 5, 16)] == [1, 5, 16]
        sizes = (1, 5, 150, 3)
        calls = (engine.decode_levels(model, z[:n].copy()) for n in sizes)
        for n, answer in zip(sizes, await asyncio.gather(*calls), strict=True):
            assert answer.tobytes() == expected[:n].tobytes()
        assert np.array_equal(await engine.decode(model, z), from_bytes(expected))
        engine.close()

    asyncio.run(run())


def test_larger_batches_are_used_only_if_they_are_quick(tmp_path: Path) -> None:
    version = load_exact(tmp_path)
    model = warm_up(
        version.manifest,
        an_executor(version),
        "cpu",
        golden=version.golden,
        max_large_batch_s=0.0,
    )
    assert model.max_batch == exact_executor.BATCHES[0]


def test_other_results_than_the_golden_hashes_are_served_as_float(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_exact(tmp_path)
    tamper_golden_hash(tmp_path)
    version = load_again(tmp_path)
    model = warm_up(version.manifest, an_executor(version), "cpu", golden=version.golden)
    assert not model.exact
    assert model.mismatches == ("decode",)
    assert model.arithmetic.startswith("float onnxruntime-")
    assert "exact@1: this machine's results of decode differ from the golden hashes" in caplog.text
    assert model.batch_size_for(5) in {16, *model.equivalent_batches}


def load_again(root: Path) -> StoredModel:
    return Store(root).load(ModelRef.parse("exact@1"))


def test_the_weights_in_memory_are_those_of_the_exact_network(tmp_path: Path) -> None:
    version = load_exact(tmp_path)
    model = warm_up(version.manifest, an_executor(version), "cpu", golden=version.golden)
    assert model.size_bytes == version.manifest.files["exact.safetensors"].size_bytes


# --- which library ---


def test_a_float_version_is_computed_by_torch() -> None:
    assert isinstance(ChosenBackend("cpu").load(stored(TINY)), TorchExecutor)


def test_a_float_version_without_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(TorchMissingError, match="tiny@1 is a float version"):
        ChosenBackend("cpu").load(stored(TINY))
