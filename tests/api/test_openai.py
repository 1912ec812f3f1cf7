"""/v1 by the unmodified client of OpenAI, and what raw requests are answered with."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from app.access.api_keys import add_key
from app.asgi import create_app
from app.settings import Settings
from tests.api.heartbeat import Watched, watched
from tests.api.service import Service, parameters, publish, publish_labelled, started

GENERATIONS = "/v1/images/generations"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    publish_labelled(root, "mnist")
    publish(root, "plain")
    return root


def settings(store: Path, **options: Any) -> Settings:
    return Settings(store=store, device="cpu", log_requests=False, openai_api=True, **options)


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[Watched]:
    with watched(create_app(settings(store))) as service:
        yield service


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with started(settings(store)) as service:
        yield service


@pytest.fixture(scope="module")
def client(served: Watched) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{served.client.base_url}/v1", api_key="none", max_retries=0
    ) as client:
        yield client


def picture(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)))


# --- the client of OpenAI ------------------------------------------------------------------------


def test_the_client_gets_the_bytes_of_generate(client: openai.OpenAI, served: Watched):
    answer = client.images.generate(
        model="mnist", prompt="a dress", n=2, size="280x280", extra_body={"seed": 7}
    )
    assert answer.data is not None
    assert len(answer.data) == 2
    for i, image in enumerate(answer.data):
        assert image.b64_json is not None
        same = served.client.get(f"/generate?n=1&seed={7 + i}&label=Dress&scale=10")
        assert base64.b64decode(image.b64_json) == same.content
        assert image.revised_prompt == f"class Dress of mnist@1, seed {7 + i}"


def test_an_address_answers_with_the_same_bytes(client: openai.OpenAI, served: Watched):
    options: dict[str, Any] = {"prompt": "7", "size": "300x200", "extra_body": {"seed": 7}}
    content = client.images.generate(response_format="b64_json", **options).data
    address = client.images.generate(response_format="url", **options).data
    assert content is not None
    assert address is not None
    assert address[0].b64_json is None
    assert content[0].b64_json is not None
    answer = served.client.get(str(address[0].url))
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == base64.b64decode(content[0].b64_json)
    assert picture(answer.content).shape == (200, 300)
    again = served.client.get(
        str(address[0].url), headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304


def test_the_client_lists_and_shows_models(client: openai.OpenAI):
    assert [model.id for model in client.models.list()] == ["mnist", "plain"]
    model = client.models.retrieve("mnist@production")
    assert (model.id, model.object, model.owned_by) == ("mnist@production", "model", "zserve")
    assert model.created > 1_700_000_000


def test_a_prompt_without_a_class_is_an_error_that_lists_the_classes(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(prompt="a cat in a hat")
    assert "it draws: Dress, 7" in error.value.message
    assert error.value.param == "prompt"
    assert error.value.type == "invalid_request_error"
    assert error.value.code == "invalid-parameter"


def test_an_unknown_model_is_an_error_that_lists_the_models(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError, match="it holds: mnist, plain"):
        client.images.generate(prompt="7", model="dall-e-3")
    with pytest.raises(openai.NotFoundError, match="it holds: mnist, plain"):
        client.models.retrieve("dall-e-3")


# --- what a request may ask for ------------------------------------------------------------------


def images(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(each["b64_json"]) for each in answer.json()["data"]]


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    fields: dict[str, Any] = answer.json()["error"]
    assert fields.keys() == {"message", "type", "param", "code"}
    return fields


def test_several_classes_take_turns(service: Service):
    body = {"prompt": "a 7 and a dress", "n": 5, "seed": 1}
    labels = [
        parameters(httpx.Response(200, content=each))["label"]
        for each in images(service.post(GENERATIONS, json=body))
    ]
    assert labels == ["7", "Dress", "7", "Dress", "7"]


def test_any_image_is_one_of_the_prior(service: Service):
    (content,) = images(service.post(GENERATIONS, json={"prompt": "random", "seed": 3}))
    assert content == service.get("/generate?n=1&seed=3&scale=9").content
    body = {"prompt": "random", "model": "plain", "seed": 3}
    (content,) = images(service.post(GENERATIONS, json=body))
    assert content == service.get("/generate?model=plain&n=1&seed=3&scale=9").content


def test_a_random_seed_is_returned_and_repeats_the_image(service: Service):
    first = service.post(GENERATIONS, json={"prompt": "7"})
    seed = int(first.headers["x-seed"])
    again = service.post(GENERATIONS, json={"prompt": "7", "seed": seed})
    assert images(first) == images(again)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (None, (252, 252)),
        ("auto", (252, 252)),
        ("28x28", (28, 28)),
        ("1024x1024", (1024, 1024)),
        ("1792x1024", (1024, 1792)),
        ("60x30", (30, 60)),
    ],
)
def test_a_picture_has_the_size_that_was_asked_for(
    size: str | None, shape: tuple[int, int], service: Service
):
    answer = service.post(GENERATIONS, json={"prompt": "7", "size": size, "seed": 7})
    (content,) = images(answer)
    height, width = shape
    assert answer.json()["size"] == f"{width}x{height}"
    shown = picture(content)
    assert shown.shape == shape
    factor = min(shape) // 28
    top, left = (height - 28 * factor) // 2, (width - 28 * factor) // 2
    image = shown[top : top + 28 * factor : factor, left : left + 28 * factor : factor]
    plain = picture(service.get("/generate?n=1&seed=7&label=7").content)
    assert np.array_equal(image, plain)
    assert int(shown.sum()) == int(plain.sum()) * factor**2


def test_fields_of_other_models_of_openai_are_ignored(service: Service):
    body = {"prompt": "7", "quality": "hd", "style": "vivid", "user": "u", "background": "auto"}
    assert len(images(service.post(GENERATIONS, json=body))) == 1


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        ({"prompt": "7", "n": 11}, "n is 11; it must be 1 to 10", None),
        ({"prompt": "7", "n": 0}, "it must be 1 to 10", None),
        ({"prompt": "7", "seed": -1}, "it must be 0 to 4294967295", None),
        ({"prompt": "7", "size": "27x28"}, "smaller than the images of the model, 28x28", "size"),
        ({"prompt": "7", "size": "large"}, "'large' is no size", "size"),
        ({"prompt": "7", "size": "9999x9999"}, "at most 1.6e+07 is allowed", None),
        ({"prompt": "7", "stream": True}, "not streamed", "stream"),
        ({"prompt": "7", "output_format": "webp"}, "'webp' is not offered", "output_format"),
        ({"prompt": "7", "response_format": "text"}, "the body", None),
        ({"prompt": "x" * 4001}, "at most 4000", None),
        ({"n": 1}, "missing required field `prompt`", None),
        ({"prompt": 7}, "Expected `str`", None),
    ],
)
def test_what_cannot_be_drawn_is_an_error_with_a_remedy(
    body: dict[str, Any], words: str, param: str | None, service: Service
):
    fields = error(service.post(GENERATIONS, json=body), 400)
    assert words in fields["message"]
    assert fields["param"] == param


def test_bodies_that_are_no_json_are_errors_of_openai(service: Service):
    json_type = {"Content-Type": "application/json"}
    broken = service.post(GENERATIONS, content=b'{"prompt"', headers=json_type)
    assert error(broken, 400)["code"] == "malformed-body"
    deep = service.post(GENERATIONS, content=b'{"a":' * 20_000, headers=json_type)
    assert deep.status_code in {400, 413}
    form = service.post(GENERATIONS, data={"prompt": "7"})
    assert error(form, 415)["code"] == "unsupported-body"
    large = service.post(GENERATIONS, json={"prompt": "7", "user": "u" * 70_000})
    assert error(large, 413)["code"] == "body-too-large"
    assert error(service.get(GENERATIONS), 405)["code"] == "method-not-allowed"
    assert error(service.get("/v1/nothing"), 404)["code"] == "not-found"
    missing = service.get("/v1/images/image.png?seed=7")
    assert "model" in error(missing, 400)["message"]


# --- keys, limits, and where it is off -----------------------------------------------------------


def test_keys_and_limits_hold_for_openai_paths(store: Path, tmp_path: Path):
    keys = tmp_path / "keys.toml"
    key = add_key(keys, "g", frozenset({"generate"}))
    upload = add_key(keys, "u", frozenset({"upload"}))
    with started(settings(store, api_keys=keys, rate_limit="3/minute")) as service:

        def ask(secret: str, **more: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {secret}"}
            return service.post(GENERATIONS, json={"prompt": "7"} | more, headers=headers)

        assert error(service.post(GENERATIONS, json={"prompt": "7"}), 401)
        assert error(ask("wrong"), 401)["type"] == "authentication_error"
        assert error(ask(upload), 403)["code"] == "missing-scope"
        assert service.get("/v1/models").status_code == 200
        assert service.get("/v1/images/image.png?model=mnist&seed=1").status_code == 401
        assert "b64_json" in error(ask(key, response_format="url"), 400)["message"]
        assert ask(key).status_code == 200
        statuses = [ask(key).status_code for _ in range(3)]
        assert 429 in statuses
        assert error(ask(key), 429)["type"] == "rate_limit_error"


def test_paths_and_descriptions_exist_only_where_it_is_on(store: Path, service: Service):
    paths = service.get("/openapi.json").json()["paths"]
    assert {path for path in paths if path.startswith("/v1")} == {
        GENERATIONS,
        "/v1/images/image.png",
        "/v1/models",
        "/v1/models/{model}",
    }
    with started(Settings(store=store, device="cpu", log_requests=False)) as off:
        assert not [path for path in off.get("/openapi.json").json()["paths"] if "/v1" in path]
        answer = off.post(GENERATIONS, json={"prompt": "7"})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_largest_requests_do_not_hold_the_event_loop(served: Watched):
    """All that a body within its limit may ask for, at the largest size of ten images."""
    bodies: list[dict[str, Any]] = [
        {"prompt": "7 dress " * 500, "n": 10, "size": "1264x1264", "seed": 1},
        {"prompt": "\u00e9 " * 2000},
        {"prompt": "7", "user": ["a" * 10] * 4000},
        {"prompt": "7", "user": {str(i): i for i in range(4000)}},
    ]
    for body in bodies:
        served.client.post(GENERATIONS, json=body)
        served.heartbeat.longest_s = 0.0
        served.client.post(GENERATIONS, json=body)
        assert served.heartbeat.longest_s < 0.05, str(body)[:60]
