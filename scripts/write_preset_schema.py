"""Write training/presets/preset.schema.json, by which editors complete and check presets.

python -m scripts.write_preset_schema            # write the file
python -m scripts.write_preset_schema --check    # exit with status 1 if it is out of date
"""

import argparse
import json
import sys

from training.config import FORMER_KEYS, PRESETS, Preset

PATH = PRESETS / "preset.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def main() -> int:
    """Write or check the file; return 1 if it is out of date under --check, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    text = schema()
    if not parser.parse_args().check:
        PATH.write_text(text, encoding="utf-8")
        return 0
    if PATH.is_file() and PATH.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PATH} is out of date: run make docs", file=sys.stderr)
    return 1


def schema() -> str:
    """Return the JSON schema of presets; former names of keys are accepted, and deprecated."""
    document = Preset.model_json_schema()
    sections = {"objective": "Objective", "optimiser": "Optimiser"}
    for former, present in FORMER_KEYS.items():
        section, _, name = present.partition(".")
        properties = document["$defs"][sections[section]]["properties"]
        properties[former.partition(".")[2]] = properties[name] | {
            "deprecated": True,
            "description": f"Former name of {name}.",
        }
    return json.dumps({"$schema": DIALECT, **document}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
