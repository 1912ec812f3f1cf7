"""Kill, drain and roll pods while clients use them: no request fails.

There is no cluster here. A pod is the real service as a process, with the variables, the probes and the
times of its manifest; what the kubelet and the endpoints controller do is done by the test: ask the
readiness probe, take a pod out of the proxy, wait as preStop does, send SIGTERM, wait for the grace
period. The proxy is Debian's HAProxy.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.chaos.load import Kind, Load, Outcome
from benchmarks.chaos.service import Service, free_port
from tests.kubernetes.manifests import container, pod_spec, variables

HAPROXY = shutil.which("haproxy")
pytestmark = pytest.mark.skipif(
    HAPROXY is None, reason="haproxy is not installed; `make test-kubernetes` installs it"
)

NAME = "zserve"
CLIENTS: dict[Kind, int] = {"kept-alive": 2, "slow": 2, "fresh": 2, "upload": 1, "stream": 1}
CONFIGURATION = """
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
frontend clients
    bind 127.0.0.1:{port}
    default_backend pods
backend pods
    balance roundrobin
    server-template pod 1-4 127.0.0.1:1 disabled
"""


class Proxy:
    """HAProxy, whose servers are added and removed as endpoints are."""

    def __init__(self, port: int, admin: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._admin = admin
        self._free = [1, 2, 3, 4]
        self._slots: dict[Service, int] = {}

    def add(self, pod: Service) -> None:
        """Send requests to a pod."""
        slot = self._slots[pod] = self._free.pop(0)
        self._ask(f"set server pods/pod{slot} addr 127.0.0.1 port {pod.url.rpartition(':')[2]}")
        self._ask(f"set server pods/pod{slot} state ready")

    def remove(self, pod: Service) -> None:
        """Send no further request to a pod; those that it has are answered."""
        slot = self._slots.pop(pod)
        self._ask(f"set server pods/pod{slot} state drain")

    def is_ready(self) -> bool:
        return self._admin.exists()

    def _ask(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._admin))
            connection.sendall(f"{command}\n".encode())
            answer = connection.makefile().read().strip()
        assert not answer or "IP changed" in answer or "port changed" in answer, answer


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="zserve-proxy-") as folder:
        port, admin = free_port(), Path(folder) / "admin"
        configuration = Path(folder) / "haproxy.cfg"
        configuration.write_text(CONFIGURATION.format(socket=admin, port=port))
        command = [str(HAPROXY), "-db", "-q", "-f", str(configuration)]
        process = subprocess.Popen(command)  # noqa: ASYNC220 - nothing else runs
        try:
            proxy = Proxy(port, admin)
            async with asyncio.timeout(20):
                while not proxy.is_ready():  # noqa: ASYNC110 - a file tells it
                    await asyncio.sleep(0.05)
            yield proxy
        finally:
            process.terminate()
            process.wait(timeout=20)


class Cluster:
    """Starts and deletes pods as the manifest says."""

    def __init__(self, proxy: Proxy, stack: AsyncExitStack) -> None:
        self.proxy = proxy
        self._stack = stack
        self.pods: list[Service] = []

    async def start(self) -> Service:
        """Start a pod, and send requests to it when its readiness probe succeeds."""
        given = variables(container(NAME))
        port = free_port()
        own = {"ZSERVE_HOST": "127.0.0.1", "ZSERVE_PORT": str(port), "OMP_NUM_THREADS": "1"}
        workers = int(given.pop("ZSERVE_WORKERS"))
        pod = await self._stack.enter_async_context(
            Service(workers=workers, port=port, **{**given, **own})  # type: ignore[arg-type]
        )
        async with asyncio.timeout(container(NAME)["startupProbe"]["failureThreshold"]):
            while not await is_ready(pod):  # noqa: ASYNC110 - as a kubelet asks
                await asyncio.sleep(0.1)
        self.proxy.add(pod)
        self.pods.append(pod)
        return pod

    async def delete(self, pod: Service) -> None:
        """Delete a pod; raises TimeoutError if it does not end within its grace period."""
        self.pods.remove(pod)
        self.proxy.remove(pod)
        await asyncio.sleep(container(NAME)["lifecycle"]["preStop"]["sleep"]["seconds"])
        await pod.stop(signal.SIGTERM, pod_spec(NAME)["terminationGracePeriodSeconds"])


async def is_ready(pod: Service) -> bool:
    """Ask the readiness probe once."""
    path = container(NAME)["readinessProbe"]["httpGet"]["path"]
    async with httpx.AsyncClient(timeout=5) as client:
        try:
            return (await client.get(pod.url + path)).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def cluster(pods: int) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        cluster = Cluster(await stack.enter_async_context(proxy()), stack)
        for _ in range(pods):
            await cluster.start()
        yield cluster


async def latent_size(url: str) -> int:
    async with httpx.AsyncClient() as client:
        return len((await client.get(f"{url}/generate?n=1&format=json")).json()["images"][0]["z"])


def assert_nothing_failed(outcome: Outcome) -> None:
    assert outcome.lost == []
    assert outcome.failed == {}
    assert outcome.unconnected == 0
    assert outcome.answered > 100


def test_a_rolling_update_loses_no_request() -> None:
    async def roll() -> Outcome:
        async with cluster(2) as pods:

            async def update() -> None:
                await asyncio.sleep(1)
                for old in list(pods.pods):
                    await pods.start()
                    await pods.delete(old)
                await asyncio.sleep(1)

            return await Load(pods.proxy.url, CLIENTS, await latent_size(pods.proxy.url)).during(
                update
            )

    assert_nothing_failed(asyncio.run(roll()))


def test_draining_a_node_loses_no_request() -> None:
    """The budget lets one pod go at a time, and the other one answers meanwhile."""

    async def drain() -> Outcome:
        async with cluster(2) as pods:

            async def evict() -> None:
                await asyncio.sleep(1)
                await pods.delete(pods.pods[0])
                await asyncio.sleep(1)

            return await Load(pods.proxy.url, CLIENTS, await latent_size(pods.proxy.url)).during(
                evict
            )

    assert_nothing_failed(asyncio.run(drain()))


def test_a_killed_pod_costs_no_request_of_which_no_answer_was_begun() -> None:
    """The proxy asks another pod; an answer of which a part was sent, as a long archive, is lost."""
    clients: dict[Kind, int] = {kind: count for kind, count in CLIENTS.items() if kind != "stream"}

    async def kill() -> Outcome:
        async with cluster(2) as pods:

            async def crash() -> None:
                await asyncio.sleep(1)
                victim = pods.pods[0]
                for pid in [victim.process.pid, *victim.workers]:
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(3)  # meanwhile the proxy still tries it
                pods.pods.remove(victim)
                pods.proxy.remove(victim)
                await pods.start()
                await asyncio.sleep(1)

            return await Load(pods.proxy.url, clients, await latent_size(pods.proxy.url)).during(
                crash
            )

    assert_nothing_failed(asyncio.run(kill()))
