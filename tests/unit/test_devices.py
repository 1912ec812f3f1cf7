"""Choose a device, and import torch only if a driver finds a GPU."""

import ctypes
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from app.errors import SettingsError
from app.inference.devices import choose_device, has_gpu, unusable_reason


@pytest.mark.parametrize(
    ("requested", "reason", "device"),
    [
        ("auto", None, "cuda"),
        ("auto", "no driver", "cpu"),
        ("cuda", None, "cuda"),
        ("cpu", None, "cpu"),
        ("cpu", "no driver", "cpu"),
    ],
)
def test_a_gpu_is_used_if_it_is_wanted_and_usable(
    monkeypatch: pytest.MonkeyPatch, requested: str, reason: str | None, device: str
) -> None:
    monkeypatch.setattr("app.inference.devices.unusable_reason", lambda: reason)
    assert choose_device(requested) == device  # type: ignore[arg-type]


def test_a_gpu_that_is_asked_for_by_name_and_unusable_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.inference.devices.unusable_reason", lambda: "no driver")
    with pytest.raises(SettingsError, match=r"device=cuda .* no driver"):
        choose_device("cuda")


@pytest.fixture
def fresh_reason() -> Iterator[None]:
    """Clear the cached result of the GPU check, before and after the test."""
    unusable_reason.cache_clear()
    yield
    unusable_reason.cache_clear()


def pretend_driver(monkeypatch: pytest.MonkeyPatch, status: int | None) -> None:
    """Pretend that there is no driver, or one whose cuInit returns this status."""

    def load(_name: str) -> SimpleNamespace:
        if status is None:
            raise OSError("cannot open shared object file")
        return SimpleNamespace(cuInit=lambda _flags: status)

    monkeypatch.setattr(ctypes, "CDLL", load)


@pytest.mark.usefixtures("fresh_reason")
@pytest.mark.parametrize(
    ("status", "torch", "reason"),
    [
        (None, True, "no NVIDIA driver is installed"),
        (None, False, "no NVIDIA driver is installed"),
        (0, False, "PyTorch is not installed"),
        (100, True, r"the NVIDIA driver finds no usable GPU (cuInit returns 100)"),
        (0, True, "torch says no"),
    ],
)
def test_torch_is_asked_only_if_it_is_installed_and_a_driver_finds_a_gpu(
    monkeypatch: pytest.MonkeyPatch, status: int | None, torch: bool, reason: str
) -> None:
    asked: list[str] = []

    def torch_says_no() -> str:
        asked.append("torch")
        return "torch says no"

    monkeypatch.setattr("app.inference.cuda_graphs.unusable_reason", torch_says_no)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: torch or None)
    pretend_driver(monkeypatch, status)
    assert unusable_reason() == reason
    assert bool(asked) == (reason == "torch says no")


@pytest.mark.parametrize(
    ("status", "present"), [(None, False), (100, False), (0, True), (999, True), (803, True)]
)
def test_a_driver_that_fails_may_have_a_gpu_and_one_that_counts_none_has_none(
    monkeypatch: pytest.MonkeyPatch, status: int | None, present: bool
) -> None:
    pretend_driver(monkeypatch, status)
    assert has_gpu() is present
