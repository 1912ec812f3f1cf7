"""JSON that an editor saved with a byte order mark is read like JSON without one."""

import codecs
import json
from pathlib import Path

from pydantic import SecretStr

from app.settings import Settings
from tests.api.service import Service, publish, started

JSON = {"Content-Type": "application/json"}


def marked(value: object) -> bytes:
    return codecs.BOM_UTF8 + json.dumps(value).encode()


def test_latents_are_read(service: Service) -> None:
    z = {"z": [[0.5, -1.0, 0.25]]}
    answer = service.post("/decode", content=marked(z), headers=JSON)
    assert answer.status_code == 200
    assert answer.content == service.post("/decode", json=z).content


def test_a_request_of_the_v2_protocol_is_read(service: Service) -> None:
    data = [0.5, -1.0, 0.25]
    body = {"inputs": [{"name": "z", "shape": [1, 3], "datatype": "FP32", "data": data}]}
    answer = service.post("/v2/models/mnist/infer", content=marked(body), headers=JSON)
    assert answer.status_code == 200
    assert answer.json() == service.post("/v2/models/mnist/infer", json=body).json()


def test_a_promotion_is_read(tmp_path: Path) -> None:
    publish(tmp_path)
    with started(Settings(store=tmp_path, admin_token=SecretStr("token"))) as service:
        answer = service.request(
            "PUT",
            "/models/mnist/aliases/canary",
            content=marked({"version": 1}),
            headers={**JSON, "Authorization": "Bearer token"},
        )
    assert answer.json() == {"name": "mnist", "aliases": {"production": 1, "canary": 1}}
