import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from model_store.spec import MLP, ImageShape, ModelSpec
from tests.api.service import Service, pixels, publish, started

Z = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, 0.0]], np.float32)


def tensor(values: Any, name: str = "z", **other: Any) -> dict[str, Any]:
    shape = list(np.shape(values))
    return {"name": name, "shape": shape, "datatype": "FP32", "data": values} | other


def infer(service: Service, *inputs: dict[str, Any], **other: Any) -> httpx.Response:
    body = {"inputs": list(inputs), **other}
    return service.post("/v2/models/mnist/infer", json=body)


def output(answer: httpx.Response, name: str) -> Any:
    assert answer.status_code == 200, answer.text
    found = next(each for each in answer.json()["outputs"] if each["name"] == name)
    assert found["datatype"] == "FP32"
    return np.array(found["data"], np.float32).reshape(found["shape"])


def test_the_server_and_its_models_describe_themselves(service: Service) -> None:
    assert service.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert service.get("/v2/health/live").json() == {"live": True}
    assert service.get("/v2/health/ready").json() == {"ready": True}
    found = service.get("/v2/models/mnist").json()
    assert found["versions"] == ["1", "2"]
    shapes = {each["name"]: each["shape"] for each in found["inputs"] + found["outputs"]}
    assert shapes == {"z": [-1, 3], "image": [-1, 1, 28, 28], "mu": [-1, 3], "logvar": [-1, 3]}
    assert service.get("/v2/models/mnist/versions/2").json() == found
    for path in ("/v2/models/mnist/ready", "/v2/models/mnist/versions/2/ready"):
        assert service.get(path).json() == {"ready": True}


def test_inference_of_z_gives_the_image_of_decode(service: Service) -> None:
    answer = infer(service, tensor(Z.tolist()), id="mine")
    assert answer.json()["id"] == "mine"
    assert (answer.json()["model_name"], answer.json()["model_version"]) == ("mnist", "1")
    image = output(answer, "image")
    assert image.shape == (2, 1, 28, 28)
    decoded = pixels(service.post("/decode", json={"z": Z[:1].tolist()}))
    assert np.array_equal(np.floor(image[0, 0] * 255 + np.float32(0.5)).astype(np.uint8), decoded)
    flat = tensor(Z.ravel().tolist()) | {"shape": [2, 3]}
    assert np.array_equal(output(infer(service, flat), "image"), image)


def test_inference_of_an_image_gives_mu_and_logvar(service: Service) -> None:
    image = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    both = infer(service, tensor(image.tolist(), "image"))
    assert output(both, "mu").shape == output(both, "logvar").shape == (2, 3)
    one = infer(service, tensor(image.tolist(), "image"), outputs=[{"name": "logvar"}])
    assert [each["name"] for each in one.json()["outputs"]] == ["logvar"]
    assert np.array_equal(output(one, "logvar"), output(both, "logvar"))


