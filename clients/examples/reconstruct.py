"""Show images as a model sees them, and their reconstructions.

python clients/examples/reconstruct.py digit.png other.jpg --out both.png
"""

import argparse
from pathlib import Path

from _http import URL, call, read, set_options


def main() -> None:
    """Upload the images and save the two rows."""
    parser = argparse.ArgumentParser(
        description="Save two rows: the images as the model sees them, and their reconstructions."
    )
    parser.add_argument("images", type=Path, nargs="+", help="image files")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("reconstructions.png"))
    parser.add_argument("--url", default=URL, help=f"address of the service (default: {URL})")
    options = parser.parse_args()

    files = [("image", read(path)) for path in options.images]
    params = set_options(options, "model")
    url = f"{options.url}/reconstruct"
    response = call("POST", url, files=files, params=params)
    numbers = call("POST", url, files=files, params=params | {"format": "json"}).json()

    options.out.write_bytes(response.content)
    print(f"{options.out}: the images prepared for {numbers['model']}, and their reconstructions")
    for path, image in zip(options.images, numbers["images"], strict=True):
        print(f"{path}: BCE {image['bce_nats']:.1f} nats, KL {image['kl_nats']:.1f} nats")


if __name__ == "__main__":
    main()
