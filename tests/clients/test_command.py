"""The command `zserve`, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.e2e.server import CHECKOUT, serving
from zserve_client import programs
from zserve_client.bench import percentile
from zserve_client.command import Progress, main

COMMANDS = ["generate", "reconstruct", "interpolate", "traverse", "models", "bench"]


@pytest.fixture
def zserve(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Runs the command in an empty folder against the service: what it printed."""
    monkeypatch.setenv("ZSERVE_URL", url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        main([str(argument) for argument in arguments])
        return str(capsys.readouterr().out)

    return run


def test_generate_saves_the_bytes_of_the_service(zserve, url: str, tmp_path: Path):
    said = zserve("generate", "--n", 9, "--seed", 7, "--out", "nine.png")
    assert said == "nine.png: 9 images of mnist@1, seed 7\n"
    expected = httpx.get(f"{url}/generate?n=9&seed=7").content
    assert (tmp_path / "nine.png").read_bytes() == expected


@pytest.mark.parametrize("suffix", ["zip", "npz", "json"])
def test_generate_saves_in_the_form_of_the_suffix(zserve, tmp_path: Path, suffix: str):
    zserve("generate", "--n", 3, "--out", f"three.{suffix}")
    start = {"zip": b"PK", "npz": b"PK", "json": b"{"}[suffix]
    assert (tmp_path / f"three.{suffix}").read_bytes().startswith(start)


def test_generate_fills_a_folder_and_goes_on_where_it_was_cut(zserve, tmp_path: Path):
    line = ["generate", "--n", 50, "--label", "all", "--model", "named", "--out", "data/train"]
    assert "data/train: 100 images of named@1, seed" in zserve(*line)
    assert "100 of them there before" in zserve(*line)
    folders = [path.name for path in (tmp_path / "data/train").iterdir() if path.is_dir()]
    assert sorted(folders) == ["7", "Dress"]


def test_reconstruct_says_how_well_each_image_is_described(zserve, drawing: Path, tmp_path: Path):
    said = zserve("reconstruct", drawing, drawing, "--out", "both.png").splitlines()
    assert said[0] == "both.png: what mnist@1 saw, and its reconstructions"
    assert len(said) == 3
    assert "BCE" in said[1]
    with Image.open(tmp_path / "both.png") as image:
        assert image.size == (62, 62)


@pytest.mark.parametrize(("out", "kind"), [("w.png", "PNG"), ("w.gif", "GIF"), ("w.apng", "PNG")])
def test_interpolate_goes_from_a_file_to_a_seed(
    zserve, drawing: Path, tmp_path: Path, out: str, kind: str
):
    assert zserve("interpolate", drawing, 7, "--steps", 4, "--out", out) == (
        f"{out}: 4 frames of mnist@1\n"
    )
    with Image.open(tmp_path / out) as image:
        assert image.format == kind


def test_traverse_says_which_dimension_each_row_is(zserve, drawing: Path):
    assert zserve("traverse", "--seed", 7) == (
        "traversal.png: dimensions 1, 2, 0 of mnist@1, one in each row\n"
    )
    assert "dimensions 2, 0 of" in zserve("traverse", "--image", drawing, "--dims", "2,0")


def test_models_lists_shows_and_saves(zserve, tmp_path: Path):
    lines = zserve("models").splitlines()
    assert lines[0].startswith("mnist@1 (default): made, 28x28x1, 3 dimensions, test_neg_elbo 12.5")
    assert "2 labels" in lines[1]
    assert [each["name"] for each in json.loads(zserve("models", "--json"))] == ["mnist", "named"]
    assert zserve("models", "mnist@2") == "# mnist@2\n\n"
    assert json.loads(zserve("models", "mnist@2", "--json"))["version"] == 2
    assert zserve("models", "--figure", "samples") == "figure.png: samples of mnist@1\n"
    assert (tmp_path / "figure.png").exists()


def test_bench_counts_what_it_was_answered(zserve):
    line = ["bench", "--n", 2, "--concurrency", 2, "--duration", 0.5, "--warm-up", 0]
    report = json.loads(zserve(*line, "--json"))
    assert report["model"] == "mnist@1"
    assert report["answers"] > 0
    assert report["refused"] == {}
    assert report["p50_ms"] <= report["p95_ms"] <= report["p99_ms"] <= report["worst_ms"]
    assert report["images_per_s"] == 2 * report["answers_per_s"]
    assert report["queue_p50_ms"] is not None
    assert "answers/s" in zserve(*line)


def test_a_percentile_is_a_value_that_was_measured():
    values = [float(i) for i in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.5) == 1.0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(command: str, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"examples:\n  zserve {command}" in said
    assert "--url URL" in said


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n    {command}" in said for command in [*COMMANDS, "serve", "train"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--model", "nothing"], "no model 'nothing' in the store"),
        (["generate", "--n", "257"], "n is 257, at most 256"),
        (
            ["generate", "--n", "2", "--label", "7", "--label", "0"],
            "several labels go into a folder",
        ),
        (["generate", "--out", "samples.bmp"], "none of the suffixes"),
        (["generate", "--out", "no/such/folder.png"], "there is no folder no/such"),
        (["reconstruct", "nowhere.png"], "cannot read nowhere.png"),
        (["models", "mnist@9"], "mnist has no version 9"),
        (["bench", "--n", "257"], "n is 257"),
    ],
)
def test_what_is_wrong_is_one_line(zserve, arguments: list[str], words: str):
    with pytest.raises(SystemExit) as ended:
        zserve(*arguments)
    line = str(ended.value.code)
    assert line.startswith("zserve: ")
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize("command", [["generate"], ["models"], ["bench"]])
def test_a_service_that_is_not_there_is_one_line_too(zserve, command: list[str]):
    with pytest.raises(SystemExit, match="is the server running"):
        zserve(*command, "--url", "http://127.0.0.1:9")


