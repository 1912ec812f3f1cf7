"""The snapshots of a training over HTTP, and the family of a version."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from model_store.snapshots import from_bytes
from model_store.spec import Description, Family
from model_store.store import Store
from tests.api.service import Service, problem, started
from tests.unit.models import a_card, tiny_description, tiny_weights
from tests.unit.training_snapshots import snapshots


def member(beta: float) -> Description:
    """Describe a tiny model of the family `betas`."""
    tiny = tiny_description()
    family = Family(name="betas", beta=beta)
    return tiny.model_copy(update={"training": tiny.training.model_copy(update={"family": family})})


@pytest.fixture
def learnt(tmp_path: Path) -> Iterator[Service]:
    """Start a service with one model that has snapshots and a family, and one that has none."""
    store = Store(tmp_path)
    store.publish("half", member(0.5), tiny_weights(), card=a_card, snapshots=snapshots())
    store.publish("older", tiny_description(), tiny_weights(), card=a_card)
    with started(Settings(store=tmp_path, model="half")) as service:
        yield service


def test_the_snapshots_of_a_version_are_json_and_never_change(learnt: Service):
    described = learnt.get("/models/half/1").json()
    assert described["snapshots"] == "/models/half/1/files/snapshots.json"
    answer = learnt.get(described["snapshots"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "max-age=31536000, immutable"
    assert from_bytes(answer.content) == snapshots()
    again = learnt.get(described["snapshots"], headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (
        learnt.get("/models/half/production/files/snapshots.json").headers["cache-control"]
        == "no-cache"
    )


def test_a_version_without_snapshots_says_so_and_gives_a_remedy(learnt: Service):
    assert "snapshots" not in learnt.get("/models/older/1").json()
    answer = problem(learnt.get("/models/older/1/files/snapshots.json"), 404, "snapshots-not-found")
    assert "older@1 is published without snapshots" in answer["detail"]
    assert "train the model again" in answer["remedy"]


def test_a_changed_file_of_snapshots_is_refused(learnt: Service, tmp_path: Path):
    path = tmp_path / "half" / "1" / "snapshots.json"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.6"))
    answer = problem(learnt.get("/models/half/1/files/snapshots.json"), 503, "model-unavailable")
    assert "snapshots.json" in answer["detail"]


def test_the_list_tells_the_family_of_a_model_and_nothing_of_others(learnt: Service):
    listed = {model["name"]: model for model in learnt.get("/models").json()["models"]}
    assert listed["half"]["family"] == {"name": "betas", "beta": 0.5}
    assert "family" not in listed["older"]
    manifest = learnt.get("/models/half/1").json()["manifest"]
    assert manifest["training"]["family"] == {"name": "betas", "beta": 0.5}
    assert "family" not in learnt.get("/models/older/1").json()["manifest"]["training"]


def test_the_description_of_the_api_has_the_snapshots(learnt: Service):
    document = learnt.get("/openapi.json").json()
    answers = document["paths"]["/models/{name}/{version}/files/{file}"]["get"]["responses"]
    schema = answers["200"]["content"]["application/json"]["schema"]
    assert "Snapshots" in json.dumps(schema)
    assert "positions" in document["components"]["schemas"]["Snapshots"]["properties"]
