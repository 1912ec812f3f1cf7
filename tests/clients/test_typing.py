"""The installed client is typed: a type checker sees its annotations in another project."""

import shutil
import subprocess
import sys
from pathlib import Path


def test_a_type_checker_infers_the_types_of_the_public_api(tmp_path: Path):
    shutil.copy(Path(__file__).with_name("typed_usage.py"), tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "typed_usage.py"]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
