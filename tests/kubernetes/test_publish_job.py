"""The commands of the Job that publishes, run on folders of this machine."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from model_store.store import SHIPPED, Store
from tests.kubernetes.manifests import EXAMPLES, Resource, resource

CHECKOUT = EXAMPLES.parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("model_store.store.transfer") is None,
    reason="this version of model_store cannot push to another store",
)


def commands(store: Path) -> list[list[str]]:
    """Return the commands of the Job in their order, on a store of this machine."""
    spec: Resource = resource("publish", "Job")["spec"]["template"]["spec"]
    places = {"/opt/zserve/weights": str(SHIPPED), "/store": str(store), "python": sys.executable}
    return [
        [places.get(word, word) for word in container["command"]]
        for container in (*spec["initContainers"], *spec["containers"])
    ]


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=CHECKOUT, timeout=120)


def test_the_job_publishes_and_promotes_and_may_be_repeated(tmp_path: Path):
    copy, promote = commands(tmp_path)
    name, version = copy[copy.index("push") + 1].split("@")
    for _ in range(2):
        run(copy)
        run(promote)
        assert list(Store(tmp_path).versions(name)) == [int(version)]
        assert Store(tmp_path).aliases(name) == {"production": int(version)}


def test_the_version_of_the_example_is_one_that_ships(tmp_path: Path):
    copy, _ = commands(tmp_path)
    name, version = copy[copy.index("push") + 1].split("@")
    assert int(version) in Store(SHIPPED).versions(name)
