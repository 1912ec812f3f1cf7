"""The command `zserve`, as a user types it, and subcommands of other packages."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.clients.conftest import TOKEN, Script
from zserve_client import _client
from zserve_client._retry import NO_RETRIES
from zserve_client.cli import plugins
from zserve_client.cli.__main__ import main
from zserve_client.cli.progress import ProgressBar

COMMANDS = [
    "generate",
    "reconstruct",
    "interpolate",
    "traverse",
    "edit",
    "augment",
    "encode",
    "decode",
    "score",
    "compress",
    "decompress",
    "models",
    "promote",
    "bench",
]


@pytest.fixture
def zserve(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Run the command in an empty folder against the service, and return its output."""
    monkeypatch.setenv("ZSERVE_URL", url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        main([str(argument) for argument in arguments])
        return str(capsys.readouterr().out)

    return run


def test_generate_saves_the_bytes_of_the_service(zserve, url: str, tmp_path: Path):
    output = zserve("generate", "--n", 9, "--seed", 7, "--out", "nine.png")
    assert output == "nine.png: 9 images of mnist@1, seed 7\n"
    expected = httpx.get(f"{url}/generate?n=9&seed=7").content
    assert (tmp_path / "nine.png").read_bytes() == expected


@pytest.mark.parametrize("suffix", ["zip", "npz", "json"])
def test_generate_saves_in_the_format_of_the_suffix(zserve, tmp_path: Path, suffix: str):
    zserve("generate", "--n", 3, "--out", f"three.{suffix}")
    start = {"zip": b"PK", "npz": b"PK", "json": b"{"}[suffix]
    assert (tmp_path / f"three.{suffix}").read_bytes().startswith(start)


def test_generate_fills_a_folder_and_continues_it(zserve, tmp_path: Path):
    line = ["generate", "--n", 50, "--label", "all", "--model", "named", "--out", "data/train"]
    assert "data/train: 100 images of named@1, seed" in zserve(*line)
    assert "100 of them were already there" in zserve(*line)
    folders = [path.name for path in (tmp_path / "data/train").iterdir() if path.is_dir()]
    assert sorted(folders) == ["7", "Dress"]


def test_reconstruct_prints_how_well_each_image_is_described(zserve, drawing: Path, tmp_path: Path):
    lines = zserve("reconstruct", drawing, drawing, "--out", "both.png").splitlines()
    assert lines[0] == "both.png: the images prepared for mnist@1, and their reconstructions"
    assert len(lines) == 3
    assert "BCE" in lines[1]
    with Image.open(tmp_path / "both.png") as image:
        assert image.size == (62, 62)


def test_a_batch_goes_on_past_bad_files_and_names_them(
    zserve, drawing: Path, tmp_path: Path, capsys
):
    blank, text = tmp_path / "blank.png", tmp_path / "notes.txt"
    Image.new("L", (40, 40), "white").save(blank)
    text.write_text("no image")
    files = [drawing, blank, tmp_path / "gone.png", drawing, text]
    with pytest.raises(SystemExit, match="3 of 5 files were skipped"):
        zserve("reconstruct", *files, "--out", "both.png", "--scale", 2)
    printed = capsys.readouterr()
    skipped = printed.err.splitlines()
    assert [line.partition(" is skipped: ")[0].rpartition("/")[2] for line in skipped] == [
        "blank.png",
        "gone.png",
        "notes.txt",
    ]
    assert "no digit can be seen" in skipped[0]
    assert "cannot read" in skipped[1]
    assert "not a PNG" in skipped[2]
    assert len(printed.out.splitlines()) == 3
    with Image.open(tmp_path / "both.png") as image:
        assert image.size == (2 * 62, 2 * 62)
    alone = zserve("reconstruct", drawing, drawing, "--out", "alone.png", "--scale", 2)
    assert alone.splitlines()[1:] == printed.out.splitlines()[1:]
    with Image.open(tmp_path / "both.png") as both, Image.open(tmp_path / "alone.png") as expected:
        assert both.tobytes() == expected.tobytes()


def test_a_batch_of_bad_files_ends_with_the_last_error(zserve, tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    with pytest.raises(SystemExit, match="not a PNG"):
        zserve("reconstruct", text, text)


def test_photos_too_large_for_one_request_are_sent_one_by_one(zserve, tmp_path: Path, capsys):
    photos = [tmp_path / f"{i}.png" for i in range(3)]
    picture = Image.new("L", (8000, 6000), "white")
    picture.paste(0, (3800, 1500, 4200, 4500))
    for photo in photos:
        picture.save(photo, compress_level=1)
    lines = zserve("reconstruct", *photos).splitlines()
    assert len(lines) == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("out", "kind"), [("w.png", "PNG"), ("w.gif", "GIF"), ("w.apng", "PNG")])
def test_interpolate_walks_from_a_file_to_a_seed(
    zserve, drawing: Path, tmp_path: Path, out: str, kind: str
):
    back = "" if out == "w.png" else " and back"
    assert zserve("interpolate", drawing, 7, "--steps", 4, "--out", out) == (
        f"{out}: 4 frames of mnist@1{back}\n"
    )
    with Image.open(tmp_path / out) as image:
        assert image.format == kind


def test_traverse_prints_the_dimension_of_each_row(zserve, drawing: Path):
    assert zserve("traverse", "--seed", 7) == (
        "traversal.png: dimensions 1, 2, 0 of mnist@1, one in each row\n"
    )
    assert "dimensions 2, 0 of" in zserve("traverse", "--image", drawing, "--dims", "2,0")


def test_traverse_and_edit_follow_directions(zserve, drawing: Path, tmp_path: Path, url: str):
    line = ["traverse", "--model", "moving", "--direction", "thickness,slant"]
    assert zserve(*line) == (
        "traversal.png: directions thickness, slant of moving@1, one in each row\n"
    )
    edit = ("edit", drawing, drawing, "--model", "moving", "--move", "slant=2", "--move")
    assert zserve(*edit, "class:a, b=-0.5") == (
        "edited.png: 2 images of moving@1, slant +2, class:a, b -0.5\n"
    )
    zserve("edit", "--seed", 3, "--move", "slant=1", "--model", "moving", "--out", "seed.png")
    expected = httpx.post(f"{url}/edit?model=moving&seed=3&direction=slant&by=1.0").content
    assert (tmp_path / "seed.png").read_bytes() == expected


@pytest.mark.parametrize("line", [[], ["--move", "slant"], ["--move", "=2"], ["--move", "slant=x"]])
def test_edit_without_a_complete_move_explains_itself(
    zserve, drawing: Path, line: list[str], capsys
):
    with pytest.raises(SystemExit):
        zserve("edit", drawing, *line)
    assert "--move" in capsys.readouterr().err


def test_edit_takes_files_or_a_seed(zserve, drawing: Path):
    for line in ([], [drawing, "--seed", 1]):
        with pytest.raises(SystemExit, match="image files, or --seed"):
            zserve("edit", *line, "--move", "slant=1")


def test_models_lists_shows_and_saves(zserve, tmp_path: Path):
    lines = zserve("models").splitlines()
    assert lines[0].startswith("mnist@1 (default): made, 28x28x1, 3 dimensions, test_neg_elbo 12.5")
    assert "2 labels" in lines[2]
    assert [each["name"] for each in json.loads(zserve("models", "--json"))] == [
        "mnist",
        "moving",
        "named",
    ]
    assert zserve("models", "mnist@2") == "# mnist@2\n\n"
    assert json.loads(zserve("models", "mnist@2", "--json"))["version"] == 2
    assert zserve("models", "--figure", "samples") == "figure.png: samples of mnist@1\n"
    assert (tmp_path / "figure.png").exists()


def test_models_say_how_good_samples_are_and_which_are_the_best(zserve, url: str, scripted: Script):
    entry = httpx.get(f"{url}/models").json()["models"][0]
    quality = {"dataset": "made", "recognisable": 0.916, "frechet_distance": 0.484}
    best = entry | {"sample_quality": quality, "best_samples": True}
    before_the_field = {
        k: v for k, v in entry.items() if k not in {"sample_quality", "best_samples"}
    }
    body = json.dumps({"models": [best, before_the_field]}).encode()
    scripted.answers = [(200, {"Content-Type": "application/json"}, body)]
    first, second = zserve("models", "--url", scripted.url).splitlines()
    words = "samples 92 % as recognisable as real ones, Frechet distance 0.48 (best for made)"
    assert first.endswith(words)
    assert second.endswith("samples not measured")


def test_bench_reports_rates_and_latencies(zserve):
    line = ["bench", "--n", 2, "--concurrency", 2, "--duration", 0.1, "--warm-up", 0]
    report = json.loads(zserve(*line, "--json"))
    assert report["model"] == "mnist@1"
    assert report["answers"] > 0
    assert report["refused"] == {}
    assert report["p50_ms"] <= report["p95_ms"] <= report["p99_ms"] <= report["worst_ms"]
    assert report["images_per_s"] == 2 * report["answers_per_s"]
    assert report["queue_p50_ms"] is not None
    assert "answers/s" in zserve(*line)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"examples:\n  zserve {command}" in text
    assert "--url URL" in text


@pytest.mark.processes
@pytest.mark.parametrize("module", ["zserve", "model_store"])
def test_a_reader_that_leaves_ends_the_command_silently(module: str):
    words = ["models", "list"] if module == "zserve" else ["list"]
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as a program that SIGPIPE ends, in a shell


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {command}" in text for command in [*COMMANDS, "serve", "train"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--model", "nothing"], "no model 'nothing' in the store"),
        (["generate", "--n", "257"], "n is 257, at most 256"),
        (
            ["generate", "--n", "2", "--label", "7", "--label", "0"],
            "several labels need a folder",
        ),
        (["generate", "--out", "samples.bmp"], "none of the suffixes"),
        (["encode", "nine.png", "--out", "z.npz"], "for .npz and .parquet, `zserve latents`"),
        (["generate", "--out", "no/such/folder.png"], "there is no folder no/such"),
        (["reconstruct", "nowhere.png"], "cannot read nowhere.png"),
        (["models", "mnist@9"], "mnist has no version 9"),
        (["bench", "--n", "257"], "n is 257"),
    ],
)
def test_an_error_is_one_line(zserve, arguments: list[str], words: str):
    with pytest.raises(SystemExit) as ended:
        zserve(*arguments)
    line = str(ended.value.code)
    assert line.startswith("zserve: ")
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize("command", ["generate", "models", "bench"])
def test_a_missing_service_is_one_line(zserve, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_client, "RetryPolicy", lambda *_: NO_RETRIES)
    with pytest.raises(SystemExit, match="is the server running"):
        zserve(command, "--url", "http://127.0.0.1:9")


