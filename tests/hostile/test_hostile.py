"""Every hostile input gets its documented answer, and the server survives them all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.problems import PROBLEMS
from tests.hostile.generate import HERE, INDEX, INPUTS, all_cases, entry, read
from tests.hostile.server import publish_models, send, serving_hostile

ENTRIES: list[dict[str, Any]] = json.loads(INDEX.read_text())
PENDING = {
    line for line in (HERE / "pending.txt").read_text().splitlines() if not line.startswith("#")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    publish_models(folder / "store", [each for each in ENTRIES if each["file"] not in PENDING])
    with serving_hostile(folder) as address:
        yield address


def test_there_are_at_least_300_inputs_and_each_file_is_in_the_index():
    files = {path.relative_to(INPUTS).as_posix() for path in INPUTS.rglob("*") if path.is_file()}
    assert len(files) >= 300
    assert sorted(files) == sorted(each["file"] for each in ENTRIES)
    assert files >= PENDING


def test_the_index_is_what_the_generator_writes():
    assert [entry(family, case) for family, case in all_cases()] == ENTRIES


def test_every_documented_problem_exists():
    known = {kind.slug for kind in PROBLEMS.values()}
    known |= {"", "not-found", "method-not-allowed", "bad-request"}
    answers = {each["problem"] for each in ENTRIES if each["file"] not in PENDING}
    assert answers <= known


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(
            each,
            id=each["file"],
            marks=pytest.mark.xfail(run=False, reason="in pending.txt")
            if each["file"] in PENDING
            else (),
        )
        for each in ENTRIES
    ],
)
def test_a_hostile_input_gets_its_documented_answer(
    address: str, folder: Path, hostile: dict[str, Any]
):
    answer = send(address, hostile)
    assert (answer.status, answer.problem) == (hostile["status"], hostile["problem"]), answer.body
    assert str(folder).encode() not in answer.body
    if answer.status >= 400:
        assert answer.content_type in {"application/problem+json", "application/json"}
        # A problem repeats the path twice, and of everything else only the beginning.
        assert len(answer.body) < 4000 + 2 * len(read(hostile).partition(b"\r\n")[0])


def test_afterwards_the_server_answers_and_has_logged_no_traceback(address: str, folder: Path):
    for path in ("/healthz", "/readyz", "/generate?n=1&seed=7"):
        assert httpx.get(address + path).status_code == 200
    assert "Traceback" not in (folder / "server.log").read_text()
