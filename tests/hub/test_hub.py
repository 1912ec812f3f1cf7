"""Versions in a repository of the Hugging Face hub, by its own client and a local server."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement
from huggingface_hub import HfApi, ModelCard
from PIL import Image

from app.settings import Settings
from model_store.errors import (
    CorruptVersionError,
    InvalidAddressError,
    PublishError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
)
from model_store.spec import ModelRef
from model_store.store import SHIPPED, DiskCache, Store, open_store
from model_store.store.cli import main
from model_store.store.hub import parse_hub
from tests.api.service import started
from tests.e2e.server import serving
from tests.hub.server import FakeHub
from tests.unit.exact_versions import publish_exact
from tests.unit.models import publish_tiny
from tests.unit.test_signing import make_keys
from zserve import load

URL = "hf://org/tiny"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"  # the client of the hub uploads in this way
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Publish two versions of `tiny`, and one of `exact`."""
    root = tmp_path / "store"
    publish_tiny(Store(root))
    publish_tiny(Store(root), seed=1)
    publish_exact(root)
    return root


def push(store: Path, *arguments: str) -> int:
    return main(["--store", str(store), "push", *arguments])


def pull(store: Path, *arguments: str) -> int:
    store.mkdir(exist_ok=True)
    return main(["--store", str(store), "pull", *arguments])


def root_files(hub: FakeHub, repo: str = "org/tiny") -> dict[str, bytes]:
    """Return the files of main."""
    repository = hub.repositories[repo]
    return repository.commits[repository.branches["main"]]


# --- push ----------------------------------------------------------------------------------------


def test_a_pushed_version_is_a_repository_as_the_hub_expects_it(
    hub: FakeHub, store: Path, capsys: Any
):
    assert push(store, "tiny@2", URL, "--license", "mit") == 0
    assert "pushed  tiny@2 to hf://org/tiny" in capsys.readouterr().out
    files = root_files(hub)
    assert files.keys() == {
        ".gitattributes",
        "README.md",
        "SHA256SUMS",
        "card.md",
        "loss.png",
        "manifest.json",
        "samples.png",
        "weights.safetensors",
    }
    for name in files.keys() - {".gitattributes", "README.md"}:
        assert files[name] == (store / "tiny" / "2" / name).read_bytes()
    repository = hub.repositories["org/tiny"]
    assert repository.tags == {"v2": repository.branches["main"]}
    assert repository.messages == ["initial", "Publish tiny@2"]
    sums = dict(line.split("  ")[::-1] for line in files["SHA256SUMS"].decode().splitlines())
    assert all(hashlib.sha256(files[name]).hexdigest() == sums[name] for name in sums)


def test_the_readme_has_the_header_that_the_hub_reads(hub: FakeHub, store: Path):
    assert push(store, "tiny@2", URL, "--license", "mit") == 0
    text = root_files(hub)["README.md"].decode()
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "mit"
    assert header["library_name"] == "zserve"
    assert header["pipeline_tag"] == "unconditional-image-generation"
    assert "datasets" not in header  # the hub has no data set of this name
    card = ModelCard(text)  # by the reader of the hub itself
    assert card.data.to_dict()["pipeline_tag"] == "unconditional-image-generation"
    assert "# tiny@2" in card.text


def test_metrics_and_data_sets_are_named_as_the_hub_names_them(hub: FakeHub, shipped_lab: Path):
    assert push(shipped_lab, "lab@4", "hf://org/lab", "--license", "mit") == 0
    text = root_files(hub, "org/lab")["README.md"].decode()
    header = yaml.safe_load(text.split("---")[1])
    assert header["datasets"] == ["ylecun/mnist"]
    metrics = {
        metric["type"]: metric["value"]
        for result in header["model-index"][0]["results"]
        for metric in result["metrics"]
    }
    manifest = json.loads((shipped_lab / "lab" / "4" / "manifest.json").read_text())
    assert metrics["test_negative_elbo"] == manifest["metrics"]["test_negative_elbo"]["value"]
    assert "samples_frechet_distance" in metrics
    results: Any = ModelCard(text).data
    read = {result.metric_type: result.metric_value for result in results.eval_results}
    assert read == metrics  # by the reader of the hub itself
    samples = root_files(hub, "org/lab")["samples.png"]
    assert Image.open(io.BytesIO(samples)).format == "PNG"


