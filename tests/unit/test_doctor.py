"""`zserve doctor`: what it finds wrong, and what it says to do."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.server.doctor import check_instructions, main
from model_store.store import Store
from tests.unit.models import a_card, tiny_description, tiny_weights

Variables = dict[str, str]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Examine an installation with a store of tiny@1; returns the status and the findings."""
    store = Store(tmp_path / "store")
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    monkeypatch.setenv("ZSERVE_STORE", str(store.root))
    monkeypatch.setenv("ZSERVE_MODEL", "tiny")
    monkeypatch.setenv("ZSERVE_PORT", "0")
    monkeypatch.setenv("ZSERVE_WORKERS", "1")

    def examine(**variables: str) -> tuple[int, list[dict[str, str]]]:
        for name, value in variables.items():
            monkeypatch.setenv(f"ZSERVE_{name}", value)
        status = main(["--json"])
        return status, json.loads(capsys.readouterr().out)

    return examine


def wrong(findings: list[dict[str, str]]) -> list[dict[str, str]]:
    return [finding for finding in findings if finding["state"] == "wrong"]


def test_all_is_well_where_it_is(doctor, capsys):
    status, findings = doctor()
    assert (status, wrong(findings)) == (0, [])
    subjects = {finding["subject"] for finding in findings}
    assert {"python", "package", "processor", "device", "settings", "port", "store", "model"} <= (
        subjects
    )
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all is well"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_wrong(doctor, taken: int, capsys):
    status, findings = doctor(PORT=str(taken))
    (finding,) = wrong(findings)
    assert status == 1
    assert finding["text"] == f"127.0.0.1:{taken}: Address already in use"
    assert "ZSERVE_PORT" in finding["remedy"]
    assert main([]) == 1
    text = capsys.readouterr().out
    assert re.search(r"^WRONG  port .*\n +-> stop what listens", text, flags=re.MULTILINE)
    assert text.splitlines()[-1].startswith("1 of ")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PROT": "1"}, "ZSERVE_PROT"),
        ({"MAX_IMAGES": "many"}, "ZSERVE_MAX_IMAGES"),
        ({"STORE": "/no/such/folder"}, "does not exist"),
        ({"MODEL": "nothing"}, "no model 'nothing'"),
        ({"API_KEYS": "/no/such/file"}, "/no/such/file"),
        ({"STORE": "ftp://x"}, "no kind of store"),
    ],
)
def test_settings_that_cannot_work_are_wrong(doctor, variables: Variables, words: str):
    status, findings = doctor(**variables)
    assert status == 1
    assert any(words in finding["text"] for finding in wrong(findings))


def test_a_damaged_version_is_wrong(doctor, tmp_path: Path):
    (tmp_path / "store" / "tiny" / "1" / "card.md").write_text("changed")
    status, findings = doctor()
    assert status == 1
    assert any("card.md" in finding["text"] for finding in wrong(findings))
    (tmp_path / "store" / "tiny" / "1" / "manifest.json").write_text("{")
    assert {"store", "model"} == {finding["subject"] for finding in wrong(doctor()[1])}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("flags\t\t: fpu avx avx2 avx512f", "with avx2, avx512f"),
        ("Features\t: fp asimd asimddp", "with asimd, asimddp"),
        ("flags\t\t: fpu", "no vector instructions"),
    ],
)
def test_the_instructions_of_the_processor_are_named(tmp_path: Path, line: str, words: str):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n")
    assert check_instructions(tmp_path / "cpuinfo").text.endswith(words)
    assert "not listed" in check_instructions(tmp_path / "missing").text
