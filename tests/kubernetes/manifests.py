"""The rendered manifests, and the chart that they are rendered from."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes"
CHART = FOLDER / "chart"
MANIFESTS = FOLDER / "manifests"
EXAMPLES = FOLDER / "examples"

_INSTALLED = Path(__file__).parents[2] / "build" / "kubernetes" / "helm"
HELM = shutil.which("helm") or (str(_INSTALLED) if _INSTALLED.exists() else None)

Resource = dict[str, Any]


def resources(name: str) -> list[Resource]:
    """Return the resources of one rendered file."""
    return [each for each in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text()) if each]


def resource(name: str, kind: str) -> Resource:
    """Return the only resource of a kind in a rendered file."""
    (only,) = (each for each in resources(name) if each["kind"] == kind)
    return only


def names() -> list[str]:
    """Return the names of the rendered files."""
    return sorted(path.stem for path in MANIFESTS.glob("*.yaml"))


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    command = [str(HELM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def pod_spec(name: str) -> Resource:
    """Return the spec of the pods that serve."""
    if name == "kserve":
        predictor: Resource = resource(name, "InferenceService")["spec"]["predictor"]
        return predictor
    spec: Resource = resource(name, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Resource:
    """Return the only container of the pods that serve."""
    (only,) = pod_spec(name)["containers"]
    serving: Resource = only
    return serving


def variables(container: Resource) -> dict[str, str]:
    """Return the environment variables whose values are in the manifest."""
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