@pytest.fixture
def shipped_lab(tmp_path: Path) -> Path:
    """Copy the shipped version of `lab` to a store of its own."""
    target = tmp_path / "lab-store"
    target.mkdir()
    assert main(["--store", str(SHIPPED), "push", "lab@4", "--to", str(target)]) == 0
    return target


def test_a_later_version_replaces_the_files_and_keeps_those_of_others(hub: FakeHub, store: Path):
    assert push(store, "tiny@1", URL) == 0
    repository = hub.repositories["org/tiny"]
    mine = root_files(hub) | {"notes.txt": b"mine", "old.png": b"a figure"}
    manifest = json.loads(mine["manifest.json"])
    manifest["files"]["old.png"] = {"sha256": "0" * 64, "size_bytes": 8}
    repository.commit("main", mine | {"manifest.json": json.dumps(manifest).encode()}, "notes")
    assert push(store, "tiny@2", URL) == 0
    files = root_files(hub)
    assert files["notes.txt"] == b"mine"
    assert "old.png" not in files
    assert json.loads(files["manifest.json"])["version"] == 2
    assert repository.tags.keys() == {"v1", "v2"}


def test_what_is_there_already_is_not_pushed_again(hub: FakeHub, store: Path, capsys: Any):
    assert push(store, "tiny", URL) == 0
    assert push(store, "tiny", URL) == 0
    assert "0 versions pushed" in capsys.readouterr().out.splitlines()[-1]
    assert len(hub.repositories["org/tiny"].commits) == 3
    other = store.parent / "other"
    publish_tiny(Store(other), seed=7)
    assert push(other, "tiny@1", URL) == 1
    assert "the tag v1 is that of another version" in capsys.readouterr().out


def test_a_branch_of_the_address_is_made_and_leaves_main_alone(hub: FakeHub, store: Path):
    assert push(store, "tiny@1", URL) == 0
    assert push(store, "tiny@2", f"{URL}@trial") == 0
    repository = hub.repositories["org/tiny"]
    assert json.loads(root_files(hub)["manifest.json"])["version"] == 1
    trial = repository.commits[repository.branches["trial"]]
    assert json.loads(trial["manifest.json"])["version"] == 2


def test_a_damaged_version_is_not_pushed(hub: FakeHub, store: Path, capsys: Any):
    with (store / "tiny" / "1" / "weights.safetensors").open("r+b") as file:
        file.write(b"\xff")
    assert push(store, "tiny@1", URL) == 1
    assert "FAILED  tiny@1" in capsys.readouterr().out
    assert "org/tiny" not in hub.repositories


# --- pull and read -------------------------------------------------------------------------------


def test_a_pulled_version_has_every_byte(hub: FakeHub, store: Path, tmp_path: Path):
    push(store, "tiny", URL)
    copy = tmp_path / "copy"
    assert pull(copy, URL) == 0
    assert Store(copy).versions("tiny") == (2,)  # that of main
    assert pull(copy, URL, "tiny@1") == 0
    for version in (1, 2):
        theirs, mine = (root / "tiny" / str(version) for root in (store, copy))
        assert {p.name: p.read_bytes() for p in mine.iterdir()} == {
            p.name: p.read_bytes() for p in theirs.iterdir()
        }


