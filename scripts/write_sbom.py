"""Write a software bill of materials (CycloneDX, JSON) for each distribution.

    python -m scripts.write_sbom dist        (make sbom; make wheels does the same)

Each distribution is installed with its pinned requirements in an environment of its own, which
cyclonedx-py lists: names, versions, licences, and which package requires which. Files of others that
are part of the repository are added. Tools that only install, and addresses of this machine, are
left out.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
GENERATOR = "cyclonedx-bom>=7,<8"
INSTALLERS = {"pip", "setuptools", "uv"}
DISTRIBUTIONS = {
    "zserve": ("serve", ROOT / "pyproject.toml"),
    "zserve_client": ("clients", ROOT / "clients" / "pyproject.toml"),
}
"""Name in file names -> its requirements in requirements/, and its pyproject.toml."""
VENDORED = ROOT / "app" / "web" / "vendor" / "README.md"

Bom = dict[str, Any]


def list_environment(requirements: str, pyproject: Path) -> Bom:
    """Return what cyclonedx-py says about a new environment with these requirements."""
    with tempfile.TemporaryDirectory(prefix="zserve-sbom-") as folder:
        install = [sys.executable, str(ROOT / "scripts" / "install.py"), requirements]
        subprocess.run([*install, "--venv", folder, "--torch", "none"], check=True)
        generate = [str(UV), "tool", "run", "--quiet", "--from", GENERATOR, "cyclonedx-py"]
        options = [
            "--pyproject",
            str(pyproject),
            "--output-reproducible",
            "--of",
            "JSON",
            "-o",
            "-",
        ]
        done = subprocess.run(
            [*generate, "environment", f"{folder}/bin/python", *options],
            env=os.environ | {"SOURCE_DATE_EPOCH": _commit_time()},
            stdout=subprocess.PIPE,
            check=True,
        )
    bom: Bom = json.loads(done.stdout)
    return bom


def complete(bom: Bom, vendored: Sequence[Bom]) -> Bom:
    """Return a bill without installers and local addresses, and with the vendored components."""
    kept = [each for each in bom["components"] if each["name"] not in INSTALLERS]
    dropped = {each["bom-ref"] for each in bom["components"]} - {each["bom-ref"] for each in kept}
    root = bom["metadata"]["component"]["bom-ref"]
    components = [_without_local_addresses(each) for each in kept]
    dependencies = []
    for each in bom["dependencies"]:
        if each["ref"] in dropped:
            continue
        required = [ref for ref in each.get("dependsOn", []) if ref not in dropped]
        if each["ref"] == root:
            required += [component["bom-ref"] for component in vendored]
        dependencies.append({"ref": each["ref"]} | ({"dependsOn": required} if required else {}))
    return bom | {"components": [*components, *vendored], "dependencies": dependencies}


def vendored_components(text: str) -> list[Bom]:
    """Return the components that a README of vendored files names, each in one line.

    The line is the folder in backticks, a colon, name, version, and the SPDX licence in parentheses.
    """
    lines = re.findall(r"^`[\w-]+/`: ([\w-]+) (\d[\w.]*) \(([\w.-]+)", text, re.MULTILINE)
    return [
        {
            "bom-ref": f"{name}@{version}",
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:npm/{name}@{version}",
            "licenses": [{"license": {"id": licence}}],
        }
        for name, version, licence in lines
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one file for each distribution into a folder."""
    (name,) = sys.argv[1:] if arguments is None else arguments
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    for distribution, (requirements, pyproject) in DISTRIBUTIONS.items():
        vendored = vendored_components(VENDORED.read_text()) if distribution == "zserve" else []
        bom = complete(list_environment(requirements, pyproject), vendored)
        version = bom["metadata"]["component"]["version"]
        path = folder / f"{distribution}-{version}.cdx.json"
        path.write_text(json.dumps(bom, indent=1) + "\n")
        print(f"{path}: {len(bom['components'])} components")
    return 0


def _without_local_addresses(component: Bom) -> Bom:
    """Return a component without references to files of this machine."""
    references = component.get("externalReferences", [])
    public = [each for each in references if not each["url"].startswith("file:")]
    rest = {key: value for key, value in component.items() if key != "externalReferences"}
    return rest | ({"externalReferences": public} if public else {})


def _commit_time() -> str:
    """Return the time of the last commit, so that the same commit gives the same bill."""
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
