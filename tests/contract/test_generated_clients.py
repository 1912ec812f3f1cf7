"""Clients that three generators make from /openapi.json upload a digit and read its PNG."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model_store.store import SHIPPED
from tests.contract.environment import HERE, INSTALLED, draw_digit, node_program, program, run
from tests.e2e.server import serving

pytestmark = pytest.mark.contract

OPENAPI_PYTHON_CLIENT = """
import sys
from io import BytesIO
from pathlib import Path
from generated import Client
from generated.api.images import reconstruct
from generated.api.models import list_models, show_figure, show_version
from generated.api.v2_protocol import v2_infer, v2_model
from generated.models import InferenceRequest, InputTensor, InputTensorName, ReconstructFilesBody
from generated.types import File

url, digit, answer, figure = sys.argv[1:]
client = Client(base_url=url)
image = File(payload=BytesIO(Path(digit).read_bytes()), file_name="1.png", mime_type="image/png")
png = reconstruct.sync(client=client, body=ReconstructFilesBody(image=[image]))
Path(answer).write_bytes(png.payload.read())
png = show_figure.sync("mnist", "production", "samples", client=client)
Path(figure).write_bytes(png.payload.read())
assert list_models.sync(client=client).models
manifest = show_version.sync("mnist", "production", client=client).manifest
assert "error" in v2_model.sync("nothing", client=client).to_dict()
n = manifest.spec.latent
z = InputTensor(name=InputTensorName.Z, shape=[1, n], datatype="FP32", data=[0.0] * n)
outputs = v2_infer.sync("mnist", client=client, body=InferenceRequest(inputs=[z])).outputs
assert len(outputs[0].data) == 784
"""

OPENAPI_GENERATOR = """
import sys
from pathlib import Path
import generated

url, digit, answer, figure = sys.argv[1:]
client = generated.ApiClient(generated.Configuration(host=url))
upload = ("1.png", Path(digit).read_bytes())
Path(answer).write_bytes(generated.ImagesApi(client).reconstruct([upload], format="png"))
models = generated.ModelsApi(client)
Path(figure).write_bytes(models.show_figure("mnist", "production", "samples"))
assert models.list_models().models
manifest = models.show_version("mnist", "production").manifest
v2 = generated.V2ProtocolApi(client)
try:
    v2.v2_model("nothing")
except generated.ApiException as error:
    assert error.status == 404 and error.data.error
n = manifest.spec.latent
z = generated.InputTensor(name="z", shape=[1, n], datatype="FP32", data=[0.0] * n)
outputs = v2.v2_infer("mnist", inference_request=generated.InferenceRequest(inputs=[z])).outputs
assert len(outputs[0].data) == 784
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(SHIPPED, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture
def folder(url: str, tmp_path: Path) -> Path:
    """Return a folder with the API description and a digit."""
    document = httpx.get(f"{url}/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    draw_digit(tmp_path / "digit.png")
    return tmp_path


def check_answers(url: str, folder: Path) -> None:
    """Check that the client saved what the service answers to other clients."""
    files = {"image": (folder / "digit.png").read_bytes()}
    answer = httpx.post(f"{url}/reconstruct", files=files)
    assert answer.headers["content-type"] == "image/png"
    assert (folder / "answer.png").read_bytes() == answer.content
    figure = httpx.get(f"{url}/models/mnist/production/figures/samples.png")
    assert (folder / "figure.png").read_bytes() == figure.content


def run_client(script: str, url: str, folder: Path) -> None:
    (folder / "upload.py").write_text(script)
    # -W ignore: the warnings of generated code are not ours.
    arguments = ["upload.py", url, "digit.png", "answer.png", "figure.png"]
    run([program("python"), "-W", "ignore", *arguments], folder)


def test_openapi_python_client(url: str, folder: Path) -> None:
    config = HERE / "openapi-python-client.yaml"
    generate = ["generate", "--path", "openapi.json", "--output-path", "generated"]
    options = ["--meta", "none", "--config", str(config)]
    messages = run([program("openapi-python-client"), *generate, *options], folder)
    assert "Cannot parse" not in messages, messages
    run_client(OPENAPI_PYTHON_CLIENT, url, folder)
    check_answers(url, folder)


def test_openapi_generator(url: str, folder: Path) -> None:
    generate = ["generate", "-i", "openapi.json", "-g", "python", "-o", "."]
    run([program("openapi-generator-cli"), *generate, "--package-name", "generated"], folder)
    run_client(OPENAPI_GENERATOR, url, folder)
    check_answers(url, folder)


def test_orval(url: str, folder: Path) -> None:
    output = {"mode": "single", "target": "./client.ts", "client": "fetch", "baseUrl": url}
    config = {"zserve": {"input": "./openapi.json", "output": output}}
    (folder / "orval.config.mjs").write_text(f"export default {json.dumps(config)};\n")
    (folder / "upload.ts").write_text((HERE / "upload.ts").read_text())
    (folder / "node_modules").symlink_to(INSTALLED / "node" / "node_modules")
    run([node_program("orval"), "--config", "orval.config.mjs"], folder)
    options = ["--bundle", "--platform=node", "--format=esm", "--outfile=upload.mjs"]
    run([node_program("esbuild"), "upload.ts", *options], folder)
    run(["node", "upload.mjs", "digit.png", "answer.png", "figure.png"], folder)
    check_answers(url, folder)
