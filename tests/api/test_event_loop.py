"""No request within the limits holds the event loop for long, or costs much CPU.

All other requests of a worker, and /healthz, wait while the loop is held. Both are measured as CPU
time, which does not depend on what else the machine does.
"""

import io
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.asgi import create_app
from app.settings import Settings
from tests.api import large_bodies
from tests.api.heartbeat import Watched, watched
from tests.api.large_bodies import Attack
from tests.api.service import SPEC, digit, publish, publish_moving
from tests.unit.exact_versions import publish_compressing
from tests.unit.models import reseal

HOLD_S = 0.05
CPU_S = 0.5
SIZE = 1_000_000
HEAD_SIZE = 60_000
WIDE = 2048
"""Latent dimensions."""
WIDE_ROWS = 8
"""Latents of so many dimensions that fit into a body of 1 MiB."""

PARAMETERS = {
    "name": "mnist",
    "version": "1",
    "figure": "samples",
    "file": "encoded_images.safetensors",
    "alias": "production",
}
APP = create_app(Settings(device="cpu"))
PATIENT: dict[str, Any] = {"device": "cpu", "log_requests": False, "upload_cpu_s": 10.0}
"""Settings with which a slow machine prepares 256 digits, too."""
OPERATIONS = [
    (method.upper(), path.format(**PARAMETERS))
    for path, operations in APP.openapi()["paths"].items()
    for method in operations
]
OTHER_PATHS = ("/", "/docs", "/openapi.json", "/static/nothing", "/nothing", "/v2/nothing")


def body_limit(path: str) -> int:
    """Return the number of bytes that a body of this path may have."""
    (limits,) = [each.kwargs for each in APP.user_middleware if "max_body_bytes" in each.kwargs]
    first = "/" + path[1:].partition("/")[0]
    limit = limits["others"].get(first, limits["max_body_bytes"])  # type: ignore[attr-defined]
    assert isinstance(limit, int)
    return limit


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    store = tmp_path_factory.mktemp("store")
    publish(store, "mnist")
    publish_moving(store, "moving")
    publish_compressing(store, "exact")
    settings = Settings(store=store, admin_token="secret", **PATIENT)
    with watched(create_app(settings)) as service:
        yield service


def attacks(method: str, path: str) -> Iterator[Attack]:
    """Yield large requests to an endpoint."""
    yield from large_bodies.json_bodies(SIZE)
    if path == "/decode":
        yield from large_bodies.latents_bodies(SIZE)
    if path in {"/edit", "/traverse"}:
        yield from large_bodies.moves(SIZE, HEAD_SIZE)
    if path.endswith("/infer"):
        yield from large_bodies.v2_bodies(SIZE)
    if path.endswith("/aliases/production"):
        for title, value in large_bodies.json_values(3000):
            yield Attack(f"version: {title}", b'{"version":' + value + b"}")
    if method == "POST":
        yield from large_bodies.forms(SIZE)
    yield from large_bodies.other_bodies(SIZE)
    yield from large_bodies.queries(HEAD_SIZE)
    yield from large_bodies.headers(HEAD_SIZE)


def measured(service: Watched, method: str, path: str, **options: Any) -> tuple[int, float, float]:
    """Send a request; return its status, the longest hold of the loop, and the CPU time (s)."""
    service.heartbeat.longest_s = 0.0
    before = time.process_time()
    answer = service.client.request(method, path, **options)
    time.sleep(0.002)  # for the beat after the last callback of the request
    return answer.status_code, service.heartbeat.longest_s, time.process_time() - before


@pytest.mark.parametrize(
    ("method", "path"), [*OPERATIONS, *(("POST", path) for path in OTHER_PATHS)]
)
def test_no_large_request_holds_the_loop_or_costs_much(
    service: Watched, method: str, path: str
) -> None:
    slow = {}
    for attack in attacks(method, path):
        headers = {"Content-Type": attack.content_type} | attack.headers
        url = f"{path}?{attack.query}"
        status, hold_s, cpu_s = measured(
            service, method, url, content=attack.content, headers=headers
        )
        assert status < 500, attack.title
        if hold_s > HOLD_S or cpu_s > CPU_S:
            slow[attack.title] = (hold_s, cpu_s)
    assert slow == {}