def test_progress_is_for_people_alone(capsys):
    with Progress("images") as progress:
        progress.show(1, 2)
    assert capsys.readouterr().err == ""


def test_the_installed_command_is_the_same(url: str, tmp_path: Path):
    beside = Path(sys.executable).with_name("zserve")
    line = ["generate", "--n", "1", "--seed", "7", "--out", str(tmp_path / "one.png")]
    for command in ([str(beside)], [sys.executable, "-m", "zserve_client"]):
        done = subprocess.run(
            [*command, *line],
            env=os.environ | {"ZSERVE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("1 images of mnist@1, seed 7\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--help"], "usage: python -m app"),
        (["train", "--help"], "Usage: python -m training train"),
    ],
)
def test_serve_and_train_reach_the_other_two_from_any_folder(
    tmp_path: Path, arguments: list[str], words: str
):
    done = subprocess.run(
        [Path(sys.executable).with_name("zserve"), *arguments],
        cwd=tmp_path,
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def test_without_the_service_serve_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    needy = programs.Program("app", (), ("a_module_that_nobody_has",), "make install")
    monkeypatch.setitem(programs.PROGRAMS, "serve", needy)
    with pytest.raises(SystemExit) as ended:
        main(["serve"])
    assert str(ended.value.code) == (
        "zserve: zserve serve needs a_module_that_nobody_has, not installed here; "
        f"run `make install` in {CHECKOUT}"
    )


def test_without_the_checkout_serve_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs, "CHECKOUT", tmp_path)
    with pytest.raises(SystemExit, match="only the client is installed here"):
        main(["train", "--epochs", "1"])


def test_the_client_needs_httpx_alone(tmp_path: Path):
    """Without Pillow and numpy it brings files; what needs them says how to install them."""
    with serving(CHECKOUT / "model_store" / "weights", tmp_path / "log") as url:
        code = f"""
import sys
for absent in ("numpy", "PIL"):
    sys.modules[absent] = None
from zserve_client import Client, MissingExtraError
with Client({url!r}) as client:
    made = client.generate(2, seed=7)
    made.save({str(tmp_path / "two.png")!r})
    client.export({str(tmp_path / "set")!r}, 3)
    assert made.parameters["seed"] == 7 and made.seeds == [7, 8] and made._repr_png_()
    for name in ("image", "images", "array"):
        try:
            getattr(made, name)
        except MissingExtraError as error:
            print(error)
loaded = {{name.partition(".")[0] for name, module in sys.modules.items() if module}}
assert not loaded & {{"app", "model_store", "training", "torch", "fastapi", "numpy", "PIL"}}
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
        )
    assert done.returncode == 0, done.stderr
    hint = "this needs Pillow, which is not installed: pip install 'zserve-client[images]'\n"
    assert done.stdout == 3 * hint
