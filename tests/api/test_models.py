import asyncio
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from filelock import FileLock
from pydantic import SecretStr

from app.inference.backend import ChosenBackend
from app.inference.engine import Engine
from app.inference.model_cache import ModelCache
from app.settings import Settings
from model_store.spec import ModelRef
from model_store.store import WEIGHTS, Store
from model_store.store.backend import MAX_ALIASES_BYTES
from tests.api.service import Service, encoded, problem, publish, publish_labelled, started
from tests.unit.models import measured_description, reseal, tiny_weights

TOKEN = "a-long-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """Start a service with a store of its own and promotion enabled."""
    publish(tmp_path, seed=0)
    publish(tmp_path, seed=1)
    with started(Settings(store=tmp_path, admin_token=SecretStr(TOKEN))) as service:
        yield service


def test_the_list_shows_each_model_with_the_version_of_its_bare_name(service: Service) -> None:
    listed = {model["name"]: model for model in service.get("/models").json()["models"]}
    assert set(listed) == {"mnist", "other"}
    mnist = listed["mnist"]
    assert mnist["version"] == 1
    assert mnist["versions"] == [1, 2]
    assert mnist["aliases"] == {"production": 1}
    assert mnist["default"]
    assert not listed["other"]["default"]
    assert mnist["metrics"]["test_neg_elbo"]["value"] == 12.5
    assert mnist["weights_sha256"] == service.get("/generate").headers["x-weights-sha256"]


def test_the_list_shows_the_quality_of_samples_and_the_best_of_a_data_set(tmp_path: Path) -> None:
    qualities = {"flow": (0.92, 0.5, "digits"), "plain": (0.82, 1.1, "digits")}
    for name, numbers in (qualities | {"coats": (0.83, 3.3, "garments")}).items():
        Store(tmp_path).publish(
            name, measured_description(*numbers), tiny_weights(), card=lambda ref: f"# {ref}\n"
        )
    publish(tmp_path, "unmeasured")
    with started(Settings(store=tmp_path, model="plain")) as service:
        listed = {model["name"]: model for model in service.get("/models").json()["models"]}
        version = service.get("/models/plain/1").json()
    quality = {"dataset": "digits", "recognisable": 0.82, "frechet_distance": 1.1}
    assert listed["plain"]["sample_quality"] == version["sample_quality"] == quality
    assert listed["unmeasured"]["sample_quality"] is None
    assert [name for name, model in listed.items() if model["best_samples"]] == ["flow"]


def test_a_model_shows_its_versions(service: Service) -> None:
    body = service.get("/models/mnist").json()
    assert [version["version"] for version in body["versions"]] == [1, 2]
    assert body["aliases"] == {"production": 1}


@pytest.mark.parametrize("version", ["1", "production"])
def test_a_version_shows_its_card_its_manifest_and_its_figures(
    service: Service, version: str
) -> None:
    body = service.get(f"/models/mnist/{version}").json()
    assert body["aliases"] == ["production"]
    assert body["card"] == "# mnist@1\n"
    assert body["manifest"]["training"]["preset"] == "tiny"
    figure = service.get(body["figures"]["samples"])
    assert figure.headers["content-type"] == "image/png"
    assert figure.content.startswith(b"\x89PNG")


def test_the_latents_of_test_images_are_those_that_were_published(service: Service) -> None:
    answer = service.get("/models/mnist/1/files/encoded_images.safetensors")
    assert answer.headers["content-type"] == "application/octet-stream"
    arrays = safetensors.numpy.load(answer.content)
    published = encoded(1, 3)
    assert np.array_equal(arrays["levels"], published.levels)
    assert np.array_equal(arrays["scale"], published.scale)


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/models/nothing", 404, "model-not-found"),
        ("/models/nothing/1", 404, "model-not-found"),
        ("/models/mnist/9", 404, "version-not-found"),
        ("/models/mnist/staging", 404, "alias-not-found"),
        ("/models/mnist/1/figures/nothing.png", 404, "figure-not-found"),
        ("/models/mnist/1/figures/weights.safetensors.png", 404, "figure-not-found"),
        ("/models/mnist/1/figures/..%2Fmanifest.json", 404, "not-found"),
        ("/models/nothing/1/files/encoded_images.safetensors", 404, "model-not-found"),
        ("/models/%2e%2e%2f/1", 404, "not-found"),
        ("/models/MNIST", 422, "invalid-reference"),
        ("/models/mnist/0", 422, "invalid-reference"),
    ],
)
def test_unknown_models_versions_and_figures_are_404(
    service: Service, path: str, status: int, slug: str
) -> None:
    problem(service.get(path), status, slug)


def test_latents_of_test_images_that_were_not_published_are_404_with_a_remedy(
    tmp_path: Path,
) -> None:
    publish_labelled(tmp_path, "older")
    with started(Settings(store=tmp_path, model="older")) as service:
        answer = service.get("/models/older/1/files/encoded_images.safetensors")
    body = problem(answer, 404, "encoded-images-not-found")
    assert "older@1 was published without latents of test images" in body["detail"]
    assert "python -m training complete" in body["remedy"]
    assert "etag" not in answer.headers


def test_a_promotion_takes_effect_with_the_next_request(own: Service) -> None:
    before = own.get("/generate?seed=1")
    answer = own.request(
        "PUT", "/models/mnist/aliases/production", json={"version": 2}, headers=BEARER
    )
    assert answer.json() == {"name": "mnist", "aliases": {"production": 2}}
    promoted = own.get("/generate?seed=1")
    assert promoted.headers["x-model"] == "mnist@2"
    own.request("PUT", "/models/mnist/aliases/production", json={"version": 1}, headers=BEARER)
    assert own.get("/generate?seed=1").content == before.content != promoted.content


def test_a_new_alias_can_be_created(own: Service) -> None:
    own.request("PUT", "/models/mnist/aliases/staging", json={"version": 2}, headers=BEARER)
    assert own.get("/generate?model=mnist@staging").headers["x-model"] == "mnist@2"


def test_a_version_published_while_serving_can_be_requested(own: Service, tmp_path: Path) -> None:
    problem(own.get("/generate?model=mnist@3"), 404, "version-not-found")
    publish(tmp_path, seed=3)
    assert own.get("/generate?model=mnist@3").headers["x-model"] == "mnist@3"


def test_a_version_that_cannot_be_loaded_is_not_promoted(own: Service, tmp_path: Path) -> None:
    weights = tmp_path / "mnist" / "2" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    answer = own.request(
        "PUT", "/models/mnist/aliases/production", json={"version": 2}, headers=BEARER
    )
    assert weights.name in problem(answer, 503, "model-unavailable")["detail"]
    assert own.get("/generate").headers["x-model"] == "mnist@1"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"version": 9}, 404), ({"version": 0}, 422), ({"version": "x"}, 422), ({}, 422), ([1], 422)],
)
def test_a_promotion_to_an_invalid_version_is_refused(
    own: Service, body: object, status: int
) -> None:
    answer = own.request("PUT", "/models/mnist/aliases/production", json=body, headers=BEARER)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_alias_that_looks_like_a_version_is_refused(own: Service) -> None:
    answer = own.request("PUT", "/models/mnist/aliases/7", json={"version": 1}, headers=BEARER)
    problem(answer, 422, "invalid-reference")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \u00fc".encode()},
    ],
)
def test_a_missing_or_wrong_token_changes_nothing(own: Service, headers: dict[str, str]) -> None:
    answer = own.request(
        "PUT", "/models/mnist/aliases/production", json={"version": 2}, headers=headers
    )
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert own.get("/generate").headers["x-model"] == "mnist@1"


def test_promotion_is_disabled_if_no_token_is_configured(service: Service) -> None:
    answer = service.request(
        "PUT", "/models/mnist/aliases/production", json={"version": 2}, headers=BEARER
    )
    assert "ZSERVE_ADMIN_TOKEN" in problem(answer, 403, "promotion-disabled")["remedy"]


def test_a_model_that_cannot_be_read_does_not_hide_the_others(own: Service, tmp_path: Path) -> None:
    publish(tmp_path, "broken")
    (tmp_path / "broken" / "1" / "manifest.json").write_text("{")
    body = own.get("/models").json()
    assert [model["name"] for model in body["models"]] == ["mnist"]
    assert body["unreadable"][0]["name"] == "broken"


def test_a_version_that_cannot_be_read_does_not_hide_the_others(
    own: Service, tmp_path: Path
) -> None:
    whole = own.get("/models/mnist").json()
    assert "unreadable" not in whole
    publish(tmp_path)
    newest = max(int(path.name) for path in (tmp_path / "mnist").iterdir() if path.is_dir())
    (tmp_path / "mnist" / str(newest) / "manifest.json").write_bytes(b"[" * 1000)
    body = own.get("/models/mnist").json()
    assert body["versions"] == whole["versions"]
    assert body["unreadable"][0]["name"] == f"mnist@{newest}"
    assert "manifest.json is not valid" in body["unreadable"][0]["detail"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "large", "device"])
def test_aliases_that_are_no_small_file_make_one_model_unreadable(
    own: Service, tmp_path: Path, kind: str
) -> None:
    """A pipe would hold a thread until somebody writes to it."""
    publish(tmp_path, "broken")
    path = tmp_path / "broken" / "aliases.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b" " * (MAX_ALIASES_BYTES + 1) + b"{}")
    else:
        path.symlink_to("/dev/zero")
    body = own.get("/models").json()
    assert [model["name"] for model in body["models"]] == ["mnist"]
    assert "aliases.json is unreadable" in body["unreadable"][0]["detail"]
    assert own.get("/generate?n=1").status_code == 200


def test_aliases_may_be_a_link_as_kubernetes_mounts_files(own: Service, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text('{"canary": 1}')
    (tmp_path / "mnist" / "aliases.json").unlink(missing_ok=True)
    (tmp_path / "mnist" / "aliases.json").symlink_to(tmp_path / "elsewhere.json")
    assert own.get("/models/mnist").json()["aliases"] == {"canary": 1, "production": 1}


def test_a_promotion_waits_for_another_one_of_the_same_model(own: Service, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "mnist" / ".aliases.lock")
    with ThreadPoolExecutor(1) as pool:
        with lock:
            promotion = pool.submit(
                own.request,
                "PUT",
                "/models/mnist/aliases/production",
                json={"version": 2},
                headers=BEARER,
            )
            assert own.get("/healthz").status_code == 200
            with pytest.raises(TimeoutError):
                promotion.result(timeout=0.2)
        assert promotion.result().json() == {"name": "mnist", "aliases": {"production": 2}}


def test_a_promotion_that_waits_too_long_changes_nothing(tmp_path: Path) -> None:
    publish(tmp_path)
    settings = Settings(store=tmp_path, admin_token=SecretStr(TOKEN), promotion_timeout_s=0.1)
    with FileLock(tmp_path / "mnist" / ".aliases.lock"), started(settings) as service:
        answer = service.request(
            "PUT", "/models/mnist/aliases/staging", json={"version": 1}, headers=BEARER
        )
        assert ".aliases.lock" in problem(answer, 503, "store-busy")["detail"]
        assert answer.headers["retry-after"] == "1"
        assert service.get("/models/mnist").json()["aliases"] == {"production": 1}


def test_a_version_that_is_not_in_memory_is_found_beside_the_event_loop(tmp_path: Path) -> None:
    """Block the disk of a store: requests for models in memory are answered meanwhile."""
    publish(tmp_path)
    publish(tmp_path, "other")
    blocked = threading.Event()
    released = threading.Event()

    class SlowDisk(Store):
        def resolve(self, ref: ModelRef) -> ModelRef:
            if ref.name == "other":
                blocked.set()
                assert released.wait(30)
            return super().resolve(ref)

    async def run() -> None:
        engine = Engine(ChosenBackend("cpu"), timeout_s=30)
        cache = ModelCache(SlowDisk(tmp_path), engine, default="mnist", capacity=4)
        await cache.get()
        slow = asyncio.create_task(cache.get("other"))
        await asyncio.to_thread(blocked.wait, 30)
        assert (await cache.get()).name == "mnist@1"
        assert (await cache.get("mnist@1")).name == "mnist@1"
        await cache.refresh()
        assert not slow.done()
        released.set()
        assert (await slow).name == "other@1"
        await cache.close()
        engine.close()

    asyncio.run(run())


@pytest.mark.parametrize("values", [[], [0.5], [0.5] * 4])
def test_statistics_of_too_few_dimensions_are_refused_at_load_and_no_500_later(
    own: Service, tmp_path: Path, values: list[float]
) -> None:
    folder = tmp_path / "mnist" / "2"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["latents"]["kl_nats"] = values
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)
    answer = own.post("/traverse?model=mnist@2")
    detail = problem(answer, 503, "model-unavailable")["detail"]
    assert f"latents.kl_nats has {len(values)} values for 3 latent dimensions" in detail
    assert own.post("/traverse?model=mnist@1").status_code == 200


def test_a_version_without_a_card_is_refused_and_no_500(own: Service, tmp_path: Path) -> None:
    folder = tmp_path / "mnist" / "2"
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["card.md"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "card.md").unlink()
    reseal(folder)
    answer = own.get("/models/mnist/2")
    assert "lists no card.md" in problem(answer, 503, "model-unavailable")["detail"]


def test_a_default_model_that_is_too_large_leaves_the_service_running(tmp_path: Path) -> None:
    publish(tmp_path)
    folder = tmp_path / "mnist" / "1"
    content = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(content.replace('"latent": 3', f'"latent": {10**18}'))
    reseal(folder)
    with started(Settings(store=tmp_path)) as service:
        assert service.get("/healthz").status_code == 200
        detail = problem(service.get("/readyz"), 503, "not-ready")["detail"]
        assert "spec.latent: Input should be less than or equal to 16384" in detail
        (folder / "manifest.json").write_text(content)
        reseal(folder)
        assert service.get("/readyz").status_code == 200
