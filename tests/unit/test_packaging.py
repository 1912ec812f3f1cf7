import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.server.doctor import OPTIONAL

ROOT = Path(__file__).resolve().parents[2]
BY_VERSION = ("torch", "torchvision")
HASHED = ("clients", "cuda", "dev", "serve", "serve-torch", "train", "uv")
CODE = ("app", "benchmarks", "clients", "model_store", "training")
PACKAGES = ("app", "benchmarks", "clients", "model_store", "scripts", "training", "zserve")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, set[str]]:
    """Package -> its pins in requirements/<name>.txt, hashes and conditions left out."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            found.setdefault(re.split(r"[^\w.-]", line)[0], set()).add(re.split(r"[ ;]", line)[0])
    return found


def final_stage(word: str) -> list[str]:
    """What follows each `word` in the last stage of the Dockerfile."""
    stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    return re.findall(rf"^{word} (.*)$", stage, flags=re.MULTILINE)


def copy_of_the_packages(folder: Path) -> Path:
    """Copy what import-linter reads, so that a test may break it."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("name", [*HASHED, *BY_VERSION])
def test_a_requirement_file_names_packages_and_no_place_to_get_them(name: str):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://| @ |^-|index|/home|/root", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", HASHED)
def test_every_requirement_is_pinned_and_hashed(name: str):
    blocks = re.split(r"\n(?=\w)", (ROOT / "requirements" / f"{name}.txt").read_text())[1:]
    assert blocks
    for block in blocks:
        assert re.match(r"[\w.-]+==[\w.]+( ;.*)? \\\n +--hash=sha256:[0-9a-f]{64}", block), block


@pytest.mark.parametrize("name", BY_VERSION)
def test_torch_and_torchvision_are_pinned_by_version_alone(name: str):
    (requirement,) = pins(name)[name]
    assert re.fullmatch(rf"{name}==\d+\.\d+\.\d+", requirement)


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [("serve", "serve-torch"), ("serve-torch", "train"), ("train", "dev"), ("clients", "dev")],
)
def test_a_larger_set_holds_the_smaller_at_the_same_versions(smaller: str, larger: str):
    held = pins(larger)
    assert len(pins(smaller)) < len(held)
    for package, versions in pins(smaller).items():
        assert versions <= held.get(package, set()), package


def test_every_dependency_of_serving_is_pinned():
    asked = {re.split(r"[<>=; ]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    assert asked - {"zserve-client"} <= pins("serve").keys()


def test_serving_exact_versions_installs_neither_torch_nor_what_only_torch_needs():
    assert not pins("serve").keys() & {"torch", "sympy", "networkx", "jinja2", "fsspec"}
    assert {"sympy", "networkx", "jinja2", "fsspec"} <= pins("serve-torch").keys()


def test_the_container_installs_no_torch_unless_it_is_asked_for():
    assert "ARG TORCH=none\n" in (ROOT / "Dockerfile").read_text()


def test_serving_installs_nothing_that_only_training_needs():
    assert not pins("serve").keys() & {"torchvision", "matplotlib", "typer", "rich"}
    assert not any(name.startswith(("nvidia-", "triton")) for name in pins("serve"))


def test_the_container_holds_the_environment_app_model_store_weights_and_nothing_else():
    copied = [words.split() for words in final_stage("COPY")]
    assert sorted(words[-2] for words in copied) == [
        "/opt/zserve/.venv",
        "/opt/zserve/app",
        "/opt/zserve/healthcheck.py",
        "/opt/zserve/model_store",
        "weights/",
    ]


def test_the_container_runs_the_service_as_an_unprivileged_user():
    assert final_stage("USER") == ["10001:10001"]
    assert final_stage("CMD") == ['["python", "-m", "app"]']


def test_a_build_of_the_container_sees_only_what_dockerignore_names():
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    assert next(rule for rule in rules if rule and not rule.startswith("#")) == "*"


def test_an_import_against_the_arrows_is_refused(tmp_path: Path):
    folder = copy_of_the_packages(tmp_path)
    wrong = [
        ("app/errors.py", "training.errors"),
        ("app/settings.py", "zserve_client"),
        ("app/deadlines.py", "torchvision"),
        ("model_store/errors.py", "app.errors"),
        ("model_store/spec.py", "fastapi"),
        ("training/errors.py", "app.errors"),
        ("training/config.py", "pickle"),
        ("clients/zserve_client/errors.py", "app.errors"),
    ]
    for file, imported in wrong:
        with (folder / file).open("a") as source:
            source.write(f"\nimport {imported}\n")
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'clients'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 1, linted.stdout + linted.stderr
    for file, imported in wrong:
        importer = file.removeprefix("clients/").removesuffix(".py").replace("/", ".")
        assert f"{importer} -> {imported}" in linted.stdout


@pytest.mark.parametrize(
    "line", ["import pickle", "import joblib", "import torch\ntorch.load('x')"]
)
def test_lint_refuses_whatever_loads_a_pickle(line: str):
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--no-cache"]
    answer = subprocess.run(
        [*ruff, "--stdin-filename", "app/imaging/decode.py", "-"],
        input=f"{line}\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "TID251" in answer.stdout


@pytest.mark.parametrize("package", CODE)
def test_no_numpy_file_is_read_with_pickles_allowed(package: str):
    for file in (ROOT / package).rglob("*.py"):
        assert "allow_pickle=True" not in file.read_text(), file


EXTRAS = PYPROJECT["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_page_about_installing_names_every_extra(extra: str):
    assert f"`zserve[{extra}]`" in (ROOT / "docs" / "install.md").read_text()


@pytest.mark.parametrize(("distribution", "remedy"), OPTIONAL.items())
def test_the_doctor_names_an_extra_that_installs_what_is_missing(distribution: str, remedy: str):
    extra = re.match(r"pip install 'zserve\[(.+)\]': ", remedy)
    assert extra is not None
    requirements = ["opentelemetry-sdk"] if extra[1] == "otel" else EXTRAS[extra[1]]
    assert distribution in {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
