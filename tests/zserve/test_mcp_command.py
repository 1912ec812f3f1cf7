"""`zserve mcp` as a client starts it."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from PIL import Image

from tests.api.service import digit
from tests.e2e.server import CHECKOUT
from zserve import load
from zserve.mcp_command import main

PROGRAM = "import sys; from zserve.mcp_command import main; sys.exit(main())"


def talk(calls: list[tuple[str, dict[str, Any]]], *options: object) -> list[Any]:
    """Start the command, call tools one after the other, and return their results."""

    async def run() -> list[Any]:
        server = StdioServerParameters(
            command=sys.executable, args=["-c", PROGRAM, *map(str, options)], cwd=CHECKOUT
        )
        async with Client(stdio_client(server)) as client:
            assert len((await client.list_tools()).tools) == 5
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(run)


def pixels(result: Any) -> Any:
    assert not result.is_error, result.content
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(result.content[0].data))))


@pytest.mark.processes
def test_the_tools_answer_over_stdin_and_stdout(tiny: Path, tmp_path: Path):
    (tmp_path / "one.png").write_bytes(digit())
    secret = tmp_path.parent / "secret.png"
    secret.write_bytes(digit())
    generated, shown, reconstructed, outside, wrong = talk(
        [
            ("generate_images", {"n": 4, "seed": 7, "label": "Dress", "model": "labelled"}),
            ("show_models", {}),
            ("reconstruct_image", {"image": "one.png"}),
            ("reconstruct_image", {"image": "../secret.png"}),
            ("generate_images", {"model": "nothing"}),
        ],
        *("--store", tiny, "--model", "plain", "--files", tmp_path),
    )
    vae = load("labelled", store=tiny)
    png = vae.png(vae.sample(4, seed=7, label="Dress"), scale=10)
    assert np.array_equal(pixels(generated), np.asarray(Image.open(io.BytesIO(png))))
    assert json.loads(generated.content[1].text)["seed"] == 7
    assert shown.content[1].text.startswith("plain@1: ")
    assert pixels(reconstructed).shape == (320, 620)
    assert "is not base64" in outside.content[0].text
    assert "no model 'nothing'" in wrong.content[0].text


def test_what_is_missing_is_one_line(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    assert main(["--store", str(tiny), "--model", "nothing"]) == 1
    assert "no model 'nothing'" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([]) == 1
    assert capsys.readouterr().err == (
        "zserve mcp: needs the package mcp: pip install 'zserve[mcp]'\n"
    )


def test_help_imports_no_library(tiny: Path):
    program = "import sys; from zserve.mcp_command import main\ntry: main(['--help'])\nexcept SystemExit: print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert "mcpServers" in done.stdout
    assert done.stdout.endswith("False\n")
