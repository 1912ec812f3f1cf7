"""The files with which zserve runs in other people's tools: a Space, a notebook, a devcontainer."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from huggingface_hub import RepoCard
from nbclient import NotebookClient

from tests.docs.scratch import free_port
from tests.e2e.server import CHECKOUT

SPACE = CHECKOUT / "docker" / "space"
NOTEBOOK = CHECKOUT / "clients" / "examples" / "in_process.ipynb"
DEVCONTAINER = CHECKOUT / ".devcontainer" / "devcontainer.json"
EXTRAS: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


# --- the Space -----------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Space's Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (SPACE / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def variables() -> dict[str, str]:
    (text,) = [rest for name, rest in instructions() if name == "ENV"]
    return dict(pair.split("=", 1) for pair in shlex.split(text))


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the command of the Space with its variables, on a free port of loopback."""
    (command,) = [json.loads(rest) for name, rest in instructions() if name == "CMD"]
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ZSERVE_")},
        **variables(),
        "HOME": str(folder),
        "ZSERVE_HOST": "127.0.0.1",
        "ZSERVE_PORT": str(port),
        "ZSERVE_STORE": str(CHECKOUT / "weights"),
        "ZSERVE_WORKERS": "1",
    }
    program = Path(sys.executable).with_name(command[0])
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, *command[1:]], env=environment, cwd=folder, stdout=output, stderr=output
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                try:
                    if httpx.get(f"{url}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=40)


def test_the_header_of_the_space_is_what_the_hub_reads():
    data = RepoCard.load(SPACE / "README.md").data.to_dict()
    assert data["sdk"] == "docker"
    assert data["license"] == "mit"
    assert str(data["app_port"]) == variables()["ZSERVE_PORT"]
    assert ("EXPOSE", str(data["app_port"])) in instructions()
    assert len(data["short_description"]) <= 60  # the longest that the hub takes


def test_the_space_installs_extras_that_there_are():
    (line,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    match = re.search(r"zserve\[([\w,]+)\]", line)
    assert match is not None
    assert set(match[1].split(",")) <= EXTRAS.keys()


@pytest.mark.processes
def test_the_command_of_the_space_serves_the_page_in_the_frame_of_the_hub(tmp_path: Path):
    with running(tmp_path) as url:
        page = httpx.get(url)
        assert page.status_code == 200
        assert "x-frame-options" not in page.headers
        assert "https://huggingface.co" in page.headers["content-security-policy"]
        forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        body = {"prompt": "a seven", "seed": 7, "response_format": "url"}
        answer = httpx.post(f"{url}/v1/images/generations", json=body, headers=forwarded)
        assert answer.json()["data"][0]["url"].startswith("https://")
        tools = httpx.post(
            f"{url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            headers={"Accept": "application/json, text/event-stream", "Host": "me.hf.space"},
        )
        assert len(tools.json()["result"]["tools"]) == 5


# --- the notebook --------------------------------------------------------------------------------


def test_every_cell_of_the_notebook_runs_and_shows_images(tmp_path: Path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path))
        patch.setenv("PYTHONPATH", str(CHECKOUT))
        client = NotebookClient(notebook, timeout=240, kernel_name="python3")
        executed = client.execute(cwd=str(tmp_path))
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = {
        cell.id for cell in code for output in cell.outputs if "image/png" in output.get("data", {})
    }
    assert shown == {"sample", "label", "interpolate", "reconstruct", "traverse"}
    assert not [o for cell in code for o in cell.outputs if o.get("name") == "stderr"]
    assert (tmp_path / "latents.parquet").is_file()


def test_the_notebook_installs_itself_where_zserve_is_missing_and_has_no_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "%pip install" in first.source
    match = re.search(r"zserve\[([\w,]+)\]", first.source)
    assert match is not None
    assert set(match[1].split(",")) <= EXTRAS.keys()
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


# --- the devcontainer ----------------------------------------------------------------------------


def test_the_commands_of_the_devcontainer_are_targets_of_make():
    container = json.loads(DEVCONTAINER.read_text())
    for name in ("postCreateCommand", "postAttachCommand"):
        command = shlex.split(container[name])
        assert command[0] == "make"
        done = subprocess.run(
            [*command, "--dry-run"], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    settings = container["customizations"]["vscode"]["settings"]
    taplo = settings["evenBetterToml.taplo.configFile.path"]
    assert (CHECKOUT / taplo.rpartition("/")[2]).is_file()
    python = settings["python.defaultInterpreterPath"].partition("/")[2]
    assert python == ".venv/bin/python"  # the one that the first command makes
    assert container["forwardPorts"] == [8000]


def test_the_devcontainer_has_a_python_that_zserve_supports():
    container = json.loads(DEVCONTAINER.read_text())
    version = container["image"].rpartition(":")[2]
    minor = int(version.partition(".")[2])
    assert 11 <= minor <= 14
