"""The copies of an object store on a disk: whole or missing, checked, bounded, shared."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from model_store.errors import StoreCacheError
from model_store.store import DiskCache
from model_store.store.disk_cache import Document

CONTENT = b"a file of a version" * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path, 10**6)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_a_file_is_kept_for_every_process_that_opens_the_folder(cache: DiskCache, tmp_path: Path):
    assert cache.file(SHA256) is None
    cache.keep_file(SHA256, CONTENT)
    assert DiskCache(tmp_path, 10**6).file(SHA256) == CONTENT


def test_a_document_is_kept_with_its_tag_and_its_age(cache: DiskCache):
    assert cache.document("key") is None
    cache.keep_document("key", Document(b"line\nline", '"tag"'))
    copy = cache.document("key")
    assert copy is not None
    assert (copy.content, copy.etag) == (b"line\nline", '"tag"')
    assert 0 <= copy.age_s < 60


def test_that_there_is_nothing_is_a_document_too(cache: DiskCache):
    cache.keep_document("key", Document(None, None))
    copy = cache.document("key")
    assert copy is not None
    assert copy.content is None


def test_a_document_is_new_again_once_it_was_confirmed(cache: DiskCache, tmp_path: Path):
    cache.keep_document("key", Document(b"content", None))
    (path,) = (tmp_path / "documents").iterdir()
    for change_s, age_s in ((-500, 500), (500, float("inf"))):
        os.utime(path, (time.time() + change_s,) * 2)
        copy = cache.document("key")
        assert copy is not None
        assert copy.age_s == pytest.approx(age_s, abs=60)
    cache.confirm_document("key")
    copy = cache.document("key")
    assert copy is not None
    assert copy.age_s < 60


def test_a_flip_of_any_byte_of_an_entry_is_noticed_and_the_entry_deleted(
    cache: DiskCache, tmp_path: Path
):
    content = b'{"production": 3}'
    sha256 = hashlib.sha256(content).hexdigest()
    for folder in ("files", "documents"):
        size = 1
        place = 0
        while place < size:
            cache.keep_file(sha256, content)
            cache.keep_document("key", Document(content, '"tag"'))
            (path,) = (tmp_path / folder).iterdir()
            whole = path.read_bytes()
            size = len(whole)
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            if folder == "files":
                assert cache.file(sha256) is None
                assert not path.exists()
            else:
                copy = cache.document("key")
                assert copy is None or copy.content == content
            place += 1


@pytest.mark.parametrize("left", [0, 1, 10])
def test_an_entry_that_was_cut_is_deleted(cache: DiskCache, tmp_path: Path, left: int):
    cache.keep_file(SHA256, CONTENT)
    cache.keep_document("key", Document(CONTENT, None))
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:left])
    assert cache.file(SHA256) is None
    assert cache.document("key") is None


def test_the_entries_that_were_used_longest_ago_make_room(tmp_path: Path):
    cache = DiskCache(tmp_path, 3_500)
    contents = [bytes([i]) * 1000 for i in range(5)]
    names = [hashlib.sha256(content).hexdigest() for content in contents]
    for i, (name, content) in enumerate(zip(names, contents, strict=True)):
        cache.keep_file(name, content)
        os.utime(tmp_path / "files" / name, (1000 + i,) * 2)
        if i == 2:
            assert cache.file(names[0]) == contents[0]  # uses it
    kept = [name for name in names if (tmp_path / "files" / name).exists()]
    assert kept == [names[0], names[3], names[4]]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 3_500


def test_an_entry_larger_than_the_bound_is_kept_until_the_next_one(tmp_path: Path):
    cache = DiskCache(tmp_path, 100)
    cache.keep_file(SHA256, CONTENT)
    assert cache.file(SHA256) == CONTENT
    cache.keep_document("key", Document(b"", None))
    assert cache.file(SHA256) is None


def test_what_killed_processes_left_is_deleted(cache: DiskCache, tmp_path: Path):
    old, fresh = (tmp_path / "files" / f"{name}.part" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache.keep_file(SHA256, CONTENT)
    assert fresh.exists()
    assert not old.exists()


_WRITE_FOR_EVER = """
import hashlib, sys
from pathlib import Path
from model_store.store import DiskCache
cache = DiskCache(Path(sys.argv[1]), 10**6)
print("begun", flush=True)
number = 0
while True:
    number += 1
    content = bytes([number % 256]) * 100_000
    cache.keep_file(hashlib.sha256(content).hexdigest(), content)
"""


@pytest.mark.processes
def test_a_process_that_is_killed_leaves_whole_entries(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    for _ in range(20):
        time.sleep(0.005)
        os.kill(process.pid, signal.SIGSTOP)
        for path in (tmp_path / "files").iterdir():
            if path.suffix != ".part":
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_thread_fetches_and_the_others_wait_or_go_on(cache: DiskCache):
    inside: list[bool] = []
    with cache.lock("key", wait=True) as locked:
        assert locked
        with cache.lock("key", wait=False) as second:
            assert not second
        waiting = threading.Thread(target=lambda: inside.append(_locked(cache)))
        waiting.start()
        time.sleep(0.05)
        assert inside == []
    waiting.join()
    assert inside == [True]


def _locked(cache: DiskCache) -> bool:
    with cache.lock("key", wait=True) as locked:
        return locked


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreCacheError, match=r"cannot write the cache .*file/cache: "):
        DiskCache(tmp_path / "file" / "cache", 100)


def test_a_disk_that_is_full_costs_the_copy_alone(
    cache: DiskCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for folder in ("files", "documents"):
        (tmp_path / folder).rename(tmp_path / f"{folder}-gone")
    for _ in range(3):
        cache.keep_file(SHA256, CONTENT)
        cache.keep_document("key", Document(b"", None))
    assert caplog.text.count("the cache of the store cannot be written") == 1
    assert cache.file(SHA256) is None
