"""An unmodified tritonclient talks to the real server."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from model_store.store import SHIPPED, Store
from tests.e2e.server import serving

VERSION = str(Store(SHIPPED).versions("mnist")[-1])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    log = tmp_path_factory.mktemp("triton") / "server.log"
    with serving(SHIPPED, log) as url:
        address = url.removeprefix("http://").replace("localhost", "127.0.0.1")
        client = triton.InferenceServerClient(address)
        yield client
        client.close()


def ask(
    client: triton.InferenceServerClient, name: str, values: object, *, binary: bool = True
) -> triton.InferResult:
    values = np.asarray(values, np.float32)
    request = triton.InferInput(name, list(values.shape), "FP32")
    request.set_data_from_numpy(values, binary_data=binary)
    names = {"z": ["image"], "image": ["mu", "logvar"]}[name]
    outputs = [triton.InferRequestedOutput(output, binary_data=binary) for output in names]
    return client.infer("mnist", [request], outputs=outputs, request_id="7")


def test_it_sees_a_server_and_a_model_that_are_ready(
    client: triton.InferenceServerClient,
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mnist")
    assert client.is_model_ready("mnist", VERSION)
    assert not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "zserve"
    metadata = client.get_model_metadata("mnist", VERSION)
    assert [each["name"] for each in metadata["inputs"]] == ["z", "image"]
    assert metadata["versions"] == [VERSION]


@pytest.mark.parametrize("binary", [True, False])
def test_it_decodes_and_encodes(client: triton.InferenceServerClient, binary: bool) -> None:
    latent = client.get_model_metadata("mnist")["inputs"][0]["shape"][1]
    z = np.random.default_rng(0).standard_normal((3, latent)).astype(np.float32)
    decoded = ask(client, "z", z, binary=binary)
    image = decoded.as_numpy("image")
    assert decoded.get_response()["id"] == "7"
    assert image.shape == (3, 1, 28, 28)
    assert 0 <= image.min() < 0.1
    assert 0.9 < image.max() <= 1
    encoded = ask(client, "image", image, binary=binary)
    mu, logvar = encoded.as_numpy("mu"), encoded.as_numpy("logvar")
    assert mu.shape == logvar.shape == (3, latent)
    again = ask(client, "z", mu, binary=binary).as_numpy("image")
    assert np.abs(again - image).mean() < 0.05


def test_all_outputs_come_where_none_is_named(client: triton.InferenceServerClient) -> None:
    request = triton.InferInput("image", [1, 1, 28, 28], "FP32")
    request.set_data_from_numpy(np.zeros((1, 1, 28, 28), np.float32))
    result = client.infer("mnist", [request], model_version=VERSION)
    assert result.as_numpy("mu").shape == result.as_numpy("logvar").shape


def test_its_mistakes_are_told_in_its_own_words(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="is expected") as refused:
        ask(client, "z", [[1.0, 2.0]])
    assert refused.value.status() == "400"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_it_sends_and_reads_compressed_bodies(
    client: triton.InferenceServerClient, algorithm: str, binary: bool
) -> None:
    latent = client.get_model_metadata("mnist")["inputs"][0]["shape"][1]
    request = triton.InferInput("z", [2, latent], "FP32")
    request.set_data_from_numpy(np.ones((2, latent), np.float32), binary_data=binary)
    outputs = [triton.InferRequestedOutput("image", binary_data=binary)]
    plain = client.infer("mnist", [request], outputs=outputs)
    compressed = client.infer(
        "mnist",
        [request],
        outputs=outputs,
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert np.array_equal(compressed.as_numpy("image"), plain.as_numpy("image"))


def test_options_that_would_change_the_answer_are_refused_by_name(
    client: triton.InferenceServerClient,
) -> None:
    request = triton.InferInput("image", [1, 1, 28, 28], "FP32")
    request.set_data_from_numpy(np.zeros((1, 1, 28, 28), np.float32))
    classes = [triton.InferRequestedOutput("mu", class_count=3)]
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("mnist", [request], outputs=classes)
    shared = triton.InferRequestedOutput("mu")
    shared.set_shared_memory("region", 128)
    with pytest.raises(InferenceServerException, match="shared_memory_region"):
        client.infer("mnist", [request], outputs=[shared])
    with pytest.raises(InferenceServerException, match="sequence_id"):
        client.infer("mnist", [request], sequence_id=5, sequence_start=True)
    with pytest.raises(InferenceServerException, match="'style'"):
        client.infer("mnist", [request], parameters={"style": "bold"})
