import asyncio

import numpy as np
import pytest

from app.inference.torch_executor import GPU_REFERENCE_BATCH
from app.sampling import latents
from model_store.spec import MLP, Flow, ModelSpec
from tests.unit.inference_models import (
    DIGITS,
    LAB,
    NO_GPU_REASON,
    NORMED,
    TINY,
    an_engine,
    loaded,
    random_images,
    stored,
)


def test_only_a_model_with_a_flow_maps_z_to_u() -> None:
    flow = ModelSpec(network=MLP(hidden=(8,)), latent=3, prior=Flow(couplings=2, hidden=4))
    assert "to_u" in loaded(flow).executor.input_shapes
    assert "to_u" not in loaded(TINY).executor.input_shapes


@pytest.mark.skipif(NO_GPU_REASON is not None, reason=f"no GPU: {NO_GPU_REASON}")
@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_captured_graphs_give_the_same_bytes_in_any_batch_and_nearly_those_of_a_cpu(
    spec: ModelSpec,
) -> None:
    model = stored(spec)
    z = latents.standard_normal(latents.consecutive_seeds(0, 600), spec.latent)

    async def run() -> None:
        gpu, cpu = (an_engine(device=device) for device in ("cuda", "cpu"))
        on_gpu, again = await gpu.warm_up(model), await gpu.warm_up(model)
        on_cpu = await cpu.warm_up(model)
        assert on_gpu.off_loop_functions == {"encode", "decode", "log_likelihood"}
        assert on_gpu.max_batch == on_gpu.reference_batch == GPU_REFERENCE_BATCH
        together = await gpu.decode(on_gpu, z)
        assert (await gpu.decode(again, z)).tobytes() == together.tobytes()
        for start, stop in [(0, 1), (7, 8), (100, 500), (599, 600)]:
            part = await gpu.decode(on_gpu, z[start:stop])
            assert part.tobytes() == together[start:stop].tobytes()
        levels = [np.rint(pixels * 255) for pixels in (together, await cpu.decode(on_cpu, z))]
        difference = np.abs(levels[0] - levels[1])
        assert difference.max() <= 1
        assert np.mean(difference > 0) <= 0.001
        mu, logvar = await gpu.encode(on_gpu, random_images(3))
        expected_mu, expected_logvar = await cpu.encode(on_cpu, random_images(3))
        assert np.allclose(mu, expected_mu, atol=1e-4)
        assert np.allclose(logvar, expected_logvar, atol=1e-4)
        gpu.close()
        cpu.close()

    asyncio.run(run())
