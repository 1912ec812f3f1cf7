"""A result that float32 cannot hold is an error, never an image or a number."""

import asyncio
from collections.abc import Iterator, Sequence

import httpx
import numpy as np
import pytest

from app.settings import Settings
from model_store.store import Store
from tests.api.service import SPEC, Service, digit, pixels, problem, started
from tests.unit.models import a_card, tiny_description, tiny_weights

HUGE = [[3e38, -3e38, 3e38]]
INPUT = {"name": "z", "shape": [1, 3], "datatype": "FP32"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve `mnist`, whose decoder overflows for large z, and `wide`, whose sigma is infinite."""
    root = tmp_path_factory.mktemp("store")
    decoder, encoder = tiny_weights(0, SPEC), tiny_weights(0, SPEC)
    for name, tensor in decoder.items():
        if name.startswith("decoder.") and name.endswith("weight"):
            tensor.mul_(100)
    last = max(name for name in encoder if name.startswith("encoder.") and name.endswith("bias"))
    encoder[last].fill_(2000.0)  # mu and logvar of every image
    for name, weights in {"mnist": decoder, "wide": encoder}.items():
        Store(root).publish(name, tiny_description(SPEC), weights, card=a_card)
    with started(Settings(store=root, device="cpu", log_requests=False)) as service:
        yield service


@pytest.mark.parametrize("form", ["png", "json", "npz", "zip"])
def test_latents_for_which_the_decoder_overflows_are_refused(service: Service, form: str) -> None:
    answer = service.post(f"/decode?format={form}", json={"z": HUGE})
    error = problem(answer, 422, "not-finite")
    assert "decode overflows" in error["detail"]
    assert error["remedy"]


@pytest.mark.parametrize("binary", [False, True])
def test_v2_refuses_them_in_the_form_of_its_protocol(service: Service, binary: bool) -> None:
    body = {"inputs": [INPUT | {"data": HUGE[0]}], "parameters": {"binary_data_output": binary}}
    answer = service.post("/v2/models/mnist/infer", json=body)
    assert answer.status_code == 400
    assert "not finite" in answer.json()["error"]
    assert "NaN" not in answer.text


def test_other_rows_of_the_batch_are_answered(service: Service) -> None:
    both = service.portal.call(_both, service)
    assert [answer.status_code for answer in both] == [422, 200]
    alone = service.post("/decode", json={"z": [[0.5, 0.0, 0.0]]})
    assert both[1].content == alone.content


async def _both(service: Service) -> Sequence[httpx.Response]:
    return await asyncio.gather(
        service.client.post("/decode", json={"z": HUGE}),
        service.client.post("/decode", json={"z": [[0.5, 0.0, 0.0]]}),
    )


@pytest.mark.parametrize(
    "path",
    [
        "/encode?model=wide&format=json",
        "/encode?model=wide&format=npz",
        "/reconstruct?model=wide&format=json",
        "/augment?model=wide&n=2&seed=1",
        "/augment?model=wide&n=2&seed=1&format=json",
    ],
)
def test_a_posterior_beyond_float32_is_refused(service: Service, path: str) -> None:
    error = problem(service.post(path, files={"image": digit()}), 422, "not-finite")
    assert "float32" in error["detail"] or "not finite" in error["detail"]


def test_what_does_not_need_the_infinite_number_is_answered(service: Service) -> None:
    assert service.get("/generate?model=wide&n=1&seed=1").status_code == 200
    assert service.post("/reconstruct?model=wide", files={"image": digit()}).status_code == 200


def test_an_exact_version_limits_its_latents_instead() -> None:
    with started(Settings(model="notebook", device="cpu", log_requests=False)) as service:
        limit, huge = (
            pixels(service.post("/decode", json={"z": [[x, 0.0]]})) for x in (16.0, 3e38)
        )
        body = {"inputs": [INPUT | {"shape": [1, 2], "data": [3e38, 0]}]}
        answer = service.post("/v2/models/notebook/infer", json=body)
    assert np.array_equal(huge, limit)
    assert max(answer.json()["outputs"][0]["data"]) > 0.9
