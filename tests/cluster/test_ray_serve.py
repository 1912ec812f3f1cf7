"""The app on three nodes of a Ray cluster, all on this machine; `make test-cluster` runs this."""

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

pytest.importorskip("ray", reason="ray is not installed; `make test-cluster` installs it")
from PIL import Image
from ray import serve

from tests.cluster.loads import CLIENTS, load
from tests.cluster.nodes import CHECKOUT, HOST, Cluster, cluster, free_port, until

NODES = 3
SCALING = {
    "min_replicas": 1,
    "max_replicas": 3,
    "target_ongoing_requests": 1,
    "upscale_delay_s": 1,
    "downscale_delay_s": 2,
    "look_back_period_s": 11,
}
THREE = {"min_replicas": 3, "max_replicas": 3}
VERSIONS = (5, 6)
TOKEN = "a-token-for-tests"


def fast_proxy(folder: Path) -> dict[str, str]:
    """Return the variables of Ray's fast mode: HAProxy, with its files in a folder."""
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }


def publish_copy(store: Path, version: int) -> None:
    """Publish the shipped model `lab` again, under another version."""
    (shipped,) = (path for path in (CHECKOUT / "weights" / "lab").iterdir() if path.is_dir())
    folder = store / "lab" / str(version)
    shutil.copytree(shipped, folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"version": version}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


@dataclass
class Service:
    """The app on a cluster, whose head node has the proxy."""

    cluster: Cluster
    url: str
    options: dict[str, int] = field(default_factory=dict)

    def run(self, options: dict[str, int]) -> None:
        """Deploy the app with these options, if it is not, and wait until it answers."""
        if options == self.options:
            return
        self.options = options
        arguments = [f"{name}={value}" for name, value in options.items()]
        done = self.cluster.run(
            *("serve", "run", "--non-blocking", "--name", "zserve"), "app.ray_serve:app", *arguments
        )
        assert done.returncode == 0, done.stderr
        until(lambda: httpx.get(f"{self.url}/readyz", timeout=30).status_code == 200)

    def replicas(self) -> int:
        """Return the number of replicas that answer requests."""
        (deployment,) = serve.status().applications["zserve"].deployments.values()
        return int(deployment.replica_states.get("RUNNING", 0))


@pytest.fixture(scope="module", params=["default proxy", "fast proxy"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("ray")
    for version in VERSIONS:
        publish_copy(folder / "store", version)
    variables = {
        "ZSERVE_STORE": str(folder / "store"),
        "ZSERVE_MODEL": "lab",
        "ZSERVE_ADMIN_TOKEN": TOKEN,
        "ZSERVE_DEVICE": "cpu",
    }
    sockets = Path(tempfile.mkdtemp(prefix="zr-"))  # short: HAProxy has sockets in it
    if request.param == "fast proxy":
        variables |= fast_proxy(sockets)
    with cluster(NODES, variables) as started:
        port = free_port()
        # The nodes of this machine share its ports, so one of them has the proxy.
        start = ["serve", "start", "--http-host", HOST, "--http-port", str(port)]
        start += ["--proxy-location", "HeadOnly"]
        until(lambda: started.run(*start).returncode == 0)  # Ray gives a proxy 60 s to start
        yield Service(started, f"http://{HOST}:{port}")
        serve.shutdown()  # otherwise this process would ask the controller of this cluster again
    shutil.rmtree(sockets)


def test_every_kind_of_call_is_answered_as_without_ray(service: Service):
    service.run(SCALING)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        png = client.get("/generate?n=4&seed=7")
        assert png.headers["X-Seed"] == "7"
        assert len(png.headers.get_list("X-Request-ID")) == 1
        known = client.get("/generate?n=4&seed=7", headers={"If-None-Match": png.headers["ETag"]})
        assert known.status_code == 304
        photo = {"image": ("photo.jpeg", jpeg(1200), "image/jpeg")}
        assert client.post("/reconstruct", files=photo).status_code == 200
        archive = client.get("/generate?n=600&format=zip&seed=1")
        assert archive.headers["Content-Type"] == "application/zip"
        assert archive.content[:2] == b"PK"
        assert client.get("/").status_code == 200
        problem = client.get("/generate?n=0")
        assert (problem.status_code, problem.json()["type"]) == (422, "/problems/limit-exceeded")
        assert client.head("/healthz").status_code == 200
        assert "zserve_" in client.get("/metrics").text


def jpeg(side: int) -> bytes:
    with io.BytesIO() as file:
        Image.linear_gradient("L").resize((side, side)).save(file, "jpeg")
        return file.getvalue()


def test_replicas_follow_the_load_up_and_down(service: Service):
    service.run(SCALING)
    until(lambda: service.replicas() == 1)
    with load(service.url) as sent:
        until(lambda: service.replicas() == 3)
    until(lambda: service.replicas() == 1)
    assert sent.failures == []


def test_a_promotion_reaches_all_replicas_within_seconds(service: Service):
    service.run(THREE)
    until(lambda: service.replicas() == 3)
    with load(service.url, images=1) as sent:
        for version in VERSIONS:
            answer = httpx.put(
                f"{service.url}/models/lab/aliases/production",
                json={"version": version},
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=120,
            )
            assert answer.status_code == 200, answer.text
            expected = {f"lab@{version}"}
            until(lambda: models(service.url) == expected, longest_s=30)  # noqa: B023 - called now
    assert sent.failures == []


def models(url: str) -> set[str]:
    """Return the versions that answer 60 requests, each over a new connection."""
    answers = [httpx.get(f"{url}/generate?n=1&seed={i}", timeout=120) for i in range(60)]
    return {answer.headers["X-Model"] for answer in answers}


def test_a_lost_node_loses_only_its_requests_in_flight(service: Service):
    service.run(THREE)
    until(lambda: service.replicas() == 3)
    with load(service.url) as sent:
        until(lambda: sent.answers > 30)
        killed = service.cluster.kill_one()
        answers = sent.answers
        until(lambda: sent.answers > answers + 600)
    assert [failure for failure in sent.failures if failure.started > killed] == []
    assert len(sent.failures) <= CLIENTS, sent.failures
    until(lambda: service.cluster.alive() == NODES - 1)
    service.cluster.add(1)
    until(lambda: service.replicas() == 3)
