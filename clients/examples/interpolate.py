"""Walk from one image to another, and save the frames as one row, a GIF or an APNG.

python clients/examples/interpolate.py 1 2 --steps 8 --path slerp --out between.png
python clients/examples/interpolate.py digit.png other.jpg
python clients/examples/interpolate.py digit.png 7
python clients/examples/interpolate.py 1 2 --steps 24 --scale 8 --out walk.gif
"""

import argparse
from pathlib import Path

from _http import URL, call, read, set_options


def main() -> None:
    """Request the frames between A and B and save them."""
    parser = argparse.ArgumentParser(
        description="Save one row: A, the frames between the reconstructions, B."
    )
    parser.add_argument("a", help="the start: an image file, or a seed")
    parser.add_argument("b", help="the end: an image file, or a seed")
    parser.add_argument("--steps", type=int, default=8, help="number of frames (default: 8)")
    parser.add_argument("--path", choices=["linear", "slerp"], default="linear")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("interpolation.png"),
        help="file to write; .gif and .apng run to B and back (default: interpolation.png)",
    )
    parser.add_argument("--url", default=URL, help=f"address of the service (default: {URL})")
    options = parser.parse_args()

    params = set_options(options, "steps", "path", "scale", "model")
    suffix = options.out.suffix.removeprefix(".").lower()
    if suffix in {"gif", "apng"}:
        params |= {"format": suffix, "bounce": "true"}
    files = {}
    for name, end in (("a", options.a), ("b", options.b)):
        if end.isdecimal():
            params[f"seed_{name}"] = end
        else:
            files[name] = read(Path(end))
    response = call("POST", f"{options.url}/interpolate", params=params, files=files or None)

    options.out.write_bytes(response.content)
    print(f"{options.out}: {options.steps} frames of {response.headers['X-Model']}")


if __name__ == "__main__":
    main()