def test_a_revision_is_a_tag_a_branch_or_a_commit(hub: FakeHub, store: Path, tmp_path: Path):
    push(store, "tiny", URL)
    sha = hub.repositories["org/tiny"].tags["v1"]
    for i, revision in enumerate(("v1", sha)):
        assert pull(tmp_path / f"copy{i}", f"{URL}@{revision}") == 0
        assert Store(tmp_path / f"copy{i}").versions("tiny") == (1,)


@pytest.mark.parametrize("name", ["weights.safetensors", "samples.png", "manifest.json"])
def test_a_changed_byte_is_refused(
    name: str, hub: FakeHub, store: Path, tmp_path: Path, capsys: Any
):
    push(store, "tiny@2", URL)
    files = root_files(hub)
    content = bytearray(files[name])
    content[-3] ^= 1
    hub.repositories["org/tiny"].commit("main", files | {name: bytes(content)}, "attack")
    assert pull(tmp_path / "copy", URL) in {1, 2}
    assert not (tmp_path / "copy" / "tiny").exists()
    assert "tiny@2" in "".join(capsys.readouterr())


def test_no_file_of_the_repository_is_run(hub: FakeHub, store: Path, tmp_path: Path):
    push(store, "tiny@2", URL)
    evil = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    files = root_files(hub) | {"zserve.py": evil, "__init__.py": evil, "modeling.py": evil}
    hub.repositories["org/tiny"].commit("main", files, "code")
    assert pull(tmp_path / "copy", URL) == 0
    assert not (tmp_path / "ran").exists()
    assert not list((tmp_path / "copy").rglob("*.py"))


def test_a_store_on_the_hub_resolves_versions_and_production(hub: FakeHub, store: Path):
    push(store, "tiny", URL)
    remote = open_store(URL)
    assert remote.names() == ("tiny",)
    assert remote.versions("tiny") == (1, 2)
    assert remote.aliases("tiny") == {"production": 2}
    assert remote.resolve(ModelRef.parse("tiny")).version == 2
    assert remote.load(ModelRef.parse("tiny@1")).manifest == Store(store).manifest(
        ModelRef.parse("tiny@1")
    )
    with pytest.raises(StoreError, match="written by `models push` alone"):
        remote.set_alias("tiny", "production", 1)
    with pytest.raises(PublishError, match="written by `models push` alone"):
        publish_tiny(remote)
    with pytest.raises(StoreError, match="written by `models push` alone"):
        remote.remove(ModelRef.parse("tiny@1"))


def test_load_and_the_service_read_the_hub(hub: FakeHub, store: Path, tmp_path: Path):
    push(store, "exact", "hf://org/exact")
    vae = load("exact", store="hf://org/exact")
    assert vae.name == "exact@1"
    settings = Settings(
        store="hf://org/exact@v1",
        store_cache=tmp_path / "cache",
        model="exact",
        device="cpu",
        log_requests=False,
    )
    with started(settings) as service:
        answer = service.get("/generate?n=4&seed=7&metadata=false")
        assert answer.content == vae.png(vae.sample(4, seed=7))
        assert service.get("/models").json()["models"][0]["name"] == "exact"


@pytest.mark.processes
def test_a_server_starts_with_a_repository_and_goes_on_without_the_hub(
    hub: FakeHub, store: Path, tmp_path: Path
):
    push(store, "exact", "hf://org/exact")
    variables = {"ZSERVE_MODEL": "exact", "ZSERVE_STORE_CACHE": str(tmp_path / "cache")}
    answers = []
    for failing in (False, True):
        hub.failing = failing
        with serving("hf://org/exact", tmp_path / "log", **variables) as url:
            answer = httpx.get(f"{url}/generate?n=2&seed=7")
            assert answer.status_code == 200
            answers.append(answer.content)
            degraded = httpx.get(f"{url}/readyz").json().get("degraded")
            assert bool(degraded) == failing
    assert answers[0] == answers[1]


