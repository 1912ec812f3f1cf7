"""Large bodies and queries that are as expensive to read as their length allows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote

BOUNDARY = "xyz"


@dataclass(frozen=True)
class Attack:
    """A request's content, or its query, and what it consists of."""

    title: str
    content: bytes = b""
    content_type: str = "application/json"
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def repeated(unit: bytes, size: int, start: bytes = b"[", end: bytes = b"]") -> bytes:
    """Return as many units as fit into `size` bytes, separated by commas."""
    return start + b",".join([unit] * ((size - 2) // (len(unit) + 1))) + end


JSON_VALUES: dict[str, Callable[[int], bytes]] = {
    "zeros": lambda size: repeated(b"0", size),
    "integers of 4,300 digits": lambda size: repeated(b"9" * 4300, size),
    "a number of many digits": lambda size: b"[0." + b"1" * size + b"]",
    "strings": lambda size: repeated(b'"a"', size),
    "empty arrays": lambda size: repeated(b"[]", size),
    "empty objects": lambda size: repeated(b"{}", size),
    "keys": lambda size: b"{" + b",".join(b'"%x":0' % i for i in range(size // 10)) + b"}",
    "escapes": lambda size: b'"' + b"\\u0041" * (size // 6) + b'"',
    "nested arrays": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "open arrays": lambda size: b"[" * size,
}
"""Functions that return a JSON value of about `size` bytes, by what it consists of."""


def json_values(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield JSON values of about `size` bytes."""
    for title, value in JSON_VALUES.items():
        yield title, value(size)


def json_bodies(size: int) -> Iterator[Attack]:
    """Yield JSON documents without any of the service's fields."""
    for title, value in json_values(size):
        yield Attack(f"JSON: {title}", value)


def latents_bodies(size: int) -> Iterator[Attack]:
    """Yield bodies of /decode with an expensive z."""
    for title, value in json_values(size):
        yield Attack(f"z: {title}", b'{"z":' + value + b"}")
        yield Attack(f"row of z: {title}", b'{"z":[' + value + b"]}")
        yield Attack(f"extra field: {title}", b'{"z":[[0,0,0]],"y":' + value + b"}")
    yield Attack("rows of z", repeated(b"[0,0,0]", size, b'{"z":[', b"]}"))
    yield Attack("short last row of z", repeated(b"[0,0,0]", size, b'{"z":[', b",[0]]}"))


def v2_bodies(size: int) -> Iterator[Attack]:
    """Yield bodies of /v2/models/NAME/infer with one expensive field."""
    tensor = {"name": b'"z"', "shape": b"[1,3]", "datatype": b'"FP32"', "data": b"[1,2,3]"}
    for title, value in json_values(size):
        for name in (*tensor, "parameters"):
            yield Attack(f"{name} of an input: {title}", _v2_body(tensor | {name: value}))
        for name in ("id", "parameters", "outputs", "other"):
            yield Attack(f"{name}: {title}", _v2_body(tensor, name, value))
        yield Attack(f"inputs: {title}", b'{"inputs":' + value + b"}")
    yield Attack("inputs", repeated(_object(tensor), size, b'{"inputs":[', b"]}"))
    yield Attack("binary", b"\0" * size, "application/octet-stream", headers=_length(0))


def _v2_body(tensor: dict[str, bytes], name: str = "id", value: bytes = b'"1"') -> bytes:
    return b'{"inputs":[%s],"%s":%s}' % (_object(tensor), name.encode(), value)


def _object(members: dict[str, bytes]) -> bytes:
    return b"{%s}" % b",".join(b'"%s":%s' % (k.encode(), v) for k, v in members.items())


def _length(length: int) -> dict[str, str]:
    return {"Inference-Header-Content-Length": str(length)}


def forms(size: int) -> Iterator[Attack]:
    """Yield multipart forms."""
    for name in ("image", "a", "file"):
        yield _form(f"{name} of line ends", _part(name, b"\r\n" * (size // 2)))
        yield _form(f"{name} of half boundaries", _part(name, b"\r\n--xy" * (size // 6)))
    yield _form("many parts", _part("image", b"") * (size // 70))
    yield _form("many headers", b"--xyz\r\n" + b"a:b\r\n" * (size // 5) + b"\r\n\r\n\r\n")
    yield _form("a long header", b"--xyz\r\nX: " + b"a" * size + b"\r\n\r\n\r\n")
    yield _form("a long name", _part("n" * size, b""))
    yield _form("a preamble", b"\r\n" * (size // 2))
    yield _form("an epilogue", _part("image", b"x") + b"--xyz--" + b"\r\n" * (size // 2))


def _form(title: str, parts: bytes) -> Attack:
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return Attack(f"form: {title}", parts + b"--xyz--\r\n", content_type)


def _part(name: str, content: bytes) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="a"'
    return b"--xyz\r\n" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


def other_bodies(size: int) -> Iterator[Attack]:
    """Yield bodies of other types, among them single images."""
    for content_type in (
        "image/png",
        "image/jpeg",
        "application/x-npz",
        "application/x-www-form-urlencoded",
        "text/plain",
    ):
        yield Attack(f"{content_type}: a=b&", b"a=b&" * (size // 4), content_type)


def queries(size: int) -> Iterator[Attack]:
    """Yield query strings of about `size` bytes."""
    yield Attack("query: many parameters", query="&".join(f"a{i}=1" for i in range(size // 8)))
    yield Attack("query: a long name", query="%41" * (size // 3) + "=1")
    for name in ("n", "seed", "temperature", "span", "steps", "columns"):
        yield Attack(f"query: a long {name}", query=f"{name}=" + "9" * size)
    yield Attack("query: many dims", query="dims=" + "0," * (size // 2))
    for name in ("model", "label", "format", "path"):
        yield Attack(f"query: a long {name}", query=f"{name}=" + "@" * size)


def moves(size: int, head_size: int) -> Iterator[Attack]:
    """Yield bodies and queries of /edit and /traverse for the model `moving`."""
    query = "model=moving&direction=slant"
    for attack in latents_bodies(size):
        yield replace(attack, query=query)
    for unit in ("slant,", ",", "class:", "slant, "):
        value = unit * (head_size // len(quote(unit)))
        yield Attack(f"direction: {unit}", query=f"model=moving&seed=1&direction={value}")
    for unit in ("1,", "9", "-", "0.", ","):
        value = unit * (head_size // len(quote(unit)))
        yield Attack(f"by: {unit}", query=f"{query}&seed=1&by={value}")


def headers(size: int) -> Iterator[Attack]:
    """Yield headers of about `size` bytes."""
    for name in ("Accept", "Accept-Encoding", "If-None-Match", "Content-Encoding", "X-Request-ID"):
        for unit in (",", "a,", 'a/b;q=0.1;x="y",', '"a", '):
            value = unit * (size // len(unit))
            yield Attack(f"{name}: {unit}", headers={name: value.strip()})
    yield Attack(
        "Content-Type: many parameters", content_type="multipart/form-data;" + "a=b;" * 15000
    )
    yield Attack("Authorization", headers={"Authorization": "Bearer " + "a" * size})
    yield Attack("traceparent", headers={"traceparent": "0" * size})
    yield Attack("Cookie", headers={"Cookie": "a=b;" * (size // 4)})
    yield Attack("many headers", headers={f"X-{i}": "a" * 90 for i in range(size // 100)})
