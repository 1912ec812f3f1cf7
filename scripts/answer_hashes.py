"""Hash what a checkout's service answers to a fixed set of requests, to compare two commits.

    python scripts/answer_hashes.py --checkout DIR [--store DIR] [--output before.json]
    python scripts/answer_hashes.py --compare before.json after.json

The service of the checkout runs in the checkout's own `.venv`, on a free loopback port. Each answer
is reduced to its status, type, headers and the SHA-256 of its body, and archives also to the hash
of their contents. Texts for people are left out: errors are compared by status and problem type
only.
"""

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODELS = (
    "mnist@11",
    "mnist-flow@5",
    "mnist-gaussian@2",
    "fashion@3",
    "fashion-flow@9",
    "faces@2",
    "letters@3",
    "digits@4",
    "lab@4",
    "notebook@3",
)
"""The versions to ask, each the production version of its model."""

HEADERS = (
    "Allow",
    "Cache-Control",
    "Content-Disposition",
    "Content-Type",
    "ETag",
    "Inference-Header-Content-Length",
    "Retry-After",
    "Vary",
    "X-Model",
    "X-Seed",
    "X-Weights-SHA256",
)
VOLATILE = {"volatile": {"X-Seed"}, "type": {"ETag"}}
"""Kind of request -> headers that change by chance, or with the text of a file for people."""

BOUNDARY = "answer-hashes-boundary"
START_TIMEOUT_S = 180.0


# --- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One request; `name` is the key in the result, `kind` chooses how the answer is reduced."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    kind: str = "bytes"


