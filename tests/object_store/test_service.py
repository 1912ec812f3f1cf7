"""The real service over a real S3 server that comes and goes."""

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store, open_store
from tests.e2e.server import run, serving
from tests.object_store.fault_proxy import Asked, Fault, FaultProxy
from tests.object_store.server import Server

pytestmark = pytest.mark.objects

MODEL = "lab"


@pytest.fixture
def store(address: str) -> Store:
    """Three versions of a small model, of which the first is in production."""
    shipped = Store(SHIPPED)
    store = open_store(address)
    for _ in range(3):
        shipped.copy(shipped.resolve(ModelRef(name=MODEL)), into=store)
    store.set_alias(MODEL, "production", 1)
    return store


@contextmanager
def service(address: str, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """Run a service whose cache is in the folder."""
    variables = {
        "ZSERVE_MODEL": MODEL,
        "ZSERVE_STORE_CACHE": str(folder / "cache"),
        "ZSERVE_ADMIN_TOKEN": "secret",
    } | variables
    with (
        serving(address, folder / "log", **variables) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Return True as soon as the condition holds, or False after a generous time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def served(client: httpx.Client) -> str:
    return client.get("/generate?seed=1").raise_for_status().headers["x-model"]


def metric(client: httpx.Client) -> str:
    lines = client.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("zserve_store_unavailable")).split()[-1]


def test_a_promotion_elsewhere_and_one_by_the_service_are_served(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    with service(address, tmp_path) as client:
        assert served(client) == "lab@1"
        store.set_alias(MODEL, "production", 2)
        assert within(20, lambda: served(client) == "lab@2")
        answer = client.put(
            f"/models/{MODEL}/aliases/production",
            json={"version": 3},
            headers={"Authorization": "Bearer secret"},
        )
        assert answer.json()["aliases"] == {"production": 3}
        assert served(client) == "lab@3"
        assert store.aliases(MODEL) == {"production": 3}


def test_workers_of_a_machine_ask_as_often_as_one_and_fetch_a_file_once(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    with service(address, tmp_path, ZSERVE_WORKERS="2") as client:
        assert served(client) == "lab@1"
        begun, first = time.monotonic(), len(proxy.asked)
        time.sleep(4)
        later = proxy.asked[first:]
        polls = [asked for asked in later if asked.path.endswith("aliases.json")]
        elapsed_s = time.monotonic() - begun
        assert 1 <= len(polls) <= elapsed_s + 2
        got = (asked.path for asked in proxy.asked if asked.method == "GET")
        files = [path for path in got if path.endswith(".safetensors")]
        assert len(files) == len(set(files)) > 0


def test_no_request_fails_while_the_store_is_away_for_a_minute(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    """Only one model stays in memory, so that the requests load versions from the cache."""
    with service(address, tmp_path, ZSERVE_MAX_LOADED_MODELS="1") as client:
        names = ["lab", "lab@2", "lab@3"]
        for name in names:
            client.get(f"/generate?model={name}").raise_for_status()
        expected = {name: client.get(f"/generate?model={name}&seed=5").content for name in names}
        ends = threading.Event()
        wrong: list[object] = []

        def load() -> None:
            for name in itertools.cycle(names):
                if ends.is_set():
                    return
                answer = client.get(f"/generate?model={name}&seed=5")
                if answer.status_code != 200 or answer.content != expected[name]:
                    wrong.append((name, answer.status_code, answer.text[:200]))

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for leave, away_s in ((lambda: setattr(proxy, "away", True), 60), (stall(proxy), 3)):
                leave()
                assert within(30, lambda: "degraded" in client.get("/readyz").json())
                assert within(5, lambda: metric(client) == "1.0")
                assert client.get("/models").json()["models"][0]["name"] == MODEL
                time.sleep(away_s)
                proxy.away, proxy.plan = False, lambda _: None
                assert within(30, lambda: "degraded" not in client.get("/readyz").json())
                assert within(5, lambda: metric(client) == "0.0")
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[:3]
        store.set_alias(MODEL, "production", 2)
        assert within(20, lambda: served(client) == "lab@2")


def stall(proxy: FaultProxy) -> Callable[[], None]:
    def leave() -> None:
        proxy.plan = lambda _: Fault.STALLED

    return leave


def test_a_service_starts_from_the_cache_while_the_store_is_away(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    with service(address, tmp_path) as client:
        before = client.get("/generate?seed=5").content
    proxy.away = True
    with service(address, tmp_path) as client:
        assert client.get("/generate?seed=5").content == before
        assert "does not answer" in client.get("/readyz").json()["degraded"][0]
        refused = client.put(
            f"/models/{MODEL}/aliases/production",
            json={"version": 1},
            headers={"Authorization": "Bearer secret"},
        )
        assert refused.status_code == 503
        assert refused.json()["type"] == "/problems/store-unavailable"
        proxy.away = False
        store.set_alias(MODEL, "production", 2)
        assert within(20, lambda: served(client) == "lab@2")


def test_a_bad_network_delays_a_start_and_fails_no_request(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    kinds = itertools.cycle(
        [None, Fault.BUSY, None, Fault.BROKEN_OFF, None, Fault.CUT, Fault.DROPPED]
    )

    def plan(asked: Asked) -> Fault | None:
        fault = next(kinds)
        return None if fault is Fault.CUT and not asked.path.endswith("safetensors") else fault

    proxy.plan = plan
    with service(address, tmp_path) as client:
        assert served(client) == "lab@1"
        for name in ("lab@2", "lab@3"):
            assert within(30, functools.partial(answers, client, name))


def answers(client: httpx.Client, name: str) -> bool:
    return client.get(f"/generate?model={name}").is_success


# --- what keeps it from starting ---


def refusal(address: str, folder: Path, **variables: str) -> str:
    """Start a service that cannot start; return its one line."""
    options = ["--port", "0", "--store", address]
    environ = {"ZSERVE_MODEL": MODEL, "ZSERVE_STORE_CACHE": str(folder / "cache")} | variables
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        done = run("-m", "app", *options)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_wrong_credentials_keep_it_from_starting_even_with_a_cache(
    proxy: FaultProxy, store: Store, server: Server, address: str, tmp_path: Path
):
    with service(address, tmp_path) as client:
        served(client)
    wrong = {server.secret: server.wrong_secret}
    assert "the credentials are refused" in refusal(address, tmp_path, **wrong)


def test_a_store_that_is_away_keeps_it_from_starting_without_a_copy_of_the_default_model(
    proxy: FaultProxy, store: Store, address: str, tmp_path: Path
):
    with service(address, tmp_path) as client:
        served(client)
    proxy.away = True
    assert "the cache has no copy of lab" in refusal(address, tmp_path / "other")
    assert "the cache has no copy of mnist" in refusal(address, tmp_path, ZSERVE_MODEL="mnist")
