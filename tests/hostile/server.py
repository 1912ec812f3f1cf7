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

from model_store.directions import Directions
from model_store.store import Store
from tests.api.service import MOVING_DIRECTIONS, MOVING_STEPS, encoded, publish, publish_moving
from tests.e2e.server import serving
from tests.hostile.generate import read
from tests.hostile.version_files import with_header
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.compression.codecs import table
from tests.unit.exact_versions import publish_compressing
from tests.unit.models import a_card, replace_file, tiny_classes, tiny_description
from tests.unit.training_snapshots import snapshots
from tests.unit.typicality_tables import table as typicality_table

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
    """Publish the models that requests name, and one for each hostile manifest or file."""
    publish(store, "mnist")
    publish_moving(store, "moving")
    publish_compressing(store, "exact")
    publish_whole(store, "whole")
    for entry in entries:
        family = family_of(entry)
        if family == "manifests":
            folder = _copy(store, "mnist", model_of(entry))
            path = folder / "manifest.json"
            path.write_bytes(_manifest(entry, path.read_text()))
        if family == "versions":
            model, _, filename = str(entry["target"]).partition("/")
            folder = _copy(store, model, model_of(entry))
            replace_file(folder, filename, hostile_file(entry, (folder / filename).read_bytes()))


def publish_whole(store: Path, name: str) -> None:
    """Publish an exact version that has every optional file; 2 classes and 3 latent dimensions."""
    spec = SPECS["conv"]
    changes = {
        "spec": spec,
        "latents": None,
        "classes": ("a", "b"),
        "directions": MOVING_DIRECTIONS,
    }
    Store(store).publish(
        name,
        tiny_description().model_copy(update=changes),
        None,
        card=a_card,
        network=exact_network("conv"),
        pixels=table("conv"),
        class_latents=tiny_classes(),
        directions=Directions(MOVING_DIRECTIONS.names, MOVING_STEPS),
        typicality=typicality_table(),
        encoded_images=encoded(3, spec.latent),
        snapshots=snapshots(shape=spec.image.shape),
    )


def _copy(store: Path, model: str, name: str) -> Path:
    """Copy version 1 of a model as that of another name, and return its folder."""
    folder = shutil.copytree(store / model / "1", store / name / "1")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    return folder


@contextlib.contextmanager
def serving_hostile(folder: Path) -> Iterator[str]:
    """Run a server on the store in a folder, with the token that the inputs send."""
    variables = {"ZSERVE_DEVICE": "cpu", "ZSERVE_ADMIN_TOKEN": "a-token-for-tests"}
    with serving(folder / "store", folder / "server.log", **variables) as address:
        yield address


def family_of(entry: Entry) -> str:
    """Return the folder of an input."""
    return str(entry["file"]).partition("/")[0]


def model_of(entry: Entry) -> str:
    """Return the name of the model with a hostile manifest or file."""
    return Path(entry["file"]).name.partition(".")[0].replace("_", "-")


def hostile_file(entry: Entry, valid: bytes) -> bytes:
    """Return the hostile content of a file of a version."""
    if ".program.json" not in entry["file"]:
        return read(entry)
    length = int.from_bytes(valid[:8], "little")
    header = json.loads(valid[8 : 8 + length])
    arithmetic, _, program = header["__metadata__"]["program"].partition(" ")
    merged = json.dumps(_merged(json.loads(program), json.loads(read(entry))))
    header["__metadata__"]["program"] = f"{arithmetic} {merged}"
    return with_header(json.dumps(header).encode(), valid[8 + length :])


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
    family = family_of(entry)
    if family in {"requests", "moves", "files"}:
        return read(entry)
    if family in {"manifests", "versions"}:
        target = f"GET /generate?n=1&model={model_of(entry)} HTTP/1.1"
        return f"{target}\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    body = read(entry)
    lines = [f"{entry['method']} {entry['target']} HTTP/1.1", "Host: a", "Connection: close"]
    if entry["content_type"]:
        lines.append(f"Content-Type: {entry['content_type']}")
    lines += [f"{name}: {value}" for name, value in entry["headers"].items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
