"""Call every endpoint of a running service once, and fail if one of them does not answer.

    python docker/endpoint_calls.py http://localhost:8000 [--token TOKEN]

The service's API description lists its endpoints: one that is not called here is a failure too. With
the token, an alias `smoke` of the default model is set.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 60
PNG = b"\x89PNG\r\n\x1a\n"
PAGES = ("/", "/docs", "/static/icon.svg")
"""Paths that the API description leaves out."""


class CallError(Exception):
    """An endpoint did not answer as it should."""


@dataclass(frozen=True)
class Answer:
    """An answer with status 200."""

    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Caller:
    """Calls one service, and notes which endpoints of its API description were called."""

    url: str
    token: str | None = None
    called: set[tuple[str, str]] = field(default_factory=set)

    def call(
        self, method: str, endpoint: str, query: str = "", body: Any = None, **names: str
    ) -> Answer:
        """Call an endpoint, such as `/models/{name}`, whose names are given.

        `body` is bytes, or an object that becomes JSON. Raises CallError if the status is not 200.
        """
        self.called.add((method, endpoint))
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = _media_type(body)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = self.url + endpoint.format(**names) + query
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
                return Answer(answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            text = error.read(500).decode("utf-8", "replace")
            raise CallError(f"{method} {url} was answered with {error.code}: {text}") from error
        except OSError as error:
            raise CallError(f"{method} {url} failed: {error}") from error

    def png(self, *words: Any, **more: Any) -> bytes:
        """Call an endpoint that answers with a PNG, and return it."""
        body = self.call(*words, **more).body
        if not body.startswith(PNG):
            raise CallError(f"{words[0]} {words[1]}: expected a PNG, got {body[:80]!r}")
        return body


def _media_type(body: Any) -> str:
    if not isinstance(body, bytes):
        return "application/json"
    return "image/png" if body.startswith(PNG) else "application/octet-stream"


def call_every_endpoint(url: str, token: str | None = None) -> int:
    """Return the number of endpoints; raises CallError if one of them fails or is left out."""
    caller = Caller(url.rstrip("/"), token)
    for path in PAGES:
        caller.call("GET", path)
    description = caller.call("GET", "/openapi.json").json
    model, version = caller.call("GET", "/readyz").json["model"].split("@")
    for path in ("/healthz", "/metrics", "/models"):
        caller.call("GET", path)
    _call_model(caller, name=model, version=version)
    _call_images(caller, model)
    _call_v2(caller, model, version)
    missing = sorted(set(_endpoints(description)) - caller.called)
    if token is None:
        missing = [each for each in missing if each[0] != "PUT"]
    if missing:
        raise CallError(f"no call is made to {missing}")
    return len(caller.called)


def _endpoints(description: Any) -> Iterator[tuple[str, str]]:
    for path, operations in description["paths"].items():
        for method in operations:
            yield method.upper(), path


def _call_model(caller: Caller, **names: str) -> None:
    """Call what shows a model, and set an alias if there is a token."""
    caller.call("GET", "/models/{name}", **names)
    shown = caller.call("GET", "/models/{name}/{version}", **names).json
    for figure in shown["figures"]:
        caller.png("GET", "/models/{name}/{version}/figures/{figure}.png", figure=figure, **names)
    for file in ("exact.safetensors", "golden.json"):
        caller.call("GET", "/models/{name}/{version}/files/{file}", file=file, **names)
    if caller.token is not None:
        promotion = {"version": int(names["version"])}
        place = "/models/{name}/aliases/{alias}"
        caller.call("PUT", place, body=promotion, alias="smoke", name=names["name"])


def _call_images(caller: Caller, model: str) -> None:
    """Call what computes with images and latents of the default model."""
    image = caller.png("GET", "/generate", "?n=1&seed=7")
    caller.png("POST", "/generate", "?n=16&seed=7")
    latent = caller.call("POST", "/encode", "?preprocess=none", image).json["images"][0]["mu"]
    caller.png("POST", "/decode", body={"z": [latent]})
    caller.png("POST", "/reconstruct", "?preprocess=none", image)
    caller.png("POST", "/interpolate", "?seed_a=1&seed_b=2&steps=4")
    caller.png("POST", "/traverse", "?seed=1&steps=3&dims=0")
    caller.png("POST", "/augment", "?n=2&seed=1&preprocess=none", image)
    caller.call("POST", "/score", "?draws=2&preprocess=none", image)
    (about,) = [each for each in caller.call("GET", "/models").json["models"] if each["default"]]
    if not about["directions"]:
        raise CallError(f"{model} has no directions, which /edit needs: serve another model")
    caller.png("POST", "/edit", f"?seed=1&direction={about['directions'][0]}")
    packed = caller.call("POST", "/compress", body=image).body
    caller.png("POST", "/decompress", "?format=png", packed)


def _call_v2(caller: Caller, name: str, version: str) -> None:
    """Call the Open Inference Protocol."""
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        caller.call("GET", path)
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        names = {"name": name, "version": version}
        about = caller.call("GET", model, **names).json
        caller.call("GET", f"{model}/ready", **names)
        (latent,) = [each for each in about["inputs"] if each["name"] == "z"]
        size = latent["shape"][-1]
        tensor = {"name": "z", "datatype": "FP32", "shape": [1, size], "data": [0.0] * size}
        caller.call("POST", f"{model}/infer", body={"inputs": [tensor]}, **names)


def main() -> None:
    """Parse the command line, and call."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="address of the service")
    parser.add_argument("--token", help="admin token, to set an alias")
    options = parser.parse_args()
    try:
        number = call_every_endpoint(options.url, options.token)
    except CallError as error:
        sys.exit(str(error))
    print(f"{number} endpoints answer at {options.url}")


if __name__ == "__main__":
    main()
