"""Show what the model sees in images and what it makes of them.

python clients/examples/reconstruct.py digit.png other.jpg --out both.png
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def main() -> None:
    """Send the images and save the two rows."""
    parser = argparse.ArgumentParser(
        description="Save two rows: what the model saw in each image, and its reconstructions."
    )
    parser.add_argument("images", type=Path, nargs="+", help="PNG or JPEG files")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("reconstructions.png"))
    parser.add_argument("--url", default=URL, help=f"the service (default: {URL})")
    options = parser.parse_args()

    files = [("image", (path.name, read(path))) for path in options.images]
    params = {"model": options.model} if options.model else {}
    url = f"{options.url}/reconstruct"
    answer = call("POST", url, files=files, params=params)
    numbers = call("POST", url, files=files, params=params | {"format": "json"}).json()

    options.out.write_bytes(answer.content)
    print(f"{options.out}: what {numbers['model']} saw, and its reconstructions")
    for path, image in zip(options.images, numbers["images"], strict=True):
        print(f"{path}: BCE {image['bce_nats']:.1f} nats, KL {image['kl_nats']:.1f} nats")


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