def test_tensors_can_be_sent_as_raw_bytes(service: Service) -> None:
    head = {
        "inputs": [
            {
                "name": "z",
                "shape": [2, 3],
                "datatype": "FP32",
                "parameters": {"binary_data_size": 24},
            }
        ],
        "outputs": [{"name": "image", "parameters": {"binary_data": True}}],
    }
    encoded = json.dumps(head).encode()
    answer = service.post(
        "/v2/models/mnist/versions/1/infer",
        content=encoded + Z.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(encoded))},
    )
    length = int(answer.headers["inference-header-content-length"])
    found = json.loads(answer.content[:length])["outputs"][0]
    raw = answer.content[length:]
    assert found["parameters"]["binary_data_size"] == len(raw) == 2 * 784 * 4
    expected = output(infer(service, tensor(Z.tolist())), "image")
    assert np.array_equal(np.frombuffer(raw, np.float32).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"inputs": []}, "inputs"),
        ({}, "inputs"),
        ({"inputs": [tensor([[1.0, 2.0]])]}, "[1, 2]"),
        ({"inputs": [tensor([])]}, "[0]"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], shape=[2, 3])]}, "does not fit"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], shape=[-1, -3])]}, "does not fit"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], shape=[])]}, "does not fit"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], shape=[3, 1, 10**30])]}, "does not fit"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], datatype="FP64")]}, "FP32"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], name="x")]}, "either z or image"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]])] * 2}, "length 1"),
        ({"inputs": [tensor([0] * 210_000)]}, "more than the 200704 numbers"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], data=[[1.0, 2.0], [3.0]])]}, "not rectangular"),
        ({"inputs": [tensor([[1.0, True, 3.0]], shape=[1, 3])]}, "not an array of numbers"),
        ({"inputs": [tensor([], shape=[])]}, "[] does not fit 0 numbers"),
        ({"inputs": [tensor([], shape=[0, 3])]}, "[0, 3], [-1, 3] is expected"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], shape=[1] * 8 + [3])]}, "at most 8"),
        ({"inputs": [tensor([1.0], shape=[10**4000] * 2)]}, "4096 are allowed"),
        ({"inputs": [tensor([1.0], shape=[10**400] * 2)]}, "does not fit"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]], parameters={"a": [1]})]}, "Expected"),
        ({"inputs": [tensor([[1.0, 2.0, 3.0]])], "outputs": [{"name": "mu"}]}, "no mu"),
        ({"inputs": [tensor([[1e300, 2.0, 3.0]])]}, "finite"),
        ({"inputs": [tensor([["a", "b", "c"]])]}, "not an array of numbers"),
        ({"inputs": [{"name": "z", "shape": [1, 3], "datatype": "FP32"}]}, "fit"),
        ({"inputs": [tensor([[0.0] * 3] * 257)]}, "at most 256"),
        ({"inputs": [tensor([[[[2.0] * 28] * 28]], name="image")]}, "outside [0, 1]"),
        ({"inputs": [tensor(None, shape=[1, 3], parameters={"binary_data_size": 12})]}, "left"),
    ],
)
def test_an_invalid_request_is_refused_in_the_form_of_the_protocol(
    service: Service, computed: list[int], body: dict[str, Any], expected: str
) -> None:
    answer = service.post("/v2/models/mnist/infer", json=body)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert expected in answer.json()["error"]
    assert computed == []


@pytest.mark.parametrize(
    ("length", "content"),
    [("9999", b"{}"), ("-1", b"{}"), ("x", b"{}"), ("2", b"{"), (None, b"{"), ("9" * 5000, b"{}")],
)
def test_a_damaged_body_is_refused(
    service: Service, computed: list[int], length: str | None, content: bytes
) -> None:
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    answer = service.post("/v2/models/mnist/infer", content=content, headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert computed == []


def test_bytes_that_belong_to_no_tensor_are_refused(service: Service) -> None:
    head = json.dumps({"inputs": [tensor(Z.tolist())]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = service.post("/v2/models/mnist/infer", content=head + b"1234", headers=headers)
    assert "belong to no tensor" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nothing", 404),
        ("GET", "/v2/models/mnist/versions/9", 404),
        ("GET", "/v2/models/mnist/versions/9/ready", 404),
        ("GET", "/v2/models/a@b@c", 400),
        ("POST", "/v2/models/nothing/infer", 404),
    ],
)
def test_unknown_models_are_not_found(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = service.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("place", "parameter", "value"),
    [
        ("outputs", "classification", 3),
        ("outputs", "shared_memory_region", "mine"),
        ("outputs", "shared_memory_byte_size", 3136),
        ("inputs", "shared_memory_region", "mine"),
        ("inputs", "content_type", "base64"),
        ("request", "sequence_id", 7),
        ("request", "temperature", 0.5),
        ("request", "binary_data_output", "yes"),
        ("outputs", "binary_data", 1),
    ],
)
def test_a_parameter_that_is_not_supported_is_refused_by_its_name(
    service: Service, computed: list[int], place: str, parameter: str, value: object
) -> None:
    parameters = {"parameters": {parameter: value}}
    body: dict[str, Any] = {
        "inputs": [tensor(Z.tolist()) | (parameters if place == "inputs" else {})],
        "outputs": [{"name": "image"} | (parameters if place == "outputs" else {})],
    }
    answer = infer(
        service, *body.pop("inputs"), **body, **(parameters if place == "request" else {})
    )
    assert answer.status_code == 400
    assert parameter in answer.json()["error"]
    assert computed == []


def test_hints_that_change_no_number_are_accepted(service: Service) -> None:
    expected = infer(service, tensor(Z.tolist())).json()
    hints = {"priority": 1, "timeout": 1000, "binary_data_output": False}
    array = tensor(Z.tolist(), parameters={"content_type": "np"})
    assert infer(service, array, parameters=hints).json() == expected


def test_an_output_cannot_be_requested_twice(service: Service) -> None:
    answer = infer(service, tensor(Z.tolist()), outputs=[{"name": "image"}] * 2)
    assert answer.json() == {"error": "output image is repeated"}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_and_answers_can_be_compressed(service: Service, coding: str) -> None:
    compress = gzip.compress if coding == "gzip" else zlib.compress
    content = json.dumps({"inputs": [tensor(Z.tolist())]}).encode()
    plain = infer(service, tensor(Z.tolist()))
    headers = {"Content-Encoding": coding, "Accept-Encoding": coding}
    answer = service.post("/v2/models/mnist/infer", content=compress(content), headers=headers)
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == plain.content  # httpx decompresses it
    assert int(answer.headers["content-length"]) < len(plain.content)


def test_an_answer_is_not_compressed_unless_the_client_accepts_it(service: Service) -> None:
    content = json.dumps({"inputs": [tensor(Z.tolist())]})
    for accepted in ("identity", "br", "gzip;q=0", ""):
        answer = service.post(
            "/v2/models/mnist/infer", content=content, headers={"Accept-Encoding": accepted}
        )
        assert "content-encoding" not in answer.headers


def test_a_compressed_body_is_limited_after_decompression(store: Path) -> None:
    bomb = gzip.compress(b"[" * 3_000_000)
    with started(Settings(store=store, device="cpu", max_v2_body_bytes=2_000_000)) as service:
        answer = service.post(
            "/v2/models/mnist/infer", content=bomb, headers={"Content-Encoding": "gzip"}
        )
    assert answer.status_code == 413
    assert "2000000" in answer.json()["error"]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "identity, br"])
