"""Which torch scripts/install.py installs."""

from pathlib import Path

import pytest

from scripts import install
from scripts.install import Environment, InstallError, _torch_choice


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_has_nvidia_gpu", lambda: False)
    monkeypatch.delenv("ZSERVE_DEVICE", raising=False)


@pytest.mark.parametrize("option", ["auto", "cpu", "cuda"])
@pytest.mark.parametrize("what", ["serve", "train", "dev"])
def test_a_build_that_is_asked_for_is_installed(
    environment: Environment, what: str, option: str
) -> None:
    assert _torch_choice(what, option, environment) == option


def test_serving_on_a_cpu_installs_no_torch(environment: Environment) -> None:
    assert _torch_choice("serve", None, environment) is None
    assert _torch_choice("serve", "none", environment) is None


def test_serving_installs_torch_for_a_gpu(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_has_nvidia_gpu", lambda: True)
    assert _torch_choice("serve", None, environment) == "auto"
    assert _torch_choice("serve", "none", environment) is None


@pytest.mark.parametrize(("device", "choice"), [("cuda", "auto"), ("cpu", None), ("auto", None)])
def test_serving_installs_torch_if_a_gpu_is_asked_for_by_name(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, device: str, choice: str | None
) -> None:
    monkeypatch.setenv("ZSERVE_DEVICE", device)
    assert _torch_choice("serve", None, environment) == choice


def test_training_and_development_need_torch(environment: Environment) -> None:
    for what in ("train", "dev"):
        assert _torch_choice(what, None, environment) == "auto"
        with pytest.raises(InstallError, match=f"{what} needs torch"):
            _torch_choice(what, "none", environment)


def test_a_build_that_is_installed_stays(environment: Environment) -> None:
    environment.torch_choice_file.write_text("cpu 2.15.0\n")
    for what in ("serve", "train", "dev"):
        assert _torch_choice(what, None, environment) == "cpu"
    assert _torch_choice("serve", "cuda", environment) == "cuda"


@pytest.mark.parametrize("what", ["clients", "docs"])
def test_clients_and_docs_need_no_torch(environment: Environment, what: str) -> None:
    assert _torch_choice(what, "cpu", environment) is None
