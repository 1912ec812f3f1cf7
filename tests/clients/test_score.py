"""Scores of images by both clients and by the command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.typical_versions import black, noise, publish_typical
from tests.e2e.server import serving
from zserve_client import Client, Score
from zserve_client.cli.__main__ import main


@pytest.fixture(scope="module")
def typical_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a service whose model has a typicality table."""
    folder = tmp_path_factory.mktemp("typical")
    publish_typical(folder / "store", "flow")
    variables = {"ZSERVE_DEVICE": "cpu", "ZSERVE_MODEL": "flow"}
    with serving(folder / "store", folder / "server.log", **variables) as address:
        yield address


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return an image that is like the data, and one that is not."""
    paths = [tmp_path / "noise.png", tmp_path / "black.png"]
    for path, content in zip(paths, (noise(101), black()), strict=True):
        path.write_bytes(content)
    return paths


def test_both_clients_return_the_verdict_and_the_likelihood(both, drawing: Path):
    sync, asynchronous = both("score", [drawing, drawing], draws=8, seed=3)
    assert sync == asynchronous
    assert (sync.draws, sync.seed, len(sync.images)) == (8, 3, 2)
    assert sync.images[0].elbo_nats <= -sync.images[0].nll_nats
    assert "typicality.json" in sync.notice
    assert sync.images[0].verdict is None


def test_the_client_tells_an_image_of_another_kind_from_the_data(
    typical_url: str, files: list[Path]
):
    with Client(typical_url) as client:
        scores = client.score(files, seed=0, preprocess="none")
    assert [image.verdict for image in scores.images] == ["typical", "out_of_distribution"]
    assert isinstance(scores.images[0], Score)
    assert scores.notice is None


def test_the_command_prints_a_row_for_each_file(
    typical_url: str, files: list[Path], capsys: pytest.CaptureFixture[str]
):
    main(["score", *map(str, files), "--url", typical_url, "--preprocess", "none"])
    header, usual, foreign, footer = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["verdict", "quantile", "score"]
    assert usual.startswith("typical ")
    assert usual.endswith("noise.png")
    assert foreign.split()[:2] == ["out_of_distribution", "1.0000"]
    assert footer == "flow@1, 64 draws, seed 0, nats"
    assert header.index("file") == usual.index(str(files[0]))


def test_the_command_skips_files_that_are_no_images(
    typical_url: str, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    with pytest.raises(SystemExit, match="1 of 3 files were skipped"):
        main(["score", str(files[0]), str(text), str(files[1]), "--json", "--url", typical_url])
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["images"]) == 2
    assert "notes.txt is skipped" in captured.err