def draw_uploads() -> dict[str, bytes]:
    """Return image files by name, drawn by arithmetic: formats, modes and sizes that people send."""
    digit = Image.fromarray(_stroke(200, 140, ink=20, paper=235))
    colours = Image.fromarray(_colours(97, 131))
    transparent = Image.fromarray(_colours(61, 43)).convert("RGBA")
    transparent.putalpha(Image.fromarray(_ramp(61, 43)))
    palette = Image.fromarray(_colours(50, 70)).quantize(16)
    deep = Image.fromarray(_stroke(40, 44, ink=250, paper=5).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    return {
        "digit.png": _file(digit.convert("RGB")),
        "grey.png": _file(digit),
        "ready28.png": _file(Image.fromarray(_stroke(28, 28, ink=255, paper=0))),
        "ready32.png": _file(Image.fromarray(_colours(32, 32))),
        "colours.png": _file(colours),
        "rgba.png": _file(transparent),
        "la.png": _file(transparent.convert("LA")),
        "palette.png": _file(palette, transparency=bytes(range(0, 256, 16))),
        "grey16.png": _file(deep),
        "bilevel.png": _file(digit.convert("1")),
        "tall.png": _file(Image.fromarray(_colours(301, 13))),
        "wide.png": _file(Image.fromarray(_colours(13, 301))),
        "colours.jpg": _file(colours, "JPEG", quality=90),
        "grey.jpg": _file(digit, "JPEG", quality=80),
        "cmyk.jpg": _file(colours.convert("CMYK"), "JPEG", quality=90),
        "turned.jpg": _file(colours, "JPEG", quality=90, exif=exif),
        "pixel.png": _file(Image.new("RGB", (1, 1), (200, 30, 60))),
        "blank.png": _file(Image.new("L", (40, 40), 255)),
    }


def _ramp(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.asarray((rows * 255 // max(height - 1, 1) + columns) % 256, np.uint8)


def _colours(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 7 % 256, columns * 5 % 256, (rows + 3 * columns) % 256], -1).astype(
        np.uint8
    )


def _stroke(height: int, width: int, *, ink: int, paper: int) -> NDArray[np.uint8]:
    """Draw a ring with a diagonal bar, which can be prepared like a digit."""
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = (rows + 0.5) / height - 0.45, (columns + 0.5) / width - 0.5
    ring = np.abs(np.hypot(y, x) - 0.25) < 0.06
    bar = (np.abs(y - x) < 0.05) & (np.abs(x) < 0.3)
    return np.where(ring | bar, ink, paper).astype(np.uint8)


def _file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def raw(path: str, name: str, content: bytes, **headers: str) -> Request:
    """Return a POST whose body is one image file."""
    media_type = "image/png" if name.endswith(".png") else "image/jpeg"
    return Request(
        f"POST {path} <{name}>", "POST", path, {"Content-Type": media_type, **headers}, content
    )


def form(path: str, parts: Iterable[tuple[str, str, bytes]]) -> Request:
    """Return a POST of a multipart form: (field, file name, content)."""
    body, names = b"", []
    for form_field, name, content in parts:
        names.append(f"{form_field}={name}")
        head = f'Content-Disposition: form-data; name="{form_field}"; filename="{name}"'
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return Request(f"POST {path} <{' '.join(names)}>", "POST", path, headers, body)


def plain(method: str, path: str, kind: str = "bytes", **headers: str) -> Request:
    """Return a request without a body."""
    shown = "".join(f" [{name}: {value}]" for name, value in headers.items())
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(f"{method} {path}{shown}", method, path, names, kind=kind)


def as_json(path: str, document: object, label: str) -> Request:
    """Return a POST of a JSON document."""
    headers = {"Content-Type": "application/json"}
    return Request(f"POST {path} <{label}>", "POST", path, headers, json.dumps(document).encode())


def latents(count: int, dimensions: int) -> list[list[float]]:
    """Return latents that every float represents exactly."""
    return [[((3 * i + 5 * j) % 17 - 8) / 8 for j in range(dimensions)] for i in range(count)]


def model_requests(model: str, uploads: Mapping[str, bytes]) -> Iterator[Request]:
    """Yield requests to every endpoint that runs this model."""
    yield from _generations(model)
    yield from _of_uploads(model, uploads)
    yield from _paths(model, uploads)
    yield from _tensors(model)
    yield from _descriptions(model)


def _generations(model: str) -> Iterator[Request]:
    for query in (
        "seed=7&n=1",
        "seed=7&n=16",
        "seed=41&n=100",
        "seed=4294967295&n=3&temperature=0.5",
        "seed=7&n=4&temperature=0",
        "seed=7&n=5&columns=2&scale=3",
        "seed=7&n=2&metadata=false",
        "seed=7&n=4&label=3",
        "seed=7&n=4&label=0&temperature=0.7&format=json",
        "seed=7&n=3&format=json",
        "seed=7&n=2&format=json&pixels=true",
        "seed=7&n=3&format=zip",
        "seed=7&n=3&format=zip&metadata=false&scale=2",
        "seed=7&n=300&format=zip",
        "seed=7&n=16&format=npz",
        "seed=7&n=2&format=npz&metadata=false",
    ):
        yield plain("GET", f"/generate?model={model}&{query}")
    yield plain("POST", f"/generate?model={model}&seed=7&n=16")
    yield plain("HEAD", f"/generate?model={model}&seed=7&n=16")
    yield plain("GET", f"/generate?model={model}&n=1", "volatile")
    for accept in ("application/json", "application/zip;q=0.9, image/png;q=0.1", "text/html"):
        yield plain("GET", f"/generate?model={model}&seed=3&n=2", Accept=accept)
    yield plain("GET", f"/generate?model={model}&seed=3&n=2", If_None_Match="*")


def _of_uploads(model: str, uploads: Mapping[str, bytes]) -> Iterator[Request]:
    for name, content in uploads.items():
        yield raw(f"/reconstruct?model={model}", name, content)
        yield raw(f"/encode?model={model}", name, content)
    several = [("image", name, uploads[name]) for name in ("digit.png", "colours.jpg", "rgba.png")]
    for query in ("", "&format=json", "&format=zip", "&format=npz&metadata=false", "&scale=2"):
        yield form(f"/reconstruct?model={model}{query}", several)
    yield form(f"/encode?model={model}&format=npz", several)
    for name in ("ready28.png", "ready32.png"):
        yield raw(f"/reconstruct?model={model}&preprocess=none&format=json", name, uploads[name])
    for query in (
        "n=16",
        "n=3&temperature=0",
        "n=3&format=json&pixels=true",
        "n=3&format=zip",
        "n=3&format=npz",
        "n=5&columns=5&scale=2&metadata=false",
    ):
        yield raw(f"/augment?model={model}&seed=11&{query}", "digit.png", uploads["digit.png"])


def _paths(model: str, uploads: Mapping[str, bytes]) -> Iterator[Request]:
    for query in (
        "steps=8",
        "steps=8&path=slerp",
        "steps=5&format=gif&frame_ms=50&bounce=true",
        "steps=5&format=apng&loop=false&scale=2",
        "steps=5&format=json",
        "steps=5&format=zip",
        "steps=5&format=npz&path=slerp",
        "steps=3&metadata=false",
    ):
        yield plain("POST", f"/interpolate?model={model}&seed_a=1&seed_b=2&{query}")
    ends = [("a", "digit.png", uploads["digit.png"]), ("b", "colours.jpg", uploads["colours.jpg"])]
    for query in ("", "&path=slerp&steps=4&format=gif", "&format=apng&steps=4", "&format=zip"):
        yield form(f"/interpolate?model={model}{query}", ends)
    yield form(f"/interpolate?model={model}&seed_b=9&format=json", ends[:1])
    for query in (
        "",
        "&seed=5",
        "&dims=1,0&steps=5&span=2.5",
        "&seed=5&format=json&steps=3&dims=0",
    ):
        yield plain("POST", f"/traverse?model={model}{query}")
    for query in ("&dims=0,1&steps=3", "&dims=0,1&steps=3&format=zip", "&steps=3&format=npz"):
        yield raw(f"/traverse?model={model}{query}", "digit.png", uploads["digit.png"])


def _tensors(model: str) -> Iterator[Request]:
    name, _, version = model.partition("@")
    dimensions = {"notebook": 2, "digits": 20, "lab": 20}.get(name, 32)
    z = latents(3, dimensions)
    for query in ("", "&format=json", "&format=zip", "&format=npz", "&columns=1&scale=2"):
        yield as_json(f"/decode?model={model}{query}", {"z": z}, "3 latents")
    yield as_json(f"/decode?model={model}", {"z": z[:1]}, "1 latent")
    yield as_json(f"/decode?model={model}", {"z": [[0.5]]}, "a latent of another width")
    tensor = {"name": "z", "shape": [3, dimensions], "datatype": "FP32"}
    path = f"/v2/models/{name}/versions/{version}/infer"
    yield as_json(path, {"id": "a", "inputs": [{**tensor, "data": z}]}, "z")
    yield as_json(
        path,
        {"inputs": [{**tensor, "data": z}], "parameters": {"binary_data_output": True}},
        "z, binary output",
    )
    yield as_json(path, {"inputs": [{**tensor, "shape": [2, 2], "data": z}]}, "wrong shape")
    shape = [2, 3, 64, 64] if name == "faces" else [2, 1, 28, 28]
    image = ((np.arange(np.prod(shape)) * 37 % 256) / np.float32(255)).astype("<f4")
    binary: dict[str, Any] = {"name": "image", "shape": shape, "datatype": "FP32"}
    binary["parameters"] = {"binary_data_size": image.nbytes}
    head = json.dumps({"inputs": [binary]}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    body = head + image.tobytes()
    yield Request(f"POST {path} <image, binary input>", "POST", path, headers, body)


def _descriptions(model: str) -> Iterator[Request]:
    name, _, version = model.partition("@")
    yield plain("GET", f"/models/{name}", "versions")
    yield plain("GET", f"/models/{name}/{version}", "version")
    yield plain("GET", f"/models/{name}/production", "version")
    for figure in ("samples", "loss", "traversal", "manifold", "nothing"):
        yield plain("GET", f"/models/{name}/{version}/figures/{figure}.png")
    yield plain("GET", f"/v2/models/{name}", "v2")
    yield plain("GET", f"/v2/models/{name}/versions/{version}", "v2")
    yield plain("GET", f"/v2/models/{name}/versions/{version}/ready")


def service_requests(uploads: Mapping[str, bytes]) -> Iterator[Request]:
    """Yield requests that no model answers: errors, descriptions, files of the page."""
    for path in ("/healthz", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready"):
        yield plain("GET", path)
    yield plain("GET", "/models", "models")
    yield plain("GET", "/openapi.json", "openapi")
    yield plain("GET", "/metrics", "metrics")
    for path in ("/", "/docs"):
        yield plain("GET", path, "type")
    yield plain("GET", "/generate?seed=1&n=1")
    for path in (
        "/nothing",
        "/models/nothing",
        "/models/mnist/99",
        "/models/mnist/nowhere",
        "/generate?model=nothing",
        "/generate?model=mnist@99",
        "/generate?model=a@b@c",
        "/generate?n=0",
        "/generate?n=257",
        "/generate?n=1000000&format=zip",
        "/generate?n=many",
        "/generate?seed=-1",
        "/generate?seed=4294967296",
        "/generate?temperature=11",
        "/generate?temperature=nan",
        "/generate?label=ten",
        "/generate?scale=17",
        "/generate?n=256&scale=16",
        "/generate?columns=0",
        "/generate?format=webp",
        "/generate?sead=1",
        "/generate?seed=1&n=1&format=",
        "/reconstruct",
        "/v2/models/nothing",
    ):
        yield plain("GET", path)
    yield plain("DELETE", "/models")
    yield plain("PUT", "/models/mnist/aliases/production")
    for path in (
        "/reconstruct",
        "/encode",
        "/augment",
        "/decode",
        "/interpolate",
        "/interpolate?seed_a=1",
        "/interpolate?seed_a=1&seed_b=2&steps=1",
        "/traverse?dims=0,0",
        "/traverse?dims=99",
        "/traverse?dims=x",
        "/traverse?span=11",
    ):
        yield plain("POST", path)
    yield from _refused_bodies(uploads)


def _refused_bodies(uploads: Mapping[str, bytes]) -> Iterator[Request]:
    digit = uploads["digit.png"]
    vast = _file(Image.new("L", (1100, 1000), 255))
    for name, content in {
        "empty.png": b"",
        "cut.png": digit[: len(digit) // 2],
        "text.png": b"not an image at all",
        "gif.png": _file(Image.new("L", (9, 9)), "GIF"),
        "vast.png": vast,
        "heavy.png": digit + bytes(1024 * 1024),
    }.items():
        yield raw("/reconstruct", name, content)
    yield raw("/reconstruct?preprocess=none", "digit.png", digit)
    for content_type in ("text/plain", "application/json", "multipart/form-data", "image/webp"):
        headers = {"Content-Type": content_type}
        name = f"POST /encode <as {content_type}>"
        yield Request(name, "POST", "/encode", headers, digit)
    yield form("/encode", [("picture", "digit.png", digit)])
    yield form("/augment", [("image", "1.png", digit), ("image", "2.png", digit)])
    yield form("/interpolate", [("a", "a.png", digit)])
    yield form("/interpolate?seed_a=1&seed_b=2", [("a", "a.png", digit)])
    for label, body in {"no JSON": b"{", "no z": b"{}", "no rows": b'{"z": []}'}.items():
        headers = {"Content-Type": "application/json"}
        yield Request(f"POST /decode <{label}>", "POST", "/decode", headers, body)
        path = "/v2/models/mnist/infer"
        yield Request(f"POST {path} <{label}>", "POST", path, headers, body)


# --- answers -----------------------------------------------------------------------------------


def fingerprint(
    request: Request, status: int, headers: Mapping[str, str], body: bytes
) -> dict[str, object]:
    """Reduce an answer to the parts that have to stay the same."""
    kept = {
        name: headers[name.lower()]
        for name in HEADERS
        if name.lower() in headers and name not in VOLATILE.get(request.kind, ())
    }
    result: dict[str, object] = {"status": status, "headers": kept}
    media_type = kept.get("Content-Type", "").partition(";")[0]
    if status >= 400:  # texts of errors are for people
        document = json.loads(body) if body else {}
        result["problem"] = document.get("type", sorted(document))
    elif request.kind in REDUCERS:
        reduced = REDUCERS[request.kind](body)
        result |= {name: _hash(value) for name, value in reduced.items()}
    elif request.kind == "bytes":
        result["sha256"] = hashlib.sha256(body).hexdigest()
        result["length"] = len(body)
        if body and (media_type == "application/zip" or request.path.find("format=npz") > 0):
            result["contents"] = _hash(_archive(body))
    return result


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _archive(body: bytes) -> dict[str, str]:
    """Return member -> SHA-256, to show if two archives differ in more than their packing."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {
            member.filename: hashlib.sha256(archive.read(member)).hexdigest()
            for member in archive.infolist()
        }


def _models(body: bytes) -> dict[str, object]:
    entries = json.loads(body)["models"]
    return {
        f"{entry['name']}@{entry['version']}": {**entry, "versions": None}
        for entry in entries
        if f"{entry['name']}@{entry['version']}" in MODELS
    }


def _versions(body: bytes) -> dict[str, object]:
    document = json.loads(body)
    return {"name": document["name"], "aliases": document["aliases"]} | {
        f"{document['name']}@{manifest['version']}": manifest
        for manifest in document["versions"]
        if f"{document['name']}@{manifest['version']}" in MODELS
    }


def _version(body: bytes) -> dict[str, object]:
    document = json.loads(body)
    return {name: value for name, value in document.items() if name != "card"}


def _v2(body: bytes) -> dict[str, object]:
    return {name: value for name, value in json.loads(body).items() if name != "versions"}


def _openapi(body: bytes) -> dict[str, object]:
    """Return operation -> its id, parameters and answers, without descriptions and schema names."""
    return {
        f"{method.upper()} {path}": {
            "id": operation.get("operationId"),
            "parameters": [
                [entry["in"], entry["name"], entry.get("required", False)]
                for entry in operation.get("parameters", [])
            ],
            "takes": sorted(operation.get("requestBody", {}).get("content", {})),
            "answers": {
                status: sorted(answer.get("content", {}))
                for status, answer in operation["responses"].items()
            },
        }
        for path, operations in json.loads(body)["paths"].items()
        for method, operation in operations.items()
    }


def _metrics(body: bytes) -> dict[str, object]:
    lines = body.decode().splitlines()
    types = (line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    return {name: kind for name, kind in types if name.startswith("zserve")}


REDUCERS = {
    "metrics": _metrics,
    "models": _models,
    "openapi": _openapi,
    "v2": _v2,
    "version": _version,
    "versions": _versions,
}
"""Kind of answer -> function that returns the parts to compare, by name."""


# --- the service -------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(checkout: Path, store: Path | None) -> Iterator[int]:
    """Run the service of a checkout without any ZSERVE_ variable; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(checkout / ".venv/bin/python"), "-m", "app", "--port", str(port)]
    command += ["--device", "cpu", "--log-level", "warning"]
    command += [] if store is None else ["--store", str(store.absolute())]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ZSERVE_")
    }
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _await_ready(process, port)
            yield port
        except BaseException:
            log.seek(0)
            print(log.read()[-4000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(timeout=60)


def _await_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the service did not get ready")


def collect(checkout: Path, store: Path | None, only: str) -> dict[str, object]:
    """Send every request in order; return request -> fingerprint."""
    uploads = draw_uploads()
    requests = [*service_requests(uploads)]
    for model in MODELS:
        requests += model_requests(model, uploads)
    answers: dict[str, object] = {
        f"upload {name}": hashlib.sha256(content).hexdigest() for name, content in uploads.items()
    }
    with serving(checkout, store) as port:
        for request in requests:
            if only in request.name:
                answers[request.name] = fingerprint(request, *_send(port, request))
    return answers


def _send(port: int, request: Request) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    path = quote(request.path, safe="/?&=@,:%")
    try:
        connection.request(request.method, path, request.body or None, dict(request.headers))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()
    finally:
        connection.close()


# --- comparison --------------------------------------------------------------------------------


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each request whose answers differ."""
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            yield f"{name}: {old} -> {new}"
            continue
        old, new = (_flat(answer) for answer in (old, new))
        for part in sorted(old.keys() | new.keys()):
            if old.get(part) != new.get(part):
                yield f"{name}: {part}: {old.get(part)} -> {new.get(part)}"


def _flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: value for name, value in answer.items() if name != "headers"}
    return parts | {f"header {name}": value for name, value in answer["headers"].items()}


def main() -> int:
    """Write the hashes of a checkout, or print how two results differ; 1 if they do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--store", type=Path, help="folder of the models (default: the shipped)")
    parser.add_argument("--output", type=Path, help="file to write (default: stdout)")
    parser.add_argument("--only", default="", metavar="TEXT", help="requests that contain TEXT")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.compare:
        before, after = (json.loads(path.read_text()) for path in options.compare)
        lines = list(differences(before, after))
        print("\n".join([*lines, f"{len(before)} and {len(after)} answers, {len(lines)} differ"]))
        return 1 if lines else 0
    answers = collect(options.checkout.absolute(), options.store, options.only)
    text = json.dumps(answers, indent=1) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
