import re
import subprocess
import sys

import pytest

from tests.training.conftest import call
from training.cli import main
from training.config import preset_names


def test_presets_lists_each_preset_on_one_line(capsys: pytest.CaptureFixture[str]):
    assert call("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())


def test_ctrl_c_during_imports_prints_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_run", interrupted)
    assert call("presets") == 130
    assert capsys.readouterr().err == "error: interrupted\n"


COMMANDS = [
    "train", "publish", "republish", "complete", "evaluate", "compare", "judge", "tune", "presets",
    "data",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_the_form_that_all_commands_of_zserve_have(
    command: str, capsys: pytest.CaptureFixture[str]
):
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ")
    assert f" {command} [-h]" in text.splitlines()[0]
    assert "\noptions:\n  -h, --help" in text
    assert not set("╭│") & set(text)


def test_help_shows_choices_defaults_and_percent_signs(capsys: pytest.CaptureFixture[str]):
    assert call("train", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--device {auto,cpu,cuda}" in text
    assert "device to compute on (default: auto)" in text
    assert "better by more than 1 %)" in text
    assert "--set KEY=VALUE" in text
    assert "--no-tensorboard" in text


def test_help_keeps_brackets_and_capitals(capsys: pytest.CaptureFixture[str]):
    assert call("compare", "--help") == 0
    assert "NAME[@VERSION] [NAME[@VERSION] ...]\n" in capsys.readouterr().out
    assert call("train", "--help") == 0
    text = capsys.readouterr().out
    assert "[FOLDER]\n" in text.partition("\n\n")[0] + "\n"
    assert "  FOLDER " in text
    assert "--threads THREADS     CPU threads" in text


def test_help_of_the_group_lists_every_command(capsys: pytest.CaptureFixture[str]):
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert set(COMMANDS) <= set(re.findall(r"^    ([a-z]+)\b", text, flags=re.MULTILINE))
    assert call("data", "--help") == 0
    assert "\n    avatars " in capsys.readouterr().out


def test_a_mistyped_option_or_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]):
    for line, words in ((["train", "--epoch", "1"], "--epochs"), (["trian"], "train")):
        assert call(*line) == 2
        printed = capsys.readouterr().err
        assert len(printed.splitlines()) == 1
        assert words in printed


@pytest.mark.parametrize("arguments", [["--help"], ["presets"], ["train", "--help"]], ids=" ".join)
def test_help_and_presets_import_neither_torch_nor_numpy(arguments: list[str]):
    code = (
        "import sys; from training.cli.main import main; main();"
        "print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]"
