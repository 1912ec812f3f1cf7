"""Write the generated parts of docs/http.md (from OpenAPI) and docs/settings.md (from Settings).

python -m scripts.write_docs            # the text above MARK stays unchanged
python -m scripts.write_docs --check    # exit with status 1 if a file is out of date
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from app.api.problems import INTERNAL, PROBLEMS
from app.asgi import create_app
from app.settings import PREFIX, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
MARK = "<!-- Below this line `make docs` writes. -->\n"
BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
}

Schema = Mapping[str, Any]


def main() -> int:
    """Write or check both files; return 1 if a file is out of date under --check, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    check = parser.parse_args().check
    stale = []
    openapi = create_app(Settings()).openapi()
    for name, lines in {"http.md": reference(openapi), "settings.md": settings()}.items():
        path = DOCS / name
        before = path.read_text(encoding="utf-8")
        prose, _, _ = before.partition(MARK)
        after = prose + MARK + "\n" + "\n".join(lines) + "\n"
        if after == before:
            continue
        stale.append(name)
        if not check:
            path.write_text(after, encoding="utf-8")
    if check and stale:
        print(f"run `make docs`: {', '.join(stale)} does not match the code", file=sys.stderr)
        return 1
    return 0


# --- settings ----------------------------------------------------------------------------------


def settings() -> Iterator[str]:
    """Yield a table with a row for each setting."""
    yield "| variable | default | values | what it is |"
    yield "|---|---|---|---|"
    properties: Schema = Settings.model_json_schema()["properties"]
    for name, field in Settings.model_fields.items():
        values = kind(properties[name])
        about = escaped(field.description or "")
        yield f"| `{PREFIX}{name.upper()}` | {_default(name, field)} | {values} | {about} |"


def _default(name: str, field: FieldInfo) -> str:
    if name == "store":
        return "`models/` and the shipped models"
    return "none" if field.default is None else f"`{field.default}`"


# --- HTTP --------------------------------------------------------------------------------------


def reference(openapi: Schema) -> Iterator[str]:
    """Yield every endpoint in the order of the app, then the problems."""
    yield from _contents(openapi)
    tag = ""
    for path, method, operation in _operations(openapi):
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            yield from ("", f"## {tag[0].upper()}{tag[1:]}")
        yield from _call(path, method, operation, openapi)
    yield from _problems()


def _operations(openapi: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Yield path, method and description; methods with the same schemas share one entry."""
    for path, methods in openapi["paths"].items():
        groups: dict[str, list[str]] = {}
        for method, operation in methods.items():
            schemas = {
                key: operation.get(key) for key in ("parameters", "requestBody", "responses")
            }
            groups.setdefault(repr(schemas), []).append(method)
        for names in groups.values():
            yield path, " or ".join(name.upper() for name in names), methods[names[0]]


def _contents(openapi: Schema) -> Iterator[str]:
    yield "| call | what it does |"
    yield "|---|---|"
    for path, method, operation in _operations(openapi):
        anchor = "".join(c for c in f"{method} {path}".lower() if c.isalnum() or c in " -_")
        yield f"| [`{method} {path}`](#{anchor.replace(' ', '-')}) | {operation['summary']} |"


def _call(path: str, method: str, operation: Schema, openapi: Schema) -> Iterator[str]:
    yield from ("", f"### {method} {path}", "", operation["description"].strip())
    parameters = operation.get("parameters", ())
    if parameters:
        yield from ("", "| parameter | default | values | what it is |", "|---|---|---|---|")
    for parameter in parameters:
        schema = parameter["schema"]
        default = schema.get("default")
        default_text = "" if default is None else f"`{_plain(default)}`"
        about = escaped(parameter.get("description", ""))
        if parameter["in"] == "path":
            default_text = "in the path"
        yield f"| `{parameter['name']}` | {default_text} | {kind(schema)} | {about} |"
    if "requestBody" in operation:
        yield from ("", f"Body: {_body(operation['requestBody'], openapi)}")
    answer = operation["responses"]["200"]
    forms = ", ".join(f"`{form}`" for form in answer["content"])
    others = ", ".join(status for status in operation["responses"] if status != "200")
    refusals = f" Refusals: {others}." if others else ""
    yield from ("", f"Answer: {forms}.{refusals}")
    fields = answer["content"].get("application/json", {}).get("schema", {})
    yield from _fields(fields, openapi)


def _body(body: Schema, openapi: Schema) -> str:
    forms = []
    for media_type, content in body["content"].items():
        schema = _resolved(content["schema"], openapi)
        fields = ", ".join(f"`{name}`" for name in schema.get("properties", ()))
        forms.append(f"`{media_type}`{f' with {fields}' if fields else ''}")
    return f"{' or '.join(forms)}; {'required' if body.get('required') else 'optional'}."


def _fields(schema: Schema, openapi: Schema) -> Iterator[str]:
    properties = _resolved(schema, openapi).get("properties")
    if not properties:
        return
    yield from ("", "| in the JSON | type | what it is |", "|---|---|---|")
    yield from _rows("", properties, openapi, depth=0)


def _rows(prefix: str, properties: Schema, openapi: Schema, depth: int) -> Iterator[str]:
    for name, schema in properties.items():
        yield f"| `{prefix}{name}` | {kind(schema)} | {escaped(schema.get('description', ''))} |"
        inner = _resolved(schema.get("items", {}), openapi).get("properties")
        if inner and depth == 0:
            yield from _rows(f"{prefix}{name}[].", inner, openapi, depth + 1)


def _resolved(schema: Schema, openapi: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    resolved: Schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return resolved


def _problems() -> Iterator[str]:
    yield from ("", "## Problems", "", "| status | `type` | title |", "|---|---|---|")
    kinds = {(problem.status, problem.uri, problem.title) for problem in PROBLEMS.values()}
    for status, uri, title in sorted(kinds | {(INTERNAL.status, INTERNAL.uri, INTERNAL.title)}):
        yield f"| {status} | `{uri}` | {title} |"


# --- text of schemas ---------------------------------------------------------------------------


def kind(schema: Schema) -> str:
    """Describe a JSON schema in a few words, for a table cell."""
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "anyOf" in schema:
        options = dict.fromkeys(kind(choice) for choice in schema["anyOf"])
        return " or ".join(name for name in options if name != "null")
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    bounds = " and ".join(
        text.format(_plain(schema[key])) for key, text in BOUNDS.items() if key in schema
    )
    return " ".join(filter(None, (schema.get("type", "any"), bounds)))


def escaped(text: str) -> str:
    """Escape text for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
