"""A short run of each target, and every input that ever failed."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import CASES, fault_of, fuzz
from tests.fuzz.mutate import mutated
from tests.fuzz.target import REFUSALS, Target
from tests.fuzz.targets import TARGETS, repair_png
from tests.hostile.png_files import usual

RUNS = 500

# Starlette leaves the file of a part without an end to the garbage collector, which closes it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


STORED = sorted(path for path in CASES.glob("*") if path.suffix != ".md")


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_inputs_are_answered_or_refused(name: str) -> None:
    assert fuzz(TARGETS[name], RUNS, seed=1) == []


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_an_input_that_failed_once_does_not_fail_again(path: Path) -> None:
    assert fault_of(TARGETS[path.name.partition("-")[0]], path.read_bytes()) is None


def accepts(target: Target, data: bytes) -> bool:
    try:
        target.run(data)
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_accepts_some_of_its_seeds_and_refuses_others(name: str) -> None:
    """A target that refuses everything, or never refuses, would find nothing."""
    target, generator = TARGETS[name], random.Random(2)
    seeds = target.seeds()
    assert any(accepts(target, seed) for seed in seeds)
    changed = [mutated(generator, seeds, target.words) for _ in range(100)]
    assert sum(accepts(target, data) for data in changed) < 90


def test_a_fault_is_found_named_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness finds a planted fault: a parser that cannot stand a zero byte."""

    def fragile(data: bytes) -> None:
        if 0 in data:
            raise IndexError("planted")

    monkeypatch.setattr("tests.fuzz.__main__.CASES", tmp_path)
    target = Target("planted", fragile, (), (b"x",), lambda: [b"abc"])
    faults = fuzz(target, 2000, seed=0, max_faults=1)
    (stored_file,) = tmp_path.iterdir()
    assert len(faults) == 1
    assert faults[0].startswith("IndexError: planted")
    assert 0 in stored_file.read_bytes()


def test_the_same_seed_gives_the_same_mutations() -> None:
    first, second = (
        [mutated(random.Random(5), [b"abcdef"], [b"x"]) for _ in range(50)] for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 1


def test_repairing_a_png_restores_its_checksums() -> None:
    whole = usual((b"tEXt", b"k\0v"))
    damaged = whole.replace(b"k\0v", b"k\0w")
    assert repair_png(whole) == whole
    assert repair_png(damaged) == usual((b"tEXt", b"k\0w"))
    assert repair_png(b"hello") == b"hello"
    assert repair_png(whole[:-5])[:40] == whole[:40]