def test_a_progress_bar_is_drawn_on_terminals_only(capsys):
    with ProgressBar("images") as progress:
        progress.show(1, 2)
    assert capsys.readouterr().err == ""


def test_the_installed_command_and_the_module_do_the_same(url: str, tmp_path: Path):
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
        assert done.stdout.endswith("1 image of mnist@1, seed 7\n")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [(["serve", "--help"], "usage: zserve serve"), (["train", "--help"], "usage: zserve train")],
)
def test_serve_and_train_run_from_any_folder(tmp_path: Path, arguments: list[str], usage: str):
    done = subprocess.run(
        [Path(sys.executable).with_name("zserve"), *arguments],
        cwd=tmp_path,
        env=os.environ | {"NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert usage in done.stdout


def install(monkeypatch: pytest.MonkeyPatch, **commands: str) -> None:
    """Replace the subcommands of other packages by those of this test."""

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == "zserve.commands"
        entries = [EntryPoint(key, value, group) for key, value in commands.items()]
        return [entry for entry in entries if name in {None, entry.name}]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def exit_with_the_number_of(arguments: list[str]) -> int:
    """A subcommand of another package."""
    return len(arguments)


def import_the_first_argument(arguments: list[str]) -> int:
    """A subcommand that needs a package which is not installed."""
    raise ModuleNotFoundError(f"No module named {arguments[0]!r}", name=arguments[0])


def test_a_subcommand_of_another_package_gets_the_arguments_and_sets_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys
):
    install(monkeypatch, count=f"{__name__}:exit_with_the_number_of")
    with pytest.raises(SystemExit) as ended:
        main(["count", "--url", "of the subcommand", "x"])
    assert ended.value.code == 3
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "\n    count" in capsys.readouterr().out


def test_a_subcommand_that_lacks_a_package_names_it(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, serve="a_package_that_nobody_has:main")
    with pytest.raises(SystemExit, match=r"serve needs a_package_that_nobody_has, .*make install"):
        main(["serve"])


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("huggingface_hub", "hub"),
        ("huggingface_hub.utils", "hub"),
        ("model_signing.verifying", "sign"),
        ("obstore", "object-store"),
        ("torch", "torch"),
        ("typer", "train"),
    ],
)
def test_a_subcommand_that_lacks_the_package_of_an_extra_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str
):
    install(monkeypatch, **{"models push": f"{__name__}:import_the_first_argument"})
    with pytest.raises(SystemExit) as ended:
        main(["models", "push", module])
    assert f"`pip install 'zserve[{extra}]'`" in str(ended.value)
    assert "did you mean" not in str(ended.value)


