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


@pytest.mark.parametrize("arguments", [["--help"], ["presets"], ["train", "--help"]], ids=" ".join)
def test_help_and_presets_import_neither_torch_nor_numpy(arguments: list[str]):
    code = (
        "import sys; from training.cli.main import main; main();"
        "print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, check=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]"
