"""Generate the synchronous client from the asynchronous one, which is written by hand.

python scripts/unasync.py            write the generated modules
python scripts/unasync.py --check    exit with status 1 if a generated module is out of date
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "clients" / "zserve_client"
MODULES = {
    "_async_client.py": "_client.py",
    "_async_transport.py": "_transport.py",
}
"""Written module -> generated module."""
SUBSTITUTIONS = [
    (r"import asyncio\n", ""),
    (r"asyncio\.to_thread\((\w+), ", r"\1("),
    (r"asyncio\.sleep", "time.sleep"),
    (r"Awaitable, Callable", "Callable"),
    (r"Awaitable\[(\w+)\]", r"\1"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b_async_(client|transport)\b", r"_\1"),
    (r"\bAsync([A-Z])", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\ba(close|read|iter_bytes)\(", r"\1("),
]


def unasync(source: str) -> str:
    """Return the synchronous form of asynchronous code."""
    for pattern, replacement in SUBSTITUTIONS:
        source = re.sub(pattern, replacement, source)
    return source


def generate(written: Path, name: str) -> str:
    """Return the text of the generated module `name`, formatted as `make format` would."""
    header = f"# Generated from {written.name} by scripts/unasync.py; do not edit.\n"
    source = header + unasync(written.read_text())
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--stdin-filename",
            str(PACKAGE / name),
            "-",
        ]
        source = subprocess.run(
            ruff, input=source, capture_output=True, text=True, check=True
        ).stdout
    return source


def main() -> None:
    """Read the command line, and write or check the generated modules."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="folder of the modules")
    options = parser.parse_args()
    outdated = []
    for written, name in MODULES.items():
        target = options.package / name
        source = generate(options.package / written, name)
        if options.check and (not target.exists() or target.read_text() != source):
            outdated.append(name)
        elif not options.check:
            target.write_text(source)
    if outdated:
        sys.exit(f"{', '.join(outdated)}: out of date; run `python scripts/unasync.py`")


if __name__ == "__main__":
    main()
