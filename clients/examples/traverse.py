"""Show what each latent dimension does, one row for each.

python clients/examples/traverse.py --seed 7 --out dimensions.png
python clients/examples/traverse.py --image digit.png --dims 0,3,7
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def main() -> None:
    """Ask for the rows and save them."""
    parser = argparse.ArgumentParser(
        description="Save one row for each latent dimension, the most informative first."
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, help="where to start: a PNG or JPEG file")
    start.add_argument("--seed", type=int, help="where to start: a seed (default: around 0)")
    parser.add_argument("--dims", help="dimensions, separated by commas (default: all)")
    parser.add_argument("--steps", type=int, default=7, help="images in a row (default: 7)")
    parser.add_argument("--span", type=float, default=3, help="from -span to +span (default: 3)")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("traversal.png"))
    parser.add_argument("--url", default=URL, help=f"the service (default: {URL})")
    options = parser.parse_args()

    wanted = {name: getattr(options, name) for name in ("seed", "dims", "steps", "span", "model")}
    params = {name: value for name, value in wanted.items() if value is not None}
    files = {"image": (options.image.name, read(options.image))} if options.image else None
    answer = call("POST", f"{options.url}/traverse", params=params, files=files)

    options.out.write_bytes(answer.content)
    print(f"{options.out}: dimensions of {answer.headers['X-Model']}")


def call(method: str, url: str, **request: Any) -> httpx.Response:
    """The answer of the service, or the end of this script with one clear line."""
    try:
        answer = httpx.request(method, url, timeout=60, **request)
    except httpx.TransportError as error:
        sys.exit(f"no answer from {url} ({error}); is the server running? `make serve` starts it")
    if answer.is_error:
        is_problem = answer.headers["content-type"] == "application/problem+json"
        problem = answer.json() if is_problem else {"detail": answer.text or answer.reason_phrase}
        sys.exit("; ".join(str(problem[key]) for key in ("detail", "remedy") if problem.get(key)))
    return answer


def read(path: Path) -> bytes:
    """The bytes of an image file, or the end of this script with one clear line."""
    try:
        return path.read_bytes()
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")


if __name__ == "__main__":
    main()
