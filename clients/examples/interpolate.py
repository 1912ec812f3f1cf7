"""Walk from one image to another and save the way as one row, or as a GIF or APNG that moves.

python clients/examples/interpolate.py 1 2 --steps 8 --path slerp --out between.png
python clients/examples/interpolate.py digit.png other.jpg
python clients/examples/interpolate.py digit.png 7
python clients/examples/interpolate.py 1 2 --steps 24 --scale 8 --out walk.gif
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def main() -> None:
    """Ask for the frames between A and B and save them."""
    parser = argparse.ArgumentParser(
        description="Save one row: A, the frames between the reconstructions, B."
    )
    parser.add_argument("a", help="where to start: a PNG or JPEG file, or a seed")
    parser.add_argument("b", help="where to end: a PNG or JPEG file, or a seed")
    parser.add_argument("--steps", type=int, default=8, help="number of frames (default: 8)")
    parser.add_argument("--path", choices=["linear", "slerp"], default="linear")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("interpolation.png"),
        help="file to write; .gif and .apng go to B and back (default: interpolation.png)",
    )
    parser.add_argument("--url", default=URL, help=f"the service (default: {URL})")
    options = parser.parse_args()

    params = {"steps": options.steps, "path": options.path, "scale": options.scale}
    kind = options.out.suffix.removeprefix(".").lower()
    if kind in {"gif", "apng"}:
        params |= {"format": kind, "bounce": "true"}
    if options.model:
        params["model"] = options.model
    files = {}
    for end in ("a", "b"):
        given = getattr(options, end)
        if given.isdecimal():
            params[f"seed_{end}"] = given
        else:
            files[end] = (Path(given).name, read(Path(given)))
    answer = call("POST", f"{options.url}/interpolate", params=params, files=files or None)

    options.out.write_bytes(answer.content)
    print(f"{options.out}: {options.steps} frames of {answer.headers['X-Model']}")


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
