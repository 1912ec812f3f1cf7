"""Write the hostile inputs and their index: python -m tests.hostile.generate.

Files of more than 4 kB are compressed, and have the suffix .gz. Index and files are committed, so
that a test and other tools can read them without this code.
"""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.hostile import (
    arrays,
    compressed,
    files,
    images,
    json_bodies,
    manifests,
    moves,
    multipart,
    requests,
    v2,
    version_files,
)
from tests.hostile.case import Case

HERE = Path(__file__).parent
INPUTS = HERE / "inputs"
INDEX = HERE / "index.json"
FAMILIES = {
    "images": images.cases,
    "multipart": multipart.cases,
    "json": json_bodies.cases,
    "v2": v2.cases,
    "manifests": manifests.cases,
    "requests": requests.cases,
    "arrays": arrays.cases,
    "compressed": compressed.cases,
    "moves": moves.cases,
    "files": files.cases,
    "versions": version_files.cases,
}
BODIES = {"images", "multipart", "json", "v2", "arrays", "compressed"}
"""Families whose files are bodies of requests."""
_LARGE_BYTES = 4096


def all_cases() -> Iterator[tuple[str, Case]]:
    """Yield each case with its family."""
    for family, cases in FAMILIES.items():
        for case in cases():
            yield family, case


def entry(family: str, case: Case) -> dict[str, object]:
    """Return the line of the index for a case."""
    suffix = ".gz" if len(case.content) > _LARGE_BYTES else ""
    values: dict[str, object] = {
        "file": f"{family}/{case.name}{suffix}",
        "status": case.status,
        "problem": case.problem,
    }
    if family == "versions":
        values["target"] = case.target
    if family in BODIES:
        method, _, target = case.target.rpartition(" ")
        values |= {"method": method or "POST", "target": target}
        values |= {"content_type": case.content_type, "headers": dict(case.headers)}
    return values


def read(entry: dict[str, object]) -> bytes:
    """Return the content of a file of the index."""
    content = (INPUTS / str(entry["file"])).read_bytes()
    return gzip.decompress(content) if str(entry["file"]).endswith(".gz") else content


def main() -> None:
    shutil.rmtree(INPUTS, ignore_errors=True)
    lines = []
    for family, case in all_cases():
        values = entry(family, case)
        path = INPUTS / str(values["file"])
        path.parent.mkdir(parents=True, exist_ok=True)
        is_large = path.suffix == ".gz"
        path.write_bytes(gzip.compress(case.content, mtime=0) if is_large else case.content)
        lines.append(json.dumps(values))
    INDEX.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
