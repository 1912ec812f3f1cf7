"""Use the wheels in an empty environment, as a user would: `make test-install`."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from scripts.answer_hashes import draw_uploads, model_requests
from tests.docs.scratch import free_port
from tests.e2e.server import CHECKOUT, serving
from tests.install.conftest import LIMIT_S, Environment
from tests.training.conftest import write_mnist

pytestmark = pytest.mark.install

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
MODELS = ("mnist@11", "lab@4", "faces@2")
IMPORT_ALL = """
import importlib, pkgutil, sys, zserve
EXTRAS = {"huggingface_hub", "mcp", "obstore", "pyarrow", "ray", "redis", "torch"}
wanted = sys.argv[1:]
names = [m.name for m in pkgutil.walk_packages(zserve.__path__, "zserve.", onerror=lambda _: None)]
count = 0
for name in names:
    if name.startswith(tuple(wanted)) and not name.endswith("__main__"):
        try:
            importlib.import_module(name)
            count += 1
        except ModuleNotFoundError as error:
            assert error.name.partition(".")[0] in EXTRAS, (name, error)
beside = {"app", "model_store", "training", "weights"} & set(sys.modules)
assert not beside, beside
print(count)
"""


@contextmanager
def served(environment: Environment, *options: str) -> Iterator[str]:
    """Run `zserve serve` of an environment; yield its address."""
    port = free_port()
    log = environment.folder / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                environment.folder / "venv" / "bin" / "zserve",
                "serve",
                "--port",
                str(port),
                *options,
            ],
            cwd=environment.folder / "work",
            env=environment.variables,
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{url}/readyz", timeout=LIMIT_S).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, log.read_text()


@pytest.fixture(scope="module", params=VERSIONS)
def environment(
    request: pytest.FixtureRequest,
    wheels: Path,
    new_environment: Callable[[str], Environment],
) -> Environment:
    """An environment with `zserve`, and nothing else but what it requires."""
    made = new_environment(request.param)
    made.install("zserve", wheels=wheels)
    return made


def test_nothing_lands_beside_zserve(environment: Environment):
    (site,) = (environment.folder / "venv").glob("lib/python*/site-packages")
    assert not {"app", "model_store", "training", "weights", "scripts"} & {
        path.name for path in site.iterdir()
    }
    count = environment.run("python", "-c", IMPORT_ALL, "zserve.app", "zserve.model_store")
    assert int(count) > 150


def test_the_command_serves_and_asks(environment: Environment):
    with served(environment, "--workers", "2") as url:
        environment.run(
            "zserve", "generate", "--n", "1", "--seed", "7", "--url", url, "--out", "a.png"
        )
        environment.run("zserve", "reconstruct", "a.png", "--url", url)
        assert "mnist@11" in environment.run("zserve", "models", "--url", url)
        page = httpx.get(f"{url}/", timeout=LIMIT_S)
        assert page.status_code == 200
        script = re.search(r'src="([^"]+\.js)"', page.text)
        assert script is not None
        code = httpx.get(f"{url}/{script[1].lstrip('/')}", timeout=LIMIT_S)
        assert "javascript" in code.headers["Content-Type"]
    assert (environment.folder / "work" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_start_seeds_the_store_of_the_user_and_later_ones_leave_it_alone(
    environment: Environment,
):
    listing = json.loads(environment.run("zserve", "models", "list", "--json"))
    assert {f"{each['name']}@{each['version']}" for each in listing} >= set(MODELS)
    models = environment.data / "models"
    assert (models / "mnist" / "8" / "manifest.json").is_file()
    environment.run("zserve", "models", "rm", "mnist-beta-0", "--all")
    environment.run("zserve", "models", "rename", "notebook", "my-notebook")
    environment.run("zserve", "models", "promote", "lab@4", "--alias", "mine")
    listing = json.loads(environment.run("zserve", "models", "list", "--json"))
    names = {each["name"] for each in listing}
    assert "mnist-beta-0" not in names
    assert "notebook" not in names
    assert "my-notebook" in names
    assert "mine" in next(each["aliases"] for each in listing if each["name"] == "lab")
    assert f"sound: {len(listing)} of {len(listing)} versions" in environment.run(
        "zserve", "models", "verify"
    )


def test_the_bytes_are_those_of_the_checkout(environment: Environment, tmp_path: Path):
    uploads = draw_uploads()
    requests = [request for model in MODELS for request in model_requests(model, uploads)][::7]
    weights = CHECKOUT / "weights"
    hashes = []
    with served(environment) as installed, serving(weights, tmp_path / "log") as checkout:
        for url in (installed, checkout):
            answers = [
                httpx.request(
                    r.method,
                    url + r.path,
                    headers=dict(r.headers),
                    content=r.body,
                    timeout=LIMIT_S,
                )
                for r in requests
                if r.kind == "bytes"
            ]
            hashes.append(
                [
                    (a.status_code, hashlib.sha256(a.content).hexdigest())
                    for a in answers
                    if a.is_success
                ]
            )
    assert len(hashes[0]) > 20
    assert hashes[0] == hashes[1]


LOAD = """
import sys
import numpy as np
from zserve import load
ours = load("lab@4").sample(3, seed=7)
with np.load("three.npz") as served:
    assert ours.dtype == np.uint8 and any(np.array_equal(ours, served[key]) for key in served)
