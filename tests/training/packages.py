"""Let Python find a package of `examples/` as if it were installed."""

import tomllib
from pathlib import Path

import pytest

from tests.e2e.server import CHECKOUT

EXAMPLES = CHECKOUT / "examples"


def install(folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the package in `folder` on the path, with the metadata that an installer writes to `target`."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["zserve.networks"].items()
    metadata = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {value}\n" for name, value in entries]
    (metadata / "entry_points.txt").write_text("[zserve.networks]\n" + "".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(target))
