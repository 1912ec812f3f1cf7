"""Every hostile input gets its documented answer, and the server survives them all."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from app.api.problems import PROBLEMS
from app.api.routes.version_files import VersionFile
from tests.hostile.generate import HERE, INDEX, INPUTS, all_cases, entry, read
from tests.hostile.server import model_of, publish_models, send, serving_hostile

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


def test_there_are_at_least_1000_inputs_and_each_file_is_in_the_index():
    files = {path.relative_to(INPUTS).as_posix() for path in INPUTS.rglob("*") if path.is_file()}
    assert len(files) >= 1000
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


@pytest.mark.parametrize("file", get_args(VersionFile))
def test_a_file_of_a_refused_version_is_sent_as_it_was_published_or_refused(
    address: str, file: str
) -> None:
    """Clients may ask for a file of a version that was never loaded."""
    statuses: Counter[int] = Counter()
    for each in ENTRIES:
        if each["file"].startswith("versions/") and each["target"].endswith(f"/{file}"):
            answer = httpx.get(f"{address}/models/{model_of(each)}/1/files/{file}")
            assert answer.status_code in {200, 503}, answer.text
            assert answer.status_code == 200 or file in answer.json()["detail"]
            statuses[answer.status_code] += 1
    assert statuses[503] > 20 or file == "exact.safetensors"


def test_a_refused_version_is_named_with_its_file_or_its_tensor(address: str) -> None:
    for each in ENTRIES:
        if each["file"].startswith("versions/"):
            answer = httpx.get(f"{address}/generate?n=1&model={model_of(each)}").json()
            name, file = model_of(each), each["target"].partition("/")[2]
            assert f"{name}@1" in answer["detail"], each["file"]
            named = file if file != "weights.safetensors" else "tensor"
            assert file in answer["detail"] or named in answer["detail"], answer["detail"]


def test_models_whose_files_are_whole_are_served_beside_the_others(address: str) -> None:
    for query in ("/generate?n=1&model=exact", "/generate?n=1&model=whole&label=b"):
        assert httpx.get(address + query).status_code == 200
    for file in (
        "exact.safetensors",
        "golden.json",
        "encoded_images.safetensors",
        "snapshots.json",
    ):
        assert httpx.get(f"{address}/models/whole/1/files/{file}").status_code == 200


def test_afterwards_the_server_answers_and_has_logged_no_traceback(address: str, folder: Path):
    for path in ("/healthz", "/readyz", "/generate?n=1&seed=7"):
        assert httpx.get(address + path).status_code == 200
    assert "Traceback" not in (folder / "server.log").read_text()
