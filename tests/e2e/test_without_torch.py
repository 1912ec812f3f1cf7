"""Services in processes of their own: without torch, and with fewer CPU instructions."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import publish
from tests.e2e.server import CHECKOUT
from tests.unit.exact_versions import publish_exact

CALL = """
import asyncio, hashlib, json, sys
if sys.argv[3] == "hide torch":
    sys.modules["torch"] = None  # importing it raises ModuleNotFoundError
import httpx
from pathlib import Path
from app.asgi import create_app
from app.settings import Settings

PATHS = ("/generate?n=40&seed=3", "/generate?n=2&seed=3&format=json", "/generate?n=3&seed=5&format=npz")

async def main(store, model):
    settings = Settings(store=Path(store), model=model, log_requests=False)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answers = [await client.get(path + "&model=" + model) for path in PATHS]
            ready = await client.get("/readyz")
    print(json.dumps({
        "torch": sys.modules.get("torch") is not None,
        "status": [answer.status_code for answer in answers],
        "bodies": [hashlib.sha256(answer.content).hexdigest() for answer in answers],
        "etag": answers[0].headers.get("etag"),
        "cache": answers[0].headers.get("cache-control"),
        "ready": ready.json(),
    }))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""

ON_CPU = {"ZSERVE_DEVICE": "cpu"}
LIMITED = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
}
"""Variables by which libraries compute without AVX and AVX2."""


def call_service(
    store: Path, model: str, *, hide_torch: bool = False, env: dict[str, str] | None = None
) -> Any:
    """Start the service in a new process, and return what it answers as JSON."""
    command = [sys.executable, "-c", CALL, str(store), model, "hide torch" if hide_torch else ""]
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=os.environ | ON_CPU | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    for kind in ("mlp", "conv", "flow"):
        publish_exact(root, kind, kind)
    publish(root, "float")
    return root


@pytest.mark.parametrize("model", ["mlp", "conv", "flow"])
def test_an_exact_version_is_served_without_importing_torch(store: Path, model: str) -> None:
    answers = call_service(store, model)
    assert answers["status"] == [200, 200, 200]
    assert not answers["torch"]
    assert call_service(store, model, hide_torch=True) == answers


def test_a_float_version_without_torch_is_refused_in_plain_words(store: Path) -> None:
    answers = call_service(store, "float", hide_torch=True)
    assert answers["status"] == [503, 503, 503]
    assert answers["ready"]["type"] == "/problems/not-ready"
    assert "float@1 is a float version" in answers["ready"]["detail"]
    assert "PyTorch is not installed" in answers["ready"]["detail"]
    assert "make install TORCH=cpu" in answers["ready"]["remedy"]


@pytest.mark.parametrize("model", ["mlp", "conv", "flow"])
def test_exact_answers_and_etags_do_not_depend_on_the_instruction_set(
    store: Path, model: str
) -> None:
    full = call_service(store, f"{model}@1")
    limited = call_service(store, f"{model}@1", env=LIMITED)
    assert full["cache"] == "max-age=31536000, immutable"
    assert limited == full


def test_float_answers_are_not_said_to_be_independent_of_the_machine(store: Path) -> None:
    full = call_service(store, "float@1")
    limited = call_service(store, "float@1", env=LIMITED)
    assert full["cache"] == limited["cache"] == "no-cache"
    if full["bodies"] != limited["bodies"]:
        assert full["etag"] != limited["etag"]
