"""Send the inputs to a real server over a socket, byte by byte as they are."""

import contextlib
import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.api.service import publish
from tests.e2e.server import serving
from tests.hostile.generate import read

TIMEOUT_S = 60
Entry = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The answer; status 0 if the connection was closed without an answer."""

    status: int
    content_type: str
    body: bytes

    @property
    def problem(self) -> str:
        """The last part of the problem's type, or an empty string."""
        if self.content_type != "application/problem+json":
            return ""
        return str(json.loads(self.body)["type"]).removeprefix("/problems/")


def publish_models(store: Path, entries: list[Entry]) -> None:
    """Publish `mnist`, and for each hostile manifest a model of its own."""
    publish(store, "mnist")
    for entry in entries:
        if str(entry["file"]).startswith("manifests/"):
            shutil.copytree(store / "mnist" / "1", store / model_of(entry) / "1")
            path = store / model_of(entry) / "1" / "manifest.json"
            path.write_bytes(_manifest(entry, path.read_text()))


@contextlib.contextmanager
def serving_hostile(folder: Path) -> Iterator[str]:
    """Run a server on the store in a folder, with the token that the inputs send."""
    variables = {"ZSERVE_DEVICE": "cpu", "ZSERVE_ADMIN_TOKEN": "a-token-for-tests"}
    with serving(folder / "store", folder / "server.log", **variables) as address:
        yield address


def model_of(entry: Entry) -> str:
    """Return the name of the model with a hostile manifest."""
    return Path(entry["file"]).name.partition(".")[0].replace("_", "-")


def _manifest(entry: Entry, valid: str) -> bytes:
    if ".raw" in entry["file"]:
        return read(entry)
    manifest = json.loads(valid) | {"name": model_of(entry)}
    return json.dumps(_merged(manifest, json.loads(read(entry)))).encode()


def _merged(target: Any, patch: Any) -> Any:
    """Return a document after a JSON merge patch, RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def send(address: str, entry: Entry) -> Answer:
    """Send an input, and return the answer."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), TIMEOUT_S) as connection:
        # The server may answer, and close, before it has read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(_request(entry))
        response = http.client.HTTPResponse(connection, method=str(entry.get("method")))
        try:
            response.begin()
            body = response.read()
        except (http.client.HTTPException, ConnectionResetError):
            return Answer(0, "", b"")
        content_type = (response.getheader("Content-Type") or "").partition(";")[0]
        return Answer(response.status, content_type, body)


def _request(entry: Entry) -> bytes:
    family = entry["file"].partition("/")[0]
    if family == "requests":
        return read(entry)
    if family == "manifests":
        target = f"GET /generate?n=1&model={model_of(entry)} HTTP/1.1"
        return f"{target}\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    body = read(entry)
    lines = [f"{entry['method']} {entry['target']} HTTP/1.1", "Host: a", "Connection: close"]
    if entry["content_type"]:
        lines.append(f"Content-Type: {entry['content_type']}")
    lines += [f"{name}: {value}" for name, value in entry["headers"].items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
