"""Send every hostile input to a server of this checkout, and print the answers that differ.

    python -m tests.hostile [PART OF A FILE NAME]

Inputs of pending.txt are sent as well, which may take minutes and gigabytes.
"""

import json
import sys
import tempfile
from pathlib import Path

from tests.hostile.generate import INDEX
from tests.hostile.server import publish_models, send, serving_hostile


def main() -> int:
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    entries = [entry for entry in json.loads(INDEX.read_text()) if part in entry["file"]]
    differences = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publish_models(folder / "store", entries)
        with serving_hostile(folder) as address:
            for entry in entries:
                try:
                    answer = send(address, entry)
                    status, problem = answer.status, answer.problem
                except TimeoutError:
                    status, problem = -1, "no answer in time"
                if (status, problem) != (entry["status"], entry["problem"]):
                    differences += 1
                    print(f"{entry['file']}: {status} {problem}; ", end="")
                    print(f"documented: {entry['status']} {entry['problem']}")
    print(f"{len(entries)} inputs, {differences} other answers than documented")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
