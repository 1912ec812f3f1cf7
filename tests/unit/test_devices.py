import pytest

from app.errors import SettingsError
from app.inference.devices import choose_device


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
