"""docker/compose.yaml: its form, its profiles, and what its services share."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from app.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("zserve", "zserve-gpu")
PROFILES = {"cpu", "gpu", "monitoring", "store", "proxy"}


def test_the_file_is_valid_compose() -> None:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema"]
    subprocess.run([*command, "vendor.compose-spec", str(FILE)], check=True, capture_output=True)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_docker_compose_accepts_the_file(profile: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        pytest.skip("docker compose is not installed")
    command = [docker, "compose", "--file", str(FILE), "--profile", profile, "config", "--quiet"]
    subprocess.run(command, check=True)


def test_every_service_has_a_profile_and_a_profile_is_chosen_without_one() -> None:
    assert {profile for each in SERVICES.values() for profile in each["profiles"]} == PROFILES
    assert "COMPOSE_PROFILES=cpu\n" in (ROOT / "docker" / ".env").read_text()


@pytest.mark.parametrize("name", OURS)
def test_the_service_has_neither_privileges_nor_a_writable_root(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_the_service_is_given_time_to_answer_before_it_is_killed(name: str) -> None:
    settings = Settings()
    needed_s = settings.shutdown_timeout_s + settings.shutdown_delay_s + 10
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= needed_s


@pytest.mark.parametrize("name", OURS)
def test_the_service_is_found_under_one_name_on_any_device(name: str) -> None:
    assert SERVICES[name]["networks"]["default"]["aliases"] == ["zserve"]
    assert SERVICES["proxy"]["environment"]["UPSTREAM"] == "zserve:8000"


@pytest.mark.parametrize("name", OURS)
def test_the_service_gets_settings_that_exist(name: str) -> None:
    fields = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    variables = {each for each in SERVICES[name]["environment"] if each.startswith(PREFIX)}
    assert variables <= fields


@pytest.mark.parametrize("name", OURS)
def test_the_service_believes_the_proxy_alone(name: str) -> None:
    trusted = SERVICES[name]["environment"]["ZSERVE_TRUSTED_PROXIES"]
    assert trusted == SERVICES["proxy"]["networks"]["default"]["ipv4_address"]
    Settings(trusted_proxies=trusted)


def test_what_is_not_the_service_listens_to_this_machine_alone_or_encrypts() -> None:
    for name in SERVICES.keys() - {*OURS, "proxy"}:
        for port in SERVICES[name]["ports"]:
            assert port.startswith("127.0.0.1:"), name


def test_every_mounted_file_of_the_checkout_exists() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (FILE.parent / source).exists(), (name, source)


def test_the_proxy_waits_longer_and_keeps_connections_shorter_than_the_service() -> None:
    text = (ROOT / "docker" / "proxy" / "zserve.conf.template").read_text()
    settings = Settings()
    assert _number(r"keepalive_timeout (\d+)s;", text) < settings.keep_alive_timeout_s
    assert _number(r"proxy_read_timeout (\d+)s;", text) > settings.request_timeout_s
    assert _number(r"client_max_body_size (\d+)m;", text) * 1024**2 >= settings.max_upload_bytes


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    assert match is not None, pattern
    return int(match[1])
