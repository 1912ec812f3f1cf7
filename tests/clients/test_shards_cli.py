"""When `zserve generate` makes shards, and what it says while it does."""

import argparse
import sys
from pathlib import Path

import pytest

from zserve_client import InputError
from zserve_client.cli import generate
from zserve_client.cli.shards import MOST_IN_FOLDERS, JobProgress, duration, wanted

LARGE = str(MOST_IN_FOLDERS + 1)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    generate.COMMAND.add_options(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "shards"),
    [
        (["--n", str(MOST_IN_FOLDERS), "--out", "set"], False),
        (["--n", LARGE, "--out", "set"], True),
        (["--n", LARGE, "--out", "set.zip"], False),
        (["--n", LARGE, "--out", "set", "--layout", "imagefolder"], False),
        (["--n", "5", "--out", "set", "--layout", "webdataset"], True),
        (["--n", "5", "--out", "s3://bucket/set"], True),
        (["--n", "5", "--out", "gs://bucket/set", "--layout", "webdataset"], True),
        (["--n", "5"], False),
    ],
)
def test_large_data_sets_and_addresses_get_shards(
    arguments: list[str], shards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert wanted(parse(*arguments)) == shards


def test_an_export_of_image_files_is_continued_as_it_began(tmp_path: Path):
    (tmp_path / "export.json").write_text("{}")
    assert not wanted(parse("--n", LARGE, "--out", str(tmp_path)))


def test_an_address_takes_no_folder_of_image_files():
    with pytest.raises(InputError, match="s3://bucket/set takes shards only"):
        wanted(parse("--out", "s3://bucket/set", "--layout", "imagefolder"))


class Terminal:
    """A file that says it is a terminal, or that it is not."""

    def __init__(self, terminal: bool) -> None:
        self.text, self._terminal = "", terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Do nothing."""


def shown(monkeypatch: pytest.MonkeyPatch, price: float | None, *, terminal: bool) -> list[str]:
    """Return the lines of a job that continues at 1,000 of 13,000 images, 10 in a second."""
    stderr = Terminal(terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    times = iter([100.0, 120.0, 150.0, 160.0, 1300.0])
    with JobProgress(price, clock=lambda: next(times)) as progress:
        for done in (1000, 1200, 1500, 1600, 13000):
            progress.show(done, 13000)
    assert progress.summary() == "; 10 images/s" + (", cost 1.20" if price else "")
    return [line.rstrip() for line in stderr.text.replace("\r", "\n").split("\n") if line]


def test_a_terminal_shows_rate_time_and_cost(monkeypatch: pytest.MonkeyPatch):
    first, second, *_, last = shown(monkeypatch, 3.6, terminal=True)
    assert first == f"[{'##':30}] 1000/13000 images"
    assert second == f"[{'##':30}] 1200/13000 images, 10 images/s, 20 min left, cost 0.02 of 1.20"
    assert last == f"[{30 * '#'}] 13000/13000 images, 10 images/s, cost 1.20 of 1.20"


def test_a_log_gets_a_line_each_half_minute(monkeypatch: pytest.MonkeyPatch):
    assert shown(monkeypatch, None, terminal=False) == [
        "1500/13000 images, 10 images/s, 19 min left",
        "13000/13000 images, 10 images/s",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3599, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (200_000, "2 d 8 h"),
    ],
)
def test_a_duration_is_in_its_two_largest_units(seconds: float, words: str):
    assert duration(seconds) == words
