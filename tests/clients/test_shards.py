"""Large data sets in shards: their bytes, their index, and jobs that are continued."""

import csv
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import MAX_IMAGES_IN_ZIP, Answer, Script
from zserve_client import Client, IncompleteJobError, InputError, MissingExtraError
from zserve_client._shards.job import read_or_make_plan, run_job
from zserve_client._shards.packing import fetch, pack
from zserve_client._shards.plan import JobOptions, JobPlan, Shard
from zserve_client._shards.storage import Folder, open_storage
from zserve_client._shards.tar import TarWriter
from zserve_client._shards.worker import connect, make_shard, run
from zserve_client.cli.__main__ import main

LABELLED: dict[str, Any] = {"model": "named", "labels": ["all"], "seed": 5}


def options(n: int = 100, shard_images: int = 60, **changes: Any) -> JobOptions:
    asked: dict[str, Any] = {
        "seed": 2**32 - 3,
        "model": None,
        "labels": None,
        "temperature": 1.0,
        "scale": 1,
        "metadata": True,
    }
    return JobOptions(n=n, shard_images=shard_images, **(asked | changes))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        contents = ((entry.name, archive.extractfile(entry)) for entry in archive)
        return {name: file.read() for name, file in contents if file is not None}


def no_report(_images: int) -> None:
    """Count nothing."""


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job with two labels and four shards."""
    folder = tmp_path_factory.mktemp("jobs") / "whole"
    run_job(url, str(folder), options(n=100, **LABELLED), processes=2)
    return folder


def test_every_image_is_the_image_of_its_seed(client: Client, url: str, tmp_path: Path):
    run_job(url, str(tmp_path / "set"), options(n=70), processes=1)
    files = members(tmp_path / "set/mnist-1-000000.tar") | members(
        tmp_path / "set/mnist-1-000001.tar"
    )
    assert list(files) == [f"{i:09d}.{kind}" for i in range(70) for kind in ("json", "png")]
    for i in (0, 3, MAX_IMAGES_IN_ZIP, 69):
        sample = json.loads(files[f"{i:09d}.json"])
        alone = client.generate(1, seed=(2**32 - 3 + i) % 2**32, numbers=True)
        assert sample["seed"] == alone.seed
        assert files[f"{i:09d}.png"] == alone.content
        assert alone.numbers is not None
        assert sample["z"] == pytest.approx(alone.numbers["images"][0]["z"], rel=1e-6)


def test_webdataset_reads_the_shards_and_their_labels(whole: Path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    urls = [str(path) for path in sorted(whole.glob("*.tar"))]
    with warnings.catch_warnings():  # webdataset leaves its files open
        warnings.simplefilter("ignore", ResourceWarning)
        samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
        gc.collect()
    assert [sample["cls"] for sample in samples] == [0, 1] * 100
    assert [sample["json"]["label"] for sample in samples[:2]] == ["Dress", "7"]
    assert [sample["json"]["seed"] for sample in samples[::2]] == list(range(5, 105))
    assert samples[0]["png"].size == (28, 28)
    assert len({sample["__key__"] for sample in samples}) == 200


def test_the_index_tells_seeds_weights_and_arguments(whole: Path, client: Client):
    index = json.loads((whole / "index.json").read_text())
    assert (index["__kind__"], index["wids_version"]) == ("wids-shard-index-v1", 1)
    sample = client.generate(1, model="named", seed=0)
    assert index["zserve"] == {
        "model": "named@1",
        "weights_sha256": sample.weights_sha256,
        "exact": False,
        "seed": 5,
        "labels": ["Dress", "7"],
        "class_indices": [0, 1],
        "n": 100,
        "temperature": 1.0,
        "scale": 1,
        "metadata": True,
    }
    shards = index["shardlist"]
    assert [(s["url"], s["nsamples"], s["first_seed"], s["seeds"]) for s in shards] == [
        ("named-1-000000.tar", 60, 5, 30),
        ("named-1-000001.tar", 60, 35, 30),
        ("named-1-000002.tar", 60, 65, 30),
        ("named-1-000003.tar", 20, 95, 10),
    ]
    assert [s["filesize"] for s in shards] == [(whole / s["url"]).stat().st_size for s in shards]


def test_a_shard_has_the_same_bytes_whoever_makes_it(whole: Path, url: str, tmp_path: Path):
    """Also if its images arrive in other pieces."""
    plan = JobPlan.from_json((whole / "job.json").read_bytes(), whole)
    shard = plan.shard(2)
    with closing(connect(url)) as transport:
        pieces = transport.run(fetch(shard, tmp_path, no_report, largest=7))
    pack(shard, pieces, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (whole / shard.file).read_bytes()


def test_a_tar_file_depends_on_its_members_alone(tmp_path: Path):
    contents = {"0.cls": b"7", "0.png": bytes(512), "1.png": b"", "2.png": bytes(700)}
    file = io.BytesIO()
    tar = TarWriter(file)
    for name, content in contents.items():
        tar.add(name, content)
    tar.close()
    path = tmp_path / "made.tar"
    path.write_bytes(file.getvalue())
    assert members(path) == contents
    with tarfile.open(path) as archive:
        assert {(e.mtime, e.uid, e.gid, e.uname, e.mode) for e in archive} == {(0, 0, 0, "", 0o644)}
    assert len(file.getvalue()) % 512 == 0


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole job without its index."""
    folder = tmp_path / "damaged"
    for name, content in tree(whole).items():
        if name != "index.json":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder


