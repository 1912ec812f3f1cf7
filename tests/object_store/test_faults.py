"""Publishers, readers and promotions over a network that fails, with a real S3 server behind it.

What must hold: nothing is lost, no version is seen in part, and no number is given twice.
"""

import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_store.errors import (
    ModelNotFoundError,
    PublishError,
    StoreAccessError,
    StoreUnavailableError,
)
from model_store.spec import ModelRef
from model_store.store import Store, open_store
from model_store.store.cli import main
from tests.object_store.fault_proxy import Asked, Fault, FaultProxy
from tests.object_store.server import Server
from tests.unit.exact_versions import publish_exact

pytestmark = pytest.mark.objects

REF = ModelRef.parse("exact@1")
PASSING = [Fault.DROPPED, Fault.LOST_ANSWER, Fault.BUSY, Fault.BROKEN_OFF, Fault.DELAYED]
"""Faults after which the same request, made again, succeeds."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A folder with one version of a few files."""
    folder = tmp_path_factory.mktemp("source")
    publish_exact(folder)
    return Store(folder)


class Once:
    """Fails one request, counted from now."""

    def __init__(self, fault: Fault, at: int) -> None:
        self.fault = fault
        self.left = at

    def __call__(self, _: Asked) -> Fault | None:
        self.left -= 1
        return self.fault if self.left == -1 else None


def requests_of_a_publish(proxy: FaultProxy, source: Store, server: Server) -> int:
    """Return how many requests publishing the version takes if nothing fails."""
    before = len(proxy.asked)
    source.copy(REF, into=open_store(server.new_address()))
    return len(proxy.asked) - before


def assert_whole(store: Store, versions: tuple[int, ...]) -> None:
    assert store.versions("exact") == versions
    for version in versions:
        store.verify(ModelRef(name="exact", version=version))


# --- publishing ---


@pytest.mark.parametrize("fault", PASSING)
def test_a_request_that_fails_once_costs_a_publisher_nothing(
    proxy: FaultProxy, source: Store, server: Server, fault: Fault
):
    steps = requests_of_a_publish(proxy, source, server)
    assert steps > len(source.files(REF))
    for step in range(steps):
        store = open_store(server.new_address())
        proxy.plan = Once(fault, step)
        assert source.copy(REF, into=store).version == 1
        assert_whole(store, (1,))


@pytest.mark.parametrize("fault", PASSING)
def test_a_training_is_not_refused_for_one_request_that_fails(
    proxy: FaultProxy, address: str, fault: Fault
):
    for step in range(2):  # an object is created, and deleted
        proxy.plan = Once(fault, step)
        open_store(address).check_writable()


_PUBLISH = """
import sys
from pathlib import Path
from model_store.spec import ModelRef
from model_store.store import Store, open_store
Store(Path(sys.argv[1])).copy(ModelRef.parse("exact@1"), into=open_store(sys.argv[2]))
"""


def run_and_kill(proxy: FaultProxy, command: list[str], at: int, fault: Fault) -> int:
    """Kill a process when the proxy has its request number `at`; return its exit status."""
    process = subprocess.Popen([sys.executable, *command])
    fail = Once(fault, at)

    def plan(asked: Asked) -> Fault | None:
        planned = fail(asked)
        if planned is not None:
            os.kill(process.pid, signal.SIGKILL)
        return planned

    proxy.plan = plan
    status = process.wait(timeout=60)
    proxy.plan = lambda _: None
    return status


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.LOST_ANSWER])
def test_a_publisher_killed_at_any_request_leaves_whole_versions_only(
    proxy: FaultProxy, source: Store, server: Server, fault: Fault
):
    """The server does the last request of the publisher, or never sees it."""
    steps = requests_of_a_publish(proxy, source, server)
    for step in range(steps):
        address = server.new_address()
        store = open_store(address)
        command = ["-c", _PUBLISH, str(source.root), address]
        assert run_and_kill(proxy, command, step, fault) == -signal.SIGKILL
        complete = step == steps - 1 and fault is Fault.LOST_ANSWER
        if complete:
            assert_whole(store, (1,))
        else:
            with pytest.raises(ModelNotFoundError):
                store.versions("exact")
        version = source.copy(REF, into=store).version
        assert_whole(store, (1, version) if complete else (version,))


def test_publishers_at_the_same_time_over_a_bad_network_lose_nothing(
    proxy: FaultProxy, source: Store, address: str
):
    chance = random.Random(7)

    def plan(_: Asked) -> Fault | None:
        return chance.choice(PASSING) if chance.random() < 0.1 else None

    proxy.plan = plan
    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(lambda _: source.copy(REF, into=open_store(address)), range(12)))
    proxy.plan = lambda _: None
    published = sorted(manifest.version for manifest in manifests)
    assert len(set(published)) == 12
    assert_whole(open_store(address), tuple(published))