def test_a_service_goes_on_with_its_copies_if_the_hub_fails(
    hub: FakeHub, store: Path, tmp_path: Path
):
    push(store, "tiny@2", URL)
    cache = DiskCache(tmp_path / "cache", 10**9)
    manifest = open_store(URL, cache=cache).load(ModelRef.parse("tiny")).manifest
    hub.failing = True
    later = open_store(URL, cache=DiskCache(tmp_path / "cache", 10**9))
    assert later.load(ModelRef.parse("tiny")).manifest == manifest
    with pytest.raises(StoreUnavailableError, match="hf://org/tiny"):
        open_store(URL).load(ModelRef.parse("tiny"))


def test_a_signature_is_pushed_and_pulled(hub: FakeHub, store: Path, tmp_path: Path):
    keys = make_keys(tmp_path, "ours")
    assert push(store, "tiny@2", URL, "--sign", str(keys.private)) == 0
    assert "model.sig" in root_files(hub)
    assert pull(tmp_path / "copy", URL) == 0
    assert main(["--store", str(tmp_path / "copy"), "verify", "--key", str(keys.public)]) == 0


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_missing_repository_and_a_wrong_token_are_named(hub: FakeHub, store: Path):
    with pytest.raises(StoreAccessError, match="no such repository or revision"):
        open_store("hf://org/nothing").names()
    push(store, "tiny@2", URL)
    with pytest.raises(StoreAccessError, match="revision"):
        open_store(f"{URL}@nothing").names()
    hub.token = "another"
    with pytest.raises(StoreAccessError, match=r"HF_TOKEN|401"):
        open_store(URL).names()


def test_a_repository_of_others_is_no_store(hub: FakeHub):
    HfApi(endpoint=hub.address).create_repo("org/bert")
    assert open_store("hf://org/bert").names() == ()
    files = {"manifest.json": b'{"name": "Bert"}', "config.json": b"{}"}
    hub.repositories["org/bert"].commit("main", files, "weights")
    with pytest.raises(StoreUnavailableError, match="not that of a version"):
        open_store("hf://org/bert").names()


@pytest.mark.parametrize(
    "url", ["hf://", "hf://org", "hf://org/name/more", "hf://org/name@", "hf://o r/g"]
)
def test_an_address_that_names_no_repository_is_refused(url: str):
    with pytest.raises(InvalidAddressError, match=r"write hf://org/name\[@revision\]"):
        parse_hub(url)


def test_the_command_says_what_is_missing(store: Path, capsys: Any):
    assert push(store, "tiny") == 2
    assert "no store is named" in capsys.readouterr().err
    assert push(store, URL, "--to", "elsewhere") == 2
    assert "several stores are named" in capsys.readouterr().err


def test_several_models_need_repositories_of_their_own(hub: FakeHub, store: Path, capsys: Any):
    assert push(store, URL) == 2
    assert "holds the versions of one model" in capsys.readouterr().err
    assert hub.repositories == {}


@pytest.mark.parametrize("url", [URL, f"{URL}@trial"])
def test_a_repository_of_another_model_is_not_overwritten(
    hub: FakeHub, store: Path, capsys: Any, url: str
):
    assert push(store, "tiny@2", URL) == 0
    before = root_files(hub)
    assert push(store, "exact@1", url) == 1
    assert "is the repository of the model tiny; push exact@1 to one of its own" in (
        capsys.readouterr().out
    )
    assert root_files(hub) == before
    assert hub.repositories["org/tiny"].tags.keys() == {"v2"}
    assert hub.repositories["org/tiny"].branches.keys() == {"main"}


def test_a_manifest_of_another_version_than_its_tag_is_refused(hub: FakeHub, store: Path):
    push(store, "tiny@2", URL)
    repository = hub.repositories["org/tiny"]
    repository.tags["v9"] = repository.tags["v2"]
    with pytest.raises(CorruptVersionError, match="belongs to tiny@2"):
        open_store(URL).load(ModelRef.parse("tiny@9"))