@pytest.mark.parametrize(
    "path",
    [path for method, path in OPERATIONS if method == "POST" and body_limit(path) > 2 * SIZE],
)
def test_no_body_of_the_largest_size_holds_the_loop(service: Watched, path: str) -> None:
    slow = {}
    size = body_limit(path) - 1000
    numbers = Attack("zeros", large_bodies.JSON_VALUES["zeros"](size))
    for attack in (*islice(large_bodies.forms(size), 2), numbers):
        headers = {"Content-Type": attack.content_type}
        status, hold_s, _ = measured(service, "POST", path, content=attack.content, headers=headers)
        assert status < 500, attack.title
        if hold_s > HOLD_S:
            slow[attack.title] = hold_s
    assert slow == {}


@pytest.mark.parametrize("kind", ["zeros", "empty arrays"])
@pytest.mark.parametrize("name", ["data", "shape", "parameters"])
def test_the_largest_v2_body_holds_the_loop_no_longer(
    service: Watched, kind: str, name: str
) -> None:
    value = large_bodies.JSON_VALUES[kind](23 * SIZE)
    members = {"shape": b"[1,3]", "data": b"[1,2,3]"} | {name: value}
    tensor = b",".join(b'"%s":%s' % (k.encode(), v) for k, v in members.items())
    content = b'{"inputs":[{"name":"z","datatype":"FP32",%s}]}' % tensor
    status, hold_s, _ = measured(service, "POST", "/v2/models/mnist/infer", content=content)
    assert status == 400
    assert hold_s < HOLD_S


def v2(name: str, values: list[Any]) -> dict[str, Any]:
    tensor = {"name": name, "shape": list(np.shape(values)), "datatype": "FP32", "data": values}
    return {"json": {"inputs": [tensor]}}


@pytest.mark.parametrize("path", OTHER_PATHS)
def test_the_pages_do_not_hold_the_loop(service: Watched, path: str) -> None:
    status, hold_s, _ = measured(service, "GET", path)
    assert status in {200, 404}
    assert hold_s < HOLD_S