def test_a_reader_never_sees_a_version_before_its_last_file(
    proxy: FaultProxy, source: Store, address: str
):
    seen: list[tuple[str, ...]] = []
    reader = open_store(address)

    def plan(asked: Asked) -> None:
        if asked.method == "PUT" and len(seen) < 100:
            proxy.plan = lambda _: None
            seen.append(reader.names())
            proxy.plan = plan

    proxy.plan = plan
    source.copy(REF, into=open_store(address))
    assert len(seen) > len(source.files(REF))
    assert set(seen) == {()}
    assert_whole(reader, (1,))


# --- reading ---


@pytest.mark.parametrize("fault", [*PASSING, Fault.CUT])
def test_a_request_that_fails_once_costs_a_reader_nothing(
    proxy: FaultProxy, source: Store, address: str, fault: Fault
):
    store = open_store(address)
    source.copy(REF, into=store)
    before = len(proxy.asked)
    expected = store.load(REF)
    steps = len(proxy.asked) - before
    assert steps > len(expected.manifest.files)
    for step in range(steps):
        proxy.plan = Once(fault, step)
        name = proxy.asked[before + step].path.rpartition("/")[2]
        if fault is Fault.CUT and name not in expected.manifest.files:
            continue  # nothing tells the reader what is missing; a sealed manifest is refused
        assert store.load(REF).golden == expected.golden


# --- aliases ---


@pytest.mark.parametrize("fault", PASSING)
def test_a_promotion_over_a_bad_network_is_made_once(
    proxy: FaultProxy, source: Store, address: str, fault: Fault
):
    store = open_store(address)
    for _ in range(2):
        source.copy(REF, into=store)
    for step in range(8):
        version = 1 + step % 2
        proxy.plan = Once(fault, step % 4)
        store.set_alias("exact", "production", version)
        assert store.aliases("exact") == {"production": version}


def test_promotions_at_the_same_time_over_a_bad_network_are_all_kept(
    proxy: FaultProxy, source: Store, address: str
):
    source.copy(REF, into=open_store(address))
    chance = random.Random(8)

    def plan(_: Asked) -> Fault | None:
        return chance.choice(PASSING) if chance.random() < 0.1 else None

    proxy.plan = plan
    aliases = [f"alias-{i}" for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda alias: open_store(address).set_alias("exact", alias, 1), aliases))
    proxy.plan = lambda _: None
    assert set(open_store(address).aliases("exact")) == {"production", *aliases}


# --- transfers ---


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.LOST_ANSWER])
def test_a_push_killed_at_any_request_is_continued_by_the_same_command(
    proxy: FaultProxy,
    source: Store,
    address: str,
    fault: Fault,
    capsys: pytest.CaptureFixture[str],
):
    command = ["-m", "model_store", "--store", str(source.root), "push", "--to", address]
    step = 0
    while run_and_kill(proxy, command, step, fault) == -signal.SIGKILL:
        step += 1
    assert step > len(source.files(REF))
    assert main(command[2:]) == 0
    assert "0 versions copied" in capsys.readouterr().out
    assert main(["--store", str(source.root), "verify", "--against", address]) == 0
    assert open_store(address).files(REF) == source.files(REF)


def test_files_that_arrived_before_the_kill_are_not_sent_again_in_other_bytes(
    proxy: FaultProxy, source: Store, address: str, tmp_path: Path
):
    """A pull into a folder begins its version again; a push keeps the objects that are there."""
    push = ["-m", "model_store", "--store", str(source.root), "push", "--to", address]
    run_and_kill(proxy, push, 6, Fault.LOST_ANSWER)
    assert main(push[2:]) == 0
    pull = ["-m", "model_store", "--store", str(tmp_path / "copy"), "pull", "--from", address]
    run_and_kill(proxy, pull, 4, Fault.DROPPED)
    assert main(pull[2:]) == 0
    assert Store(tmp_path / "copy").files(REF) == source.files(REF)


# --- what does not pass ---


def test_wrong_credentials_and_a_missing_bucket_are_named(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
):
    kind = "container" if server.scheme == "az" else "bucket"
    missing = open_store(f"{server.scheme}://no-such-bucket/models")
    with pytest.raises(StoreAccessError, match=f"there is no such {kind}"):
        missing.names()
    if server.scheme == "az":  # SeaweedFS creates a bucket that is written
        with pytest.raises(PublishError, match="there is no such container"):
            missing.check_writable()
    monkeypatch.setenv(server.secret, server.wrong_secret)
    with pytest.raises(StoreAccessError, match="the credentials are refused"):
        open_store(address).names()


def test_a_server_that_stays_away_is_named_after_several_attempts(
    proxy: FaultProxy, address: str, monkeypatch: pytest.MonkeyPatch
):
    proxy.plan = lambda _: Fault.BUSY
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        open_store(address).names()
    assert len(proxy.asked) == 8
