"""Add an API key to a file: python -m app.access keys.toml --name web --scopes generate,upload."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from app.access.api_keys import SCOPES, ApiKey, add_key
from app.errors import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Add a key, and print its text, which is stored nowhere; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m app.access", description=__doc__)
    parser.add_argument("file", type=Path, help="file with the keys, which is created if missing")
    parser.add_argument("--name", required=True, help="name of the key in logs and limits")
    parser.add_argument(
        "--scopes", default="generate", help=f"some of {','.join(SCOPES)} (default: generate)"
    )
    options = parser.parse_args(arguments)
    try:
        key = ApiKey(name=options.name, sha256="0" * 64, scopes=set(options.scopes.split(",")))
        secret = add_key(options.file, key.name, key.scopes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        print(f"zserve: {first['loc'][0]}: {first['msg']}", file=sys.stderr)
        return 2
    except (SettingsError, OSError) as error:
        print(f"zserve: {error}", file=sys.stderr)
        return 2
    print(secret)
    return 0


if __name__ == "__main__":
    sys.exit(main())