def large_answers(
    latent: int, moving: str, rows: int = 256, archived: int = 2048
) -> list[tuple[str, dict[str, Any]]]:
    """Return paths with a query, and options of requests for as much as the limits allow.

    `moving` names a model with as many latent dimensions and the direction `slant`. Bodies have
    `rows` latents, and `archived` if the answer is an archive.
    """
    z = np.linspace(-1, 1, rows * latent).reshape(rows, latent).tolist()
    pixels = np.linspace(0, 1, 256 * 784).reshape(256, 1, 28, 28).tolist()
    return [
        ("/generate?n=256&format=json", {}),
        ("/generate?n=256&format=json&pixels=true", {}),
        ("/generate?n=256&format=npz", {}),
        ("/generate?n=256&scale=4", {}),
        ("/generate?n=2000&format=zip", {}),
        ("/decode?format=json", {"json": {"z": z}}),
        ("/decode?format=zip", {"json": {"z": z * (archived // rows)}}),
        ("/encode?format=json", {"files": [("image", digit())] * 256}),
        ("/reconstruct", {"files": [("image", digit())] * 256}),
        ("/reconstruct?format=json&pixels=true", {"files": [("image", digit())] * 256}),
        ("/reconstruct?format=zip", {"files": [("image", digit())] * 256}),
        ("/augment?n=256&format=json", {"files": {"image": digit()}}),
        ("/interpolate?steps=254&seed_a=1&seed_b=2&format=gif", {}),
        ("/interpolate?steps=254&seed_a=1&seed_b=2&format=apng&path=slerp", {}),
        ("/traverse?steps=85&format=json&pixels=true", {}),
        (f"/traverse?model={moving}&direction=slant&steps=256&format=json&pixels=true", {}),
        (f"/edit?model={moving}&direction=slant&format=json&pixels=true", {"json": {"z": z}}),
        (f"/edit?model={moving}&direction=slant&format=npz", {"files": [("image", digit())] * 256}),
        ("/score?draws=4096", {"files": {"image": digit()}}),
        ("/score?draws=16", {"files": [("image", digit())] * 256}),
        ("/v2/models/mnist/infer", v2("z", z)),
        ("/v2/models/mnist/infer", v2("image", pixels)),
    ]


@pytest.mark.parametrize(("path", "options"), large_answers(3, "moving"))
def test_no_large_answer_holds_the_loop(
    service: Watched, path: str, options: dict[str, Any]
) -> None:
    status, hold_s, _ = measured(service, "POST", path, **options)
    assert status == 200
    assert hold_s < HOLD_S


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Serve a model with WIDE latent dimensions."""
    store = tmp_path_factory.mktemp("wide")
    publish(store, "mnist", spec=SPEC.model_copy(update={"latent": WIDE}))
    publish_moving(store, "moving", latent=WIDE)
    with watched(create_app(Settings(store=store, **PATIENT))) as service:
        yield service


@pytest.mark.parametrize(("path", "options"), large_answers(WIDE, "moving", WIDE_ROWS, WIDE_ROWS))
def test_no_large_answer_of_a_model_with_many_dimensions_holds_the_loop(
    wide: Watched, path: str, options: dict[str, Any]
) -> None:
    status, hold_s, _ = measured(wide, "POST", path, **options)
    assert status == 200
    assert hold_s < HOLD_S


def test_no_large_file_of_images_holds_the_loop(service: Watched) -> None:
    file = io.BytesIO()
    np.savez(file, images=np.random.default_rng(0).integers(0, 256, (1000, 9, 8), np.uint8))
    options: dict[str, Any] = {
        "content": file.getvalue(),
        "headers": {"Content-Type": "application/x-npz"},
    }
    status, hold_s, _ = measured(service, "POST", "/compress?model=exact", **options)
    assert status == 200
    assert hold_s < HOLD_S
    content = service.client.post("/compress?model=exact", **options).content
    options = {"content": content, "headers": {"Content-Type": "application/octet-stream"}}
    status, hold_s, _ = measured(service, "POST", "/decompress", **options)
    assert status == 200
    assert hold_s < HOLD_S


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
@pytest.mark.parametrize("kind", ["json", "weights"])
def test_no_large_file_of_a_version_holds_the_loop(tmp_path: Path, coding: str, kind: str) -> None:
    """Versions that somebody else has made may have large manifests and weights."""
    if kind == "json":
        publish(tmp_path, "mnist")
        folder = tmp_path / "mnist" / "1"
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["training"]["settings"] = {f"setting{i}": i / 7 for i in range(50_000)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        reseal(folder)
        path = "/models/mnist/1"
    else:
        publish_compressing(tmp_path, "mnist")
        path = "/models/mnist/1/files/exact.safetensors"
    with watched(create_app(Settings(store=tmp_path, device="cpu"))) as service:
        status, hold_s, _ = measured(service, "GET", path, headers={"Accept-Encoding": coding})
    assert status == 200
    assert hold_s < HOLD_S


def test_the_heartbeat_sees_work_on_the_loop(tmp_path: Path) -> None:
    publish(tmp_path, "mnist")
    app = create_app(Settings(store=tmp_path, device="cpu"))

    @app.get("/hold", include_in_schema=False)
    async def hold() -> None:
        until = time.thread_time() + 2 * HOLD_S
        while time.thread_time() < until:
            pass

    with watched(app) as service:
        assert measured(service, "GET", "/hold")[1] >= 2 * HOLD_S