def test_other_content_codings_are_refused(service: Service, coding: str) -> None:
    answer = service.post("/v2/models/mnist/infer", headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models", 404),
        ("POST", "/v2/models/mnist/explain", 404),
        ("DELETE", "/v2/models/mnist", 405),
        ("GET", "/v2/models/mnist/infer", 405),
    ],
)
def test_errors_of_the_router_have_the_form_of_the_protocol(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = service.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert answer.headers["content-type"] == "application/json"
    assert ("allow" in answer.headers) == (status == 405)


def test_a_body_that_is_too_large_is_refused_in_the_form_of_the_protocol(store: Path) -> None:
    with started(Settings(store=store, device="cpu", max_v2_body_bytes=1000)) as service:
        answer = service.post("/v2/models/mnist/infer", content=b"x" * 1001)
    assert answer.status_code == 413
    assert list(answer.json()) == ["error"]


def test_a_model_that_is_not_ready_is_503_with_retry_after(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path, device="cpu", retry_after_s=7)
    with started(settings) as service:
        answer = service.get("/v2/health/ready")
    assert answer.status_code == 503
    assert list(answer.json()) == ["error"]
    assert answer.headers["retry-after"] == "7"


def test_a_call_beyond_the_rate_limit_is_429_with_retry_after(store: Path) -> None:
    settings = Settings(store=store, device="cpu", log_requests=False, rate_limit="1/minute")
    with started(settings) as service:
        assert infer(service, tensor(Z.tolist())).status_code == 200
        answer = infer(service, tensor(Z.tolist()))
    assert answer.status_code == 429
    assert list(answer.json()) == ["error"]
    assert int(answer.headers["retry-after"]) > 0


def test_the_largest_batch_of_colour_images_fits_into_a_body(tmp_path: Path) -> None:
    spec = ModelSpec(
        network=MLP(hidden=(4,)), latent=2, image=ImageShape(channels=3, height=32, width=32)
    )
    publish(tmp_path, "colour", spec=spec)
    images = np.random.default_rng(0).random((256, 3, 32, 32), np.float32)
    with started(Settings(store=tmp_path, model="colour", device="cpu")) as service:
        as_json = {"inputs": [tensor(images.tolist(), "image")]}
        answer = service.post("/v2/models/colour/infer", json=as_json)
        mu = output(answer, "mu")
        size = {"binary_data_size": images.nbytes}
        head = json.dumps({"inputs": [tensor(None, "image", shape=images.shape, parameters=size)]})
        raw = service.post(
            "/v2/models/colour/infer",
            content=head.encode() + images.tobytes(),
            headers={"Inference-Header-Content-Length": str(len(head))},
        )
    assert mu.shape == (256, 2)
    assert np.array_equal(output(raw, "mu"), mu)
