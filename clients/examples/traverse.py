"""Show the effect of each latent dimension, one row for each.

python clients/examples/traverse.py --seed 7 --out dimensions.png
python clients/examples/traverse.py --image digit.png --dims 0,3,7
"""

import argparse
from pathlib import Path

from _http import URL, call, read, set_options


def main() -> None:
    """Request the rows and save them."""
    parser = argparse.ArgumentParser(
        description="Save one row for each latent dimension, the most informative first."
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--image", type=Path, help="the start: an image file")
    start.add_argument("--seed", type=int, help="the start: a seed (default: z = 0)")
    parser.add_argument("--dims", help="dimensions, separated by commas (default: all)")
    parser.add_argument("--steps", type=int, default=7, help="images in each row (default: 7)")
    parser.add_argument("--span", type=float, default=3, help="from -span to +span (default: 3)")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("traversal.png"))
    parser.add_argument("--url", default=URL, help=f"address of the service (default: {URL})")
    options = parser.parse_args()

    params = set_options(options, "seed", "dims", "steps", "span", "model")
    files = {"image": read(options.image)} if options.image else None
    response = call("POST", f"{options.url}/traverse", params=params, files=files)

    options.out.write_bytes(response.content)
    print(f"{options.out}: dimensions of {response.headers['X-Model']}")


if __name__ == "__main__":
    main()
