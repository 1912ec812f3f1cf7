"""Races of writers of one object, which the store decides: of those at the same time, one wins.

Everything that a store promises rests on these two kinds of write.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from model_store.store.objects import Objects, open_objects

pytestmark = pytest.mark.objects

WRITERS = 8
ROUNDS = 20


@pytest.fixture
def objects(address: str) -> Objects:
    return open_objects(address)


def test_one_of_eight_publishers_gets_a_number(objects: Objects):
    begin = Barrier(WRITERS)

    def publish(version: int, writer: int) -> bool:
        begin.wait()
        return objects.create("model", version, {"manifest.json": b"by %d" % writer})

    with ThreadPoolExecutor(WRITERS) as pool:
        for version in range(1, ROUNDS + 1):
            won = list(pool.map(publish, [version] * WRITERS, range(WRITERS)))
            assert won.count(True) == 1
            manifest = objects.read("model", version, "manifest.json", 100)
            assert manifest == b"by %d" % won.index(True)


def test_of_eight_promotions_each_sees_the_one_before(objects: Objects):
    """Every change adds its number to a list; a change that was made from an old list would lose one."""
    begin = Barrier(WRITERS)

    def promote(writer: int) -> None:
        begin.wait()
        objects.change_aliases(
            "model",
            lambda before: json.dumps([*json.loads(before or b"[]"), writer]).encode(),
            timeout_s=60,
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(1, ROUNDS // 4 + 1):
            list(pool.map(promote, range(WRITERS)))
            promotions = json.loads(objects.read_aliases("model") or b"")
            assert sorted(promotions) == sorted(list(range(WRITERS)) * number)
