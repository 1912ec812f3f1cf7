"""A local server that speaks the API of the Hugging Face hub, as far as its client needs it here.

Repositories live in memory as lists of commits. Weights and pictures go through Git LFS, other files
into the commit, as on the hub.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

LFS = (".safetensors", ".png")


@dataclass
class Repository:
    """Commits by their number, and what branches and tags point at."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        sha = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()  # noqa: S324
        self.commits[sha] = files
        self.branches[branch] = sha
        self.messages.append(message)
        return sha

    def resolve(self, revision: str) -> str | None:
        sha = self.tags.get(revision) or self.branches.get(revision) or revision
        return sha if sha in self.commits else None


class FakeHub:
    """The state of the server, which tests look at and change."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.token: str | None = None
        """The token that every request needs, or None."""
        self.failing = False
        self.address = ""


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.failing:
            self._answer(503, {"error": "out of order"})
            return
        secret = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.hub.token is not None and secret != self.hub.token:
            self._answer(401, {"error": "Invalid username or password."})
            return
        for pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                handle(self, body, *match.groups())
                return
        self._answer(404, {"error": "there is no such path"})

    def _answer(
        self, status: int, content: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        sent = {"Content-Length": str(len(body))} | (headers or {})
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _repository(self, repo: str) -> Repository | None:
        repository = self.hub.repositories.get(repo)
        if repository is None:
            self._answer(404, {"error": "no repository"}, {"X-Error-Code": "RepoNotFound"})
        return repository

    def create(self, body: bytes) -> None:
        values = json.loads(body)
        repo = f"{values['organization']}/{values['name']}"
        url = {"url": f"{self.hub.address}/{repo}"}
        if repo in self.hub.repositories:
            self._answer(409, url | {"error": "You already created this repository"})
            return
        self.hub.repositories[repo] = repository = Repository()
        repository.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial")
        self._answer(200, url)

    def validate(self, body: bytes) -> None:
        """Refuse a README whose header is not YAML, or lacks what the hub asks of a model."""
        header = yaml.safe_load(json.loads(body)["content"].split("---")[1])
        missing = {"license", "library_name", "pipeline_tag"} - header.keys()
        errors = [{"message": f'"{name}" is missing'} for name in sorted(missing)]
        self._answer(200 if not errors else 400, {"errors": errors, "warnings": []})

    def refs(self, _: bytes, repo: str) -> None:
        if repository := self._repository(repo):
            heads, tags = (
                [
                    {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
                    for name, sha in each.items()
                ]
                for kind, each in (("heads", repository.branches), ("tags", repository.tags))
            )
            self._answer(200, {"branches": heads, "tags": tags, "converts": []})

    def info(self, _: bytes, repo: str, revision: str = "main") -> None:
        if not (repository := self._repository(repo)):
            return
        sha = repository.resolve(revision)
        if sha is None:
            self._answer(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [{"rfilename": name} for name in sorted(repository.commits[sha])]
        self._answer(200, {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings})

    def tree(self, _: bytes, repo: str, revision: str) -> None:
        if repository := self._repository(repo):
            files = repository.commits[repository.resolve(revision) or ""]
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in sorted(files.items())
            ]
            self._answer(200, entries)

    def preupload(self, body: bytes, _repo: str, _revision: str) -> None:
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith(LFS) else "regular",
                "shouldIgnore": False,
            }
            for each in json.loads(body)["files"]
        ]
        self._answer(200, {"files": files})

    def batch(self, body: bytes, _repo: str) -> None:
        objects = []
        for each in json.loads(body)["objects"]:
            entry = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.objects:
                href = f"{self.hub.address}/lfs/{each['oid']}"
                entry["actions"] = {"upload": {"href": href}}
            objects.append(entry)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self._answer(200, {})

    def commit(self, body: bytes, repo: str, branch: str) -> None:
        if not (repository := self._repository(repo)):
            return
        files = dict(repository.commits[repository.branches[branch]])
        message = ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            match entry["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.objects[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        sha = repository.commit(branch, files, message)
        url = f"{self.hub.address}/{repo}/commit/{sha}"
        self._answer(200, {"commitUrl": url, "commitOid": sha, "success": True})

    def tag(self, body: bytes, repo: str, revision: str) -> None:
        if repository := self._repository(repo):
            tag = json.loads(body)["tag"]
            if tag in repository.tags:
                self._answer(409, {"error": "the tag exists"})
                return
            sha = repository.resolve(revision)
            assert sha is not None
            repository.tags[tag] = sha
            self._answer(200, {})

    def branch(self, body: bytes, repo: str, branch: str) -> None:
        if repository := self._repository(repo):
            start = json.loads(body or b"{}").get("startingPoint", "main")
            repository.branches[branch] = repository.resolve(start) or ""
            self._answer(200, {})

    def resolve(self, _: bytes, repo: str, revision: str, name: str) -> None:
        if not (repository := self._repository(repo)):
            return
        sha = repository.resolve(revision)
        if sha is None:
            self._answer(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
        elif name not in repository.commits[sha]:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}
            self._answer(404, {"error": "no file"}, headers)
        else:
            content = repository.commits[sha][name]
            etag = hashlib.sha256(content).hexdigest()
            self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": sha})


_REPO = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"GET /api/models/{_REPO}/refs", _Handler.refs),
    (rf"GET /api/models/{_REPO}/revision/(.+)", _Handler.info),
    (rf"GET /api/models/{_REPO}/tree/(.+)", _Handler.tree),
    (rf"GET /api/models/{_REPO}", _Handler.info),
    (rf"POST /api/models/{_REPO}/preupload/(.+)", _Handler.preupload),
    (rf"POST /api/models/{_REPO}/commit/(.+)", _Handler.commit),
    (rf"POST /api/models/{_REPO}/tag/(.+)", _Handler.tag),
    (rf"POST /api/models/{_REPO}/branch/(.+)", _Handler.branch),
    (rf"POST /{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/(\w+)", _Handler.upload),
    (rf"(?:GET|HEAD) /{_REPO}/resolve/([^/]+)/(.+)", _Handler.resolve),
)


@contextmanager
def hub_server() -> Iterator[FakeHub]:
    """Serve an empty hub on loopback."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
