"""/mcp by the client of the official package, and what raw requests are answered with."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from app.access.api_keys import add_key
from app.asgi import create_app
from app.errors import SettingsError
from app.imaging.grid import enlarge
from app.settings import Settings, read_settings
from tests.api import large_bodies
from tests.api.heartbeat import Watched, watched
from tests.api.service import digit, publish, publish_labelled, started

HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
TOOLS = [
    "show_models",
    "generate_images",
    "reconstruct_image",
    "interpolate_images",
    "traverse_dimensions",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    publish_labelled(root, "labelled")
    publish(root, "mnist")
    return root


def settings(store: Path, **options: Any) -> Settings:
    return Settings(store=store, device="cpu", log_requests=False, mcp=True, **options)


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[Watched]:
    with watched(create_app(settings(store))) as service:
        yield service


def call(served: Watched, tool: str, secret: str = "", mode: str = "auto", **arguments: Any) -> Any:
    """Call a tool by the official client, and return its result."""

    async def run() -> Any:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        async with httpx2.AsyncClient(headers=headers) as http:
            transport = streamable_http_client(f"{served.client.base_url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                if not tool:
                    return await client.list_tools()
                return await client.call_tool(tool, arguments)

    return anyio.run(run)


def picture(result: Any) -> tuple[Any, dict[str, Any]]:
    """Return the pixels of a result, and what its text says."""
    assert not result.is_error, result.content
    image, text = result.content
    assert (image.type, image.mime_type, text.type) == ("image", "image/png", "text")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.data))))
    return pixels, json.loads(text.text)


def shown(served: Watched, address: str, scale: int, **options: Any) -> Any:
    answer = served.client.request(options.pop("method", "GET"), address, **options)
    assert answer.status_code == 200, answer.text
    return enlarge(np.asarray(Image.open(io.BytesIO(answer.content))), scale)


# --- the tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_tools_are_listed_with_descriptions_of_all_parameters(served: Watched, mode: str):
    tools = call(served, "", mode=mode).tools
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.description
        assert tool.annotations.read_only_hint
    generate = tools[1].input_schema["properties"]
    assert generate.keys() == {"n", "label", "seed", "temperature", "model"}
    assert generate["n"]["maximum"] == 64
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_generated_images_are_those_of_the_service(served: Watched, mode: str):
    result = call(served, "generate_images", n=5, label="7", seed=3, model="labelled", mode=mode)
    pixels, parameters = picture(result)
    expected = shown(served, "/generate?model=labelled&n=5&label=7&seed=3", 6)
    assert np.array_equal(pixels, expected)
    assert parameters == {
        "model": "labelled@1",
        "seed": 3,
        "n": 5,
        "label": "7",
        "temperature": 1.0,
    }


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("tool", TOOLS)
def test_an_argument_that_a_tool_does_not_have_is_refused(served: Watched, tool: str, mode: str):
    result = call(served, tool, mode=mode, count=1)
    assert result.is_error
    assert f"{tool} has no argument 'count'; it has " in result.content[0].text


def test_a_random_seed_is_returned_and_repeats_the_images(served: Watched):
    pixels, parameters = picture(call(served, "generate_images"))
    again, _ = picture(call(served, "generate_images", seed=parameters["seed"]))
    assert np.array_equal(pixels, again)


def test_an_image_is_reconstructed_as_by_the_service(served: Watched):
    upload = digit(slant=9)
    text = base64.b64encode(upload).decode()
    expected = shown(served, "/reconstruct", 10, method="POST", files={"image": upload})
    for image in (text, f"data:image/png;base64,{text}"):
        pixels, _ = picture(call(served, "reconstruct_image", image=image))
        above, below = expected[20 : 20 + 280], expected[20 + 300 : 20 + 580]
        assert np.array_equal(pixels[20:300, 20:300], above[:, 20:300])
        assert np.array_equal(pixels[20:300, 320:600], below[:, 20:300])


def test_paths_and_traversals_are_those_of_the_service(served: Watched):
    pixels, _ = picture(call(served, "interpolate_images", seed_a=1, seed_b=2, steps=6))
    row = shown(served, "/interpolate?seed_a=1&seed_b=2&steps=6&path=slerp", 3, method="POST")
    assert np.array_equal(pixels[:, : 6 * 90], row[:, 90 : 7 * 90])
    pixels, parameters = picture(call(served, "traverse_dimensions", seed=4, dims=[2, 0], steps=5))
    expected = shown(served, "/traverse?seed=4&dims=2,0&steps=5", 4, method="POST")
    assert np.array_equal(pixels, expected)
    assert parameters["dims"] == [2, 0]


def test_models_are_shown_with_classes_and_samples(served: Watched):
    result = call(served, "show_models")
    image, text = result.content
    figure = served.client.get("/models/mnist/1/figures/samples.png")
    assert base64.b64decode(image.data) == figure.content
    first, second, *_ = text.text.splitlines()
    assert first.startswith("mnist@1: 28x28 grey images of made, 3 latent dimensions")
    assert second.endswith("classes: Dress, 7")
    result = call(served, "show_models", model="labelled")
    assert [each.type for each in result.content] == ["text"]  # published without figures


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        (
            "generate_images",
            {"label": "cat", "model": "labelled"},
            "it has: Dress, 7; send the name",
        ),
        ("generate_images", {"model": "nothing"}, "it holds: labelled, mnist"),
        ("generate_images", {"n": 65}, "less than or equal to 64"),
        ("reconstruct_image", {"image": "!"}, "'!' is not base64; send the content"),
        ("reconstruct_image", {"image": "aGVsbG8="}, "not a PNG, JPEG"),
        ("traverse_dimensions", {"dims": [3]}, "no dimension 3; choose from 0 to 2"),
    ],
)
def test_an_error_tells_the_model_what_to_do(
    tool: str, arguments: dict[str, Any], words: str, served: Watched
):
    result = call(served, tool, **arguments)
    assert result.is_error
    assert words in result.content[0].text


# --- keys, limits, and where it is off -----------------------------------------------------------


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_a_key_needs_both_scopes_and_calls_are_limited(store: Path, tmp_path: Path):
    keys = tmp_path / "keys.toml"
    key = add_key(keys, "b", frozenset({"generate", "upload"}))
    half = add_key(keys, "g", frozenset({"generate"}))
    options = settings(store, api_keys=keys, rate_limit="4/minute")
    with started(options) as service:

        def post(secret: str) -> int:
            headers = HEADERS | {"Authorization": f"Bearer {secret}", "Host": "localhost"}
            return service.post("/mcp", json=message("tools/list"), headers=headers).status_code

        assert post("wrong") == 401
        assert post(half) == 403
        assert [post(key) for _ in range(5)] == [200, 200, 200, 200, 429]


def test_it_is_offered_and_described_only_where_it_is_on(store: Path, served: Watched):
    assert "/mcp" in served.client.get("/openapi.json").json()["paths"]
    assert served.client.get("/mcp").status_code == 405
    with started(Settings(store=store, device="cpu", log_requests=False)) as off:
        assert "/mcp" not in off.get("/openapi.json").json()["paths"]
        assert off.post("/mcp", json={}).status_code == 404


@pytest.mark.parametrize(
    ("option", "value", "extra"), [("mcp", True, "mcp"), ("require_signature", "a.pem", "sign")]
)
def test_an_option_whose_package_is_missing_names_the_extra(
    option: str, value: object, extra: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    name = f"--{option.replace('_', '-')}"
    with pytest.raises(SettingsError, match=rf"{name}: .*pip install 'zserve\[{extra}\]'"):
        read_settings(**{option: value})


def test_pages_of_other_sites_cannot_call_a_service_of_this_machine(store: Path):
    with started(settings(store)) as service:

        def status(**headers: str) -> int:
            return service.post(
                "/mcp", json=message("tools/list"), headers=HEADERS | headers
            ).status_code

        assert status(Host="localhost:8000") == 200
        assert status(Host="localhost:8000", Origin="http://localhost:8000") == 200
        assert status(Host="localhost:8000", Origin="http://evil.example") == 403
        assert status(Host="evil.example") == 421


def test_bodies_are_bounded_and_do_not_hold_the_event_loop(served: Watched):
    limit = 1024 * 1024
    large = served.client.post("/mcp", content=b"[" * (limit + 1), headers=HEADERS)
    assert large.status_code == 413
    deep = [each.content for each in large_bodies.json_bodies(limit - 1000)]
    calls = [
        json.dumps(message("tools/call", name="generate_images", arguments=arguments)).encode()
        for arguments in (
            {"n": 64, "label": "7", "model": "labelled"},
            {"label": "x" * 900_000},
            {"n": list(range(100_000))},
        )
    ]
    image = {"image": base64.b64encode(bytes(700_000)).decode()}
    escapes = b'{"label":"' + b"\\u0041" * 150_000 + b'"}'
    start = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_images","arguments":'
    calls.append(start + escapes + b"}}")
    calls.append(
        json.dumps(message("tools/call", name="reconstruct_image", arguments=image)).encode()
    )
    for body in (*deep, *calls):
        served.client.post("/mcp", content=body, headers=HEADERS)
        served.heartbeat.longest_s = 0.0
        answer = served.client.post("/mcp", content=body, headers=HEADERS)
        assert answer.status_code < 500, answer.text
        assert served.heartbeat.longest_s < 0.05, body[:60]