assert not {"app", "model_store", "training"} & set(sys.modules)
"""


def test_a_program_loads_a_version_of_the_same_store(environment: Environment):
    with served(environment, "--model", "lab") as url:
        answer = httpx.get(f"{url}/generate?n=3&seed=7&model=lab@4&format=npz", timeout=LIMIT_S)
    (environment.folder / "work" / "three.npz").write_bytes(answer.content)
    environment.run("python", "-c", LOAD)


def test_commands_of_all_areas_are_there(environment: Environment):
    for words in ("models export", "models import", "latents", "models rm", "augment", "serve"):
        assert "usage: " in environment.run("zserve", *words.split(), "--help"), words


def test_the_doctor_finds_nothing_wrong_and_says_what_is(environment: Environment):
    assert "all is well" in environment.run("zserve", "doctor", ZSERVE_PORT=str(free_port()))
    with served(environment) as url:
        port = url.rpartition(":")[2]
        text = environment.run("zserve", "doctor", ZSERVE_PORT=port, status=1)
    assert f"WRONG  port         127.0.0.1:{port}" in text
    assert "-> stop what listens there" in text


def test_training_says_what_it_needs(environment: Environment):
    text = environment.run("zserve", "train", "--preset", "lab", status=1)
    assert "pip install 'zserve[train]'" in text
    assert len(text.splitlines()) == 1


def test_shells_complete_every_command(environment: Environment):
    for shell in ("bash", "zsh", "fish"):
        script = environment.run("zserve", "completion", shell)
        for word in ("serve", "generate", "prune", "--workers", "--keep"):
            assert word in script, (shell, word)
    check = f"{environment.folder}/completion.bash"
    Path(check).write_text(environment.run("zserve", "completion", "bash"))
    subprocess.run(["/bin/bash", "-n", check], check=True)


def test_the_client_alone_has_the_command_and_says_what_it_lacks(
    wheels: Path, new_environment: Callable[[str], Environment]
):
    environment = new_environment("3.11")
    environment.install("zserve-client", wheels=wheels)
    (site,) = (environment.folder / "venv").glob("lib/python*/site-packages")
    names = {path.name.partition("-")[0] for path in site.glob("*.dist-info")}
    assert names <= {"zserve_client", "httpx", "httpcore", "h11", "anyio", "certifi", "idna",
                     "sniffio", "typing_extensions"}  # fmt: skip
    assert "zserve is not installed" in environment.run("zserve", "--version")
    assert "only the client is installed" in environment.run("zserve", "serve", status=1)
    assert "only the client" in environment.run("zserve", "models", "list", status=1)


def test_both_distributions_share_the_command_in_either_order(
    wheels: Path, new_environment: Callable[[str], Environment]
):
    environment = new_environment("3.11")
    environment.install("zserve-client", wheels=wheels)
    before = (environment.folder / "venv/bin/zserve").read_text()
    environment.install("zserve", wheels=wheels)
    environment.install("zserve-client", "--reinstall-package", "zserve-client", wheels=wheels)
    assert (environment.folder / "venv/bin/zserve").read_text() == before
    assert "serve the models" in environment.run("zserve", "--help")


@pytest.fixture(scope="module")
def training_environment(
    wheels: Path, new_environment: Callable[[str], Environment]
) -> Environment:
    """An environment with `zserve[train]`, and few images as the data set."""
    made = new_environment("3.11")
    made.install("zserve[train]", wheels=wheels)
    write_mnist(made.folder / "data", train=256, test=32)
    return made


def train(environment: Environment, *options: str | Path) -> str:
    """Run `zserve train` for an epoch, and return what it prints."""
    line = ["zserve", "train", *options, "--epochs", "1", "--evaluation", "quick", "--threads", "1"]
    return environment.run(*line, ZSERVE_DATA_DIR=str(environment.folder / "data"))


def test_an_extra_trains_publishes_and_serves(training_environment: Environment):
    environment = training_environment
    data = str(environment.folder / "data")
    for version in (1, 2):
        assert f"published mine@{version}" in train(
            environment, "--preset", "lab", "--name", "mine"
        )
    text = environment.run("zserve", "evaluate", "mine", "--quick", ZSERVE_DATA_DIR=data)
    assert "mine@2, the newest version" in text
    environment.run("zserve", "models", "promote", "mine@2")
    assert (environment.data / "runs" / "mine" / "history.csv").is_file()
    with served(environment, "--model", "mine") as url:
        assert "mine@2" in environment.run("zserve", "models", "--url", url)
    assert int(environment.run("python", "-c", IMPORT_ALL, "zserve.training.")) > 80
    assert "usage: zserve train" in environment.run("zserve", "train", "--help")


def test_networks_of_a_package_train_and_serve(training_environment: Environment, wheels: Path):
    environment = training_environment
    for folder, preset in (("template", "mine.toml"), ("networks", "conditional.toml")):
        source = environment.folder / folder
        shutil.copytree(CHECKOUT / "examples" / folder, source)
        environment.install("--no-deps", str(source), wheels=wheels)
        text = train(environment, "--preset", source / preset, "--name", folder)
        assert f"published {folder}@1" in text
    with served(environment, "--model", "template") as url:
        for model in ("template", "networks"):
            line = ["zserve", "generate", "--n", "2", "--url", url, "--model", model]
            assert f"2 images of {model}@1" in environment.run(*line, "--out", f"{model}.png")


def test_uvx_runs_the_service_without_an_environment(wheels: Path, environment: Environment):
    uvx = environment.folder / "venv" / "bin" / "uvx"
    uvx.symlink_to(Path(CHECKOUT / ".venv" / "bin" / "uvx"))
    text = environment.run("uvx", "--find-links", str(wheels), "zserve", "serve", "--help")
    assert "usage: zserve serve" in text
