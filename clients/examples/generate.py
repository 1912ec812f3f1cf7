"""Draw samples and save them as one PNG.

python clients/examples/generate.py --n 16 --seed 7 --out samples.png
"""

import argparse
from pathlib import Path

from _http import URL, call, set_options


def main() -> None:
    """Request samples and save them."""
    parser = argparse.ArgumentParser(description="Draw samples and save them as one PNG.")
    parser.add_argument("--n", type=int, default=16, help="number of images (default: 16)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same images")
    parser.add_argument("--temperature", type=float, help="0 gives the mean image, 1 the prior")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("samples.png"), help="file to write")
    parser.add_argument("--url", default=URL, help=f"address of the service (default: {URL})")
    options = parser.parse_args()

    params = set_options(options, "n", "seed", "temperature", "model")
    response = call("GET", f"{options.url}/generate", params=params)

    options.out.write_bytes(response.content)
    model, seed = response.headers["X-Model"], response.headers["X-Seed"]
    print(f"{options.out}: {options.n} images of {model}, seed {seed}")


if __name__ == "__main__":
    main()
