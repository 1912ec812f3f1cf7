import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import SettingsError
from app.inference.cuda_graphs import unusable_reason
from app.server.cli import main
from app.server.serve import EXIT_UNUSABLE
from app.settings import Settings, read_settings
from tests.api.service import started
from training.settings import TrainingSettings


def test_the_defaults_serve_the_shipped_models_beside_ones_own() -> None:
    settings = Settings()
    assert settings.store is None  # model_store.store.open_store reads OWN and SHIPPED then
    assert (settings.model, settings.port, settings.device) == ("mnist", 8000, "auto")
    assert settings.max_images == 256
    assert settings.max_body_bytes == 1024 * 1024
    assert settings.max_file_bytes >= 20_000_000
    assert settings.max_pixels >= 50_000_000


def test_every_setting_is_a_variable_and_options_are_stronger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZSERVE_PORT", "9000")
    monkeypatch.setenv("ZSERVE_MAX_IMAGES", "64")
    monkeypatch.setenv("ZSERVE_DATA_DIR", "of another part of the project")
    settings = read_settings(port="9001", host=None)
    assert (settings.port, settings.max_images) == (9001, 64)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_the_token_is_not_shown_by_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSERVE_ADMIN_TOKEN", "very-secret")
    assert "very-secret" not in repr(read_settings())


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ZSERVE_PORT", "abc", "ZSERVE_PORT"),
        ("ZSERVE_PORT", "70000", "ZSERVE_PORT"),
        ("ZSERVE_DEVICE", "tpu", "ZSERVE_DEVICE"),
        ("ZSERVE_MAX_IMAGES", "0", "ZSERVE_MAX_IMAGES"),
        ("ZSERVE_QUEUE_BYTES", "0", "ZSERVE_QUEUE_BYTES"),
        ("ZSERVE_MODEL", "No Such Name", "not a model reference"),
        ("ZSERVE_REQUEST_TIMEOUT_S", "nan", "ZSERVE_REQUEST_TIMEOUT_S"),
        ("ZSERVE_DOCS_URL", "javascript:alert(1)", "ZSERVE_DOCS_URL"),
    ],
)
def test_an_unusable_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    named: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main([]) == EXIT_UNUSABLE == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert named in printed


@pytest.mark.parametrize(("option", "value"), [("--port", "abc"), ("--log-level", "loud")])
def test_an_unusable_option_is_named_as_it_was_typed(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main([option, value]) == 2
    assert f"zserve: {option}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "similar"),
    [
        ("ZSERVE_MODLE", "ZSERVE_MODEL"),
        ("ZSERVE_MAX_IMAGE", "ZSERVE_MAX_IMAGES"),
        ("zserve_strore", "ZSERVE_STORE"),
        ("ZSERVE_ADMINTOKEN", "ZSERVE_ADMIN_TOKEN"),
        ("ZSERVE_DATADIR", "ZSERVE_DATA_DIR"),
        ("ZSERVE_", "docs/settings.md"),
        ("ZSERVE_XYZZY_QUUX", "docs/settings.md"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_likely_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    similar: str,
) -> None:
    monkeypatch.setenv(variable, "secret")
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith(f"zserve: {variable} is no setting")
    assert similar in printed
    assert "secret" not in printed


@pytest.mark.parametrize(
    "variable",
    [
        "ZSERVE_URL",
        "ZSERVE_TOKEN",
        "ZSERVE_DATA_DIR",
        "ZSERVE_RUNS",
        "ZSERVE_SERVICE_HOST",
        "ZSERVE_SERVICE_PORT_HTTP",
        "ZSERVE_PORT_8000_TCP",
        "ZSERVE_PORT_8000_TCP_ADDR",
        "ZSERVE_CANARY_SERVICE_HOST",
        "ZSERVER_PORT",
        "OTHER_ZSERVE_MODLE",
    ],
)
def test_variables_of_clients_of_training_and_of_kubernetes_are_ignored(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "tcp://10.0.0.1:8000")
    read_settings()


def test_every_variable_of_training_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in TrainingSettings.model_fields:
        monkeypatch.setenv(f"ZSERVE_{field.upper()}", ".")
    read_settings()


def test_a_store_is_a_folder_or_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value, store in ((str(tmp_path), tmp_path), ("s3://bucket/models", "s3://bucket/models")):
        monkeypatch.setenv("ZSERVE_STORE", value)
        assert read_settings().store == store
        assert read_settings(store=value).store == store
    monkeypatch.setenv("ZSERVE_STORE", "s4://bucket/models")
    with pytest.raises(SettingsError, match="ZSERVE_STORE: s4:// is no kind of store"):
        read_settings()


def test_copies_are_kept_in_the_users_folder_for_caches_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Settings().store_cache_folder == Path("/home/somebody/.cache/zserve")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert Settings().store_cache_folder == Path("/caches/zserve")
    assert Settings(store_cache=tmp_path).store_cache_folder == tmp_path


@pytest.mark.parametrize("kind", ["missing", "file"])
@pytest.mark.parametrize("as_option", [False, True])
def test_a_store_that_is_no_folder_is_named_at_start(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    kind: str,
    as_option: bool,
) -> None:
    store = tmp_path / "stroe"
    if kind == "file":
        store.touch()
    if not as_option:
        monkeypatch.setenv("ZSERVE_STORE", str(store))
    assert main(["--store", str(store)] if as_option else []) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("zserve: --store: " if as_option else "zserve: ZSERVE_STORE: ")
    assert ("the folder does not exist" if kind == "missing" else "is not a folder") in printed
    assert str(store)[:80] in printed


@pytest.mark.skipif(unusable_reason() is None, reason="there is a GPU here")
def test_cuda_asked_for_and_absent_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--device", "cuda"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "cuda" in printed


def test_a_port_in_use_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"127.0.0.1:{port}" in printed
    assert "in use" in printed


@pytest.mark.parametrize("host", ["no such host", "256.1.1.1", "x" * 300])
def test_an_unknown_host_is_one_line_and_exit_2(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--host", host, "--port", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_serving_imports_nothing_that_only_training_needs() -> None:
    code = (
        "import sys, app.asgi\n"
        "print(*(m for m in ('torchvision', 'matplotlib', 'typer', 'rich') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == ""


def test_settings_errors_are_domain_errors() -> None:
    with pytest.raises(SettingsError):
        read_settings(port="x")


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("docs_url", "link"),
    [
        (None, None),
        (
            "https://example.org/zserve",
            {"description": "Documentation", "url": "https://example.org/zserve"},
        ),
    ],
)
def test_the_api_description_behind_docs_links_to_the_documentation_if_it_is_configured(
    monkeypatch: pytest.MonkeyPatch, store: Path, docs_url: str | None, link: object
) -> None:
    if docs_url is not None:
        monkeypatch.setenv("ZSERVE_DOCS_URL", docs_url)
    with started(read_settings(store=store, device="cpu")) as service:
        assert service.get("/openapi.json").json().get("externalDocs") == link


@pytest.mark.parametrize(
    "url",
    ["redis://host:port", "redis://:p#s1word@host:1/0", "http://host", "redis://h:99999/0"],
)
def test_an_address_of_redis_that_is_none_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("ZSERVE_RATE_LIMIT_REDIS", url)
    assert main([]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("zserve: ZSERVE_RATE_LIMIT_REDIS: ")
    assert "s1word" not in printed