@pytest.mark.parametrize("name", ["serve", "train"])
def test_without_the_package_zserve_its_subcommands_tell_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
):
    install(monkeypatch)
    with pytest.raises(SystemExit, match=f"{name} needs the package zserve, .*make install"):
        main([name, "--epochs", "1"])


def test_an_unknown_subcommand_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys):
    install(monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    assert "invalid choice: 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("generat", "did you mean generate?"),
        ("sevre", "did you mean serve or score?"),
        ("count-al", "did you mean count-all?"),
        ("generate --tempratur 1", "did you mean --temperature?"),
        ("reconstruct a.png --preprocess nona", "did you mean none"),
        ("completion bsh", "did you mean bash"),
        ("compress a.png --preprocess none", "other commands have that option"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, capsys, line: str, words: str
):
    install(monkeypatch, **{"count-all": f"{__name__}:exit_with_the_number_of"})
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_mistyped_word_after_models_gets_a_suggestion(zserve, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch)
    with pytest.raises(SystemExit, match=r"no model 'lst' .*did you mean `zserve models list`\?"):
        zserve("models", "lst")


def test_models_and_a_word_is_a_command_of_a_store(monkeypatch: pytest.MonkeyPatch, zserve):
    install(monkeypatch, **{"models list": f"{__name__}:exit_with_the_number_of"})
    with pytest.raises(SystemExit) as ended:
        main(["models", "list", "--store", "x"])
    assert ended.value.code == 2
    assert zserve("models", "mnist@2") == "# mnist@2\n\n"
    with pytest.raises(SystemExit, match="models rm needs the package zserve"):
        main(["models", "rm", "x@1"])


def test_help_says_what_a_subcommand_says_about_itself(monkeypatch: pytest.MonkeyPatch, capsys):
    install(monkeypatch, count=f"{__name__}:exit_with_the_number_of", broken="nobody:has")
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "    count              a subcommand of another package\n" in text
    assert "    broken             from another package\n" in text


def test_without_words_the_help_goes_to_stderr(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "zserve serve" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_options_and_values(capsys, shell: str):
    main(["completion", shell])
    script = capsys.readouterr().out
    for word in ("generate", "serve", "prune", "--temperature", "--workers", "--keep", "--preset"):
        assert word in script
    assert (
        "compgen -f" if shell == "bash" else "_files" if shell == "zsh" else "complete_path"
    ) in (script)


def describe_with_a_missing_package(_parser: object) -> None:
    raise ModuleNotFoundError(name="a_package_that_nobody_has")


def test_a_command_whose_extra_is_missing_is_completed_without_options(
    monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(
        exit_with_the_number_of, "add_options", describe_with_a_missing_package, raising=False
    )
    install(monkeypatch, count=f"{__name__}:exit_with_the_number_of")
    main(["completion", "bash"])
    assert "count" in capsys.readouterr().out


def test_bash_completes_what_is_typed(tmp_path: Path, capsys):
    main(["completion", "bash"])
    script = capsys.readouterr().out
    function = re.search(r"complete .*-F (\S+) zserve", script)
    assert function is not None
    program = f"""{script}
COMP_WORDS=(zserve models pr); COMP_CWORD=2; COMP_LINE="zserve models pr"; COMP_POINT=16
{function[1]} zserve pr models
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["/bin/bash", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert set(done.stdout.split()) == {"prune", "promote"}, done.stderr


def test_version_names_both_distributions(capsys):
    main(["--version"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["zserve", "zserve-client"]


# --- latents, variants and promotion -----------------------------------------------------------


def test_encode_and_decode_are_those_of_the_service(zserve, client, drawing: Path, tmp_path: Path):
    expected = client.encode([drawing, drawing])
    document = json.loads(zserve("encode", drawing, drawing))
    assert document["model"] == "mnist@1"
    assert [image["mu"] for image in document["images"]] == expected.mu
    assert document["images"][0]["file"] == str(drawing)
    for name in ("latents.json", "latents.csv"):
        printed = zserve("encode", drawing, drawing, "--out", name)
        assert printed == f"{name}: latents of 2 images, by mnist@1\n"
        assert zserve("decode", name, "--out", "out.png") == "out.png: 2 images of mnist@1\n"
        assert (tmp_path / "out.png").read_bytes() == client.decode(expected).content


def test_decode_takes_rows_from_stdin_and_the_manifest_of_a_data_set(
    zserve, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [[0.0, 0.5, -1.0], [1.0, 0.0, 0.25]]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(rows)))
    zserve("decode", "-", "--out", "rows.png")
    assert (tmp_path / "rows.png").read_bytes() == client.decode(rows).content
    zserve("generate", "--n", 3, "--seed", 7, "--out", "set")
    zserve("decode", "set/manifest.csv", "--out", "set.png")
    with Image.open(tmp_path / "set.png") as image:
        assert image.size == client.generate(3, seed=7).image.size


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "has no latents"),
        ("a.json", '{"x": 1}', "has no latents"),
        ("a.json", "[]", "has no latents"),
        ("a.csv", "a,b\n1,2\n", "no column is named z0 or mu0"),
        ("a.csv", "z0\nx\n", "could not convert"),
    ],
)
def test_decode_refuses_files_without_latents(zserve, tmp_path: Path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=words):
        zserve("decode", name)


def test_augment_saves_the_variants_of_the_service(zserve, client, drawing: Path, tmp_path: Path):
    printed = zserve("augment", drawing, "--n", 4, "--seed", 7, "--temperature", 0.5)
    assert printed == "variants.png: 4 variants by mnist@1, seed 7\n"
    expected = client.augment(drawing, 4, seed=7, temperature=0.5)
    assert (tmp_path / "variants.png").read_bytes() == expected.content


def test_decode_and_augment_write_the_formats_of_the_service(
    zserve, client, url: str, drawing: Path, tmp_path: Path
):
    rows = [[0.0, 0.5, -1.0], [1.0, 0.0, 0.25], [0.0, 0.0, 0.0]]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    image = {"image": drawing.read_bytes()}
    for suffix in ("zip", "npz", "json", "png"):
        form = f"format={suffix}"
        zserve("decode", "rows.json", "--out", f"decoded.{suffix}")
        answer = httpx.post(f"{url}/decode?{form}", json={"z": rows})
        assert (tmp_path / f"decoded.{suffix}").read_bytes() == answer.content
        printed = zserve("augment", drawing, "--n", 3, "--seed", 7, "--out", f"variants.{suffix}")
        assert printed == f"variants.{suffix}: 3 variants by mnist@1, seed 7\n"
        answer = httpx.post(f"{url}/augment?n=3&seed=7&{form}", files=image)
        assert (tmp_path / f"variants.{suffix}").read_bytes() == answer.content
    with zipfile.ZipFile(tmp_path / "variants.zip") as archive:
        assert sum(name.endswith(".png") for name in archive.namelist()) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("decode", "rows.json"),
        ("augment", "{drawing}"),
        ("reconstruct", "{drawing}"),
        ("interpolate", "1", "2"),
        ("traverse", "--seed", "1"),
        ("models", "mnist", "--figure", "loss"),
    ],
)
def test_a_picture_is_not_saved_under_the_name_of_another_format(
    zserve, drawing: Path, tmp_path: Path, arguments: tuple[str, ...]
):
    (tmp_path / "rows.json").write_text("[[0, 0.5, -1]]")
    words = [word.format(drawing=drawing) for word in arguments]
    with pytest.raises(SystemExit, match=r"picture\.jpg has none of the suffixes .*png"):
        zserve(*words, "--out", "picture.jpg")
    assert not (tmp_path / "picture.jpg").exists()


def test_promote_moves_an_alias_and_says_what_it_was(zserve, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SystemExit, match=r"token .*variable ZSERVE_TOKEN"):
        zserve("promote", "mnist@2")
    monkeypatch.setenv("ZSERVE_TOKEN", TOKEN)
    try:
        assert zserve("promote", "mnist@2") == "mnist@production is version 2 (was 1)\n"
        assert "canary is version 1\n" in zserve("promote", "named@1", "--alias", "canary")
    finally:
        assert zserve("promote", "mnist@1") == "mnist@production is version 1 (was 2)\n"
    for wrong in ("mnist", "mnist@canary", "@1"):
        with pytest.raises(SystemExit, match="is not NAME@VERSION"):
            zserve("promote", wrong)


def test_the_client_needs_httpx_alone(url: str, tmp_path: Path):
    """Files need no extra; decoding them raises an error that tells how to install the extra."""
    code = f"""
import sys
for absent in ("numpy", "PIL"):
    sys.modules[absent] = None
from zserve_client import Client, MissingExtraError
with Client({url!r}) as client:
    grid = client.generate(2, seed=7)
    grid.save({str(tmp_path / "two.png")!r})
    client.export({str(tmp_path / "set")!r}, 3)
    assert grid.parameters["seed"] == 7 and grid.seeds == [7, 8] and grid._repr_png_()
    for name in ("image", "images", "array"):
        try:
            getattr(grid, name)
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
