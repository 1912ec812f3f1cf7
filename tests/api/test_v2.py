import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.api.service import Service, pixels

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
        ({"inputs": [tensor([[1.0, 2.0, 3.0]])] * 2}, "is repeated"),
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


def test_a_compressed_body_is_refused(service: Service) -> None:
    answer = service.post("/v2/models/mnist/infer", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