def lose_record(folder: Path) -> None:
    (folder / "records/named-1-000001.json").unlink()


def lose_shard(folder: Path) -> None:
    (folder / "named-1-000001.tar").unlink()


def halve_shard(folder: Path) -> None:
    content = (folder / "named-1-000001.tar").read_bytes()
    (folder / "named-1-000001.tar").write_bytes(content[: len(content) // 2])


def halve_record(folder: Path) -> None:
    (folder / "records/named-1-000001.json").write_text('{"url": "named-1-0000')


def mix_records(folder: Path) -> None:
    other = (folder / "records/named-1-000000.json").read_bytes()
    (folder / "records/named-1-000001.json").write_bytes(other)


@pytest.mark.parametrize(
    "damage", [lose_record, lose_shard, halve_shard, halve_record, mix_records]
)
def test_only_a_whole_shard_with_its_record_counts(damage, damaged: Path, whole: Path, url: str):
    damage(damaged)
    job = run_job(url, str(damaged), options(n=100, **LABELLED), processes=1)
    assert job.fetched == 60
    assert tree(damaged) == tree(whole)


def test_a_finished_job_fetches_nothing(whole: Path, url: str):
    before = tree(whole)
    seen: list[tuple[int, int]] = []
    job = run_job(
        url,
        str(whole),
        options(n=100, **LABELLED),
        processes=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert job.fetched == 0
    assert seen == [(200, 200)]
    assert tree(whole) == before


@pytest.mark.parametrize("steps", [(40, 100), (60, 61, 100)])
def test_a_job_grows_to_the_files_of_a_larger_one(
    whole: Path, url: str, tmp_path: Path, steps: tuple[int, ...]
):
    """Whole shards stay as they are; a last one that was not full is made again."""
    folder = tmp_path / "grown"
    run_job(url, str(folder), options(n=steps[0], **LABELLED), processes=1)
    for n in steps[1:]:
        kept = {name: content for name, content in tree(folder).items() if "000000.tar" in name}
        job = run_job(url, str(folder), options(n=n, **LABELLED), processes=1)
        assert job.fetched < 2 * n
        assert {name: tree(folder)[name] for name in kept} == kept
    assert tree(folder) == tree(whole)
    with pytest.raises(InputError, match=r"another job \(n 100, not 99\).*n to a larger number"):
        run_job(url, str(folder), options(n=99, **LABELLED), processes=1)


def test_a_killed_job_continues_to_the_same_files(whole: Path, url: str, tmp_path: Path):
    folder = tmp_path / "killed"
    words = "--n 100 --model named --label all --seed 5 --shard-images 60 --layout webdataset"
    command = [sys.executable, "-m", "zserve_client", "generate", *words.split()]
    command += ["--url", url, "--processes", "2", "--out", str(folder)]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None and not list(folder.glob("*.tar")):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "index.json").exists()

    for part in (folder / ".parts").glob("*"):  # as if an hour had passed
        os.utime(part, (0, 0))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "200 images of named@1 in 4 shards, seed 5" in done.stdout
    assert tree(folder) == tree(whole)
    assert not (folder / ".parts").exists()


def test_two_commands_make_one_data_set(whole: Path, url: str, tmp_path: Path):
    """A shard that another command made by now is not fetched again."""
    storage = Folder(tmp_path / "shared")
    plan = read_or_make_plan(url, storage, options(n=100, **LABELLED))
    assert read_or_make_plan(url, storage, options(n=100, **LABELLED)) == plan
    first = make_shard(url, storage, plan.shard(0), no_report)
    assert make_shard("http://127.0.0.1:9", storage, plan.shard(0), no_report) == first
    assert run_job(url, str(storage), options(n=100, **LABELLED), processes=2).fetched == 140
    assert tree(tmp_path / "shared") == tree(whole)


def test_the_plan_of_the_first_of_two_commands_counts(url: str, tmp_path: Path):
    assert Folder(tmp_path).create("job.json", b"the first")
    assert not Folder(tmp_path).create("job.json", b"the second")
    assert (tmp_path / "job.json").read_bytes() == b"the first"


def test_a_job_survives_the_death_of_a_worker(url: str, tmp_path: Path):
    """One of two processes is killed once it has begun with a shard."""
    killed: list[int] = []

    def kill_a_child(done: int, _total: int) -> None:
        if done and not killed:
            (child, *_) = children(os.getpid())
            os.kill(child, signal.SIGKILL)
            killed.append(child)

    run_job(url, str(tmp_path / "set"), options(n=240), processes=1, progress=kill_a_child)
    assert killed
    index = json.loads((tmp_path / "set/index.json").read_text())
    assert sum(shard["nsamples"] for shard in index["shardlist"]) == 240


def children(parent: int) -> Iterator[int]:
    """Yield the worker processes of a process; Linux lists the children of each thread."""
    for listing in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in map(int, listing.read_text().split()):
            if b"_shards.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield child


# --- services that answer wrongly --------------------------------------------------------------


def scripted_job(scripted: Script, *answers: Answer | None) -> str:
    """Let the script give these answers, and return the first lines of a worker's input."""
    plan = JobPlan(
        options=options(n=4, shard_images=4),
        model="m@1",
        weights_sha256="aa",
        exact=True,
        seed=0,
        labels=[None],
        class_indices=[None],
    )
    scripted.answers = list(answers)
    return json.dumps({"url": scripted.url, "place": "set", "plan": plan.to_json().decode()})


def archive(n: int, **columns: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, ["file", "seed", *columns])
        writer.writeheader()
        for i in range(n):
            made.writestr(f"{i}.png", f"png {i}")
            writer.writerow({"file": f"{i}.png", "seed": i, **columns})
        made.writestr("manifest.csv", lines.getvalue())
    return file.getvalue()


def messages(job: str) -> list[dict[str, Any]]:
    sent: list[Any] = []
    run(io.StringIO(f"{job}\n0\n"), sent.append)
    return sent


def test_a_worker_answers_with_the_record(
    scripted: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    job = scripted_job(scripted, (200, {"X-Weights-SHA256": "aa"}, archive(4, z0="0.5")))
    arrived, done = messages(job)
    assert arrived == {"images": 4}
    assert done["record"]["nsamples"] == 4
    assert json.loads(members(tmp_path / "set/m-1-000000.tar")["000000002.json"]) == {
        "label": None,
        "seed": 2,
        "z": [0.5],
    }


@pytest.mark.parametrize(
    ("answer", "words", "temporary"),
    [
        ((200, {"X-Weights-SHA256": "bb"}, archive(4)), "other weights as m@1 (bb, ex", True),
        ((200, {"X-Weights-SHA256": "aa"}, archive(3)), "3 images instead of 4", True),
        ((200, {"X-Weights-SHA256": "aa"}, archive(4)[:-30]), "is damaged", True),
        ((200, {"X-Weights-SHA256": "aa"}, b"<html>"), "is damaged", True),
        ((500, {}, b"oops"), "HTTP status 500", True),
        ((404, {}, b"{}"), "HTTP status 404", False),
        ((401, {}, b"{}"), "HTTP status 401", False),
    ],
)
def test_a_wrong_answer_leaves_no_shard(
    scripted: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    words: str,
    *,
    temporary: bool,
):
    monkeypatch.chdir(tmp_path)
    *_, last = messages(scripted_job(scripted, answer))
    assert words in last["error"]
    assert last["temporary"] == temporary
    assert [name for name in tree(tmp_path) if not name.startswith("set/.")] == []


def test_a_job_ends_with_the_error_of_its_shard(url: str, tmp_path: Path):
    """A model that the service does not have is no reason to try again."""
    folder = tmp_path / "set"
    plan = read_or_make_plan(url, Folder(folder), options(n=240))
    gone = plan.to_json().replace(b"mnist@1", b"mnist@9")
    (folder / "job.json").write_bytes(gone)
    with pytest.raises(
        IncompleteJobError, match=r"4 of 4 shards are still missing: mnist has no version 9"
    ):
        run_job(url, str(folder), options(n=240), processes=2)


# --- arguments ---------------------------------------------------------------------------------


def test_a_job_with_other_arguments_is_not_continued(whole: Path, url: str):
    with pytest.raises(InputError, match=r"holds another job \(n 100, not 101; temperature 1.0"):
        run_job(url, str(whole), options(n=101, **LABELLED, temperature=0.5), processes=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds other files; choose an empty place"),
        ("{}", "is not the plan of a job"),
        ('{"format": "zserve-shards-1", "asked": {}}', "is not the plan of a job"),
        ("[]", "is not the plan of a job"),
    ],
)
def test_a_place_with_other_files_is_left_alone(
    url: str, tmp_path: Path, content: str | None, words: str
):
    (tmp_path / ("job.json" if content else "photo.jpg")).write_text(content or "")
    with pytest.raises(InputError, match=words):
        run_job(url, str(tmp_path), options(), processes=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": 0}, "at least 1 image"),
        ({"n": 2**32 + 1}, "images would repeat"),
        ({"shard_images": 0}, "is empty"),
    ],
)
def test_impossible_jobs_are_refused(changes: dict[str, int], words: str):
    with pytest.raises(InputError, match=words):
        options(**changes)


def test_an_address_without_a_known_scheme_is_refused():
    with pytest.raises(InputError, match="ftp://host/set begins with none of s3://, gs://, az://"):
        open_storage("ftp://host/set")


def test_without_obstore_an_address_tells_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'zserve-client\[object-store\]'"):
        open_storage("s3://bucket/set")


@pytest.mark.parametrize("n", [1, 1000, 10**7])
@pytest.mark.parametrize("labels", [1, 10])
def test_shards_have_each_image_once(n: int, labels: int):
    plan = JobPlan(
        options=options(n=n, shard_images=10_000),
        model="m@1",
        weights_sha256="",
        exact=True,
        seed=0,
        labels=[str(i) for i in range(labels)],
        class_indices=list(range(labels)),
    )
    shards: list[Shard] = [plan.shard(number) for number in range(plan.shard_count)]
    assert sum(shard.images for shard in shards) == plan.images == n * labels
    for shard, after in pairwise(shards):
        assert shard.first + shard.count == after.first
        assert shard.images == 10_000
    assert len({shard.name for shard in shards}) == len(shards)


def test_generate_prints_what_it_made(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words = "generate --n 5 --seed 1 --layout webdataset --processes 1 --price-per-hour 3.6"
    main([*words.split(), "--out", "set.d", "--url", url])
    assert capsys.readouterr().out.startswith("set.d: 5 images of mnist@1 in 1 shard, seed 1; ")
    assert (tmp_path / "set.d/mnist-1-000000.tar").exists()
