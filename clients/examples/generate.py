"""Draw samples and save them as one PNG.

python clients/examples/generate.py --n 16 --seed 7 --out samples.png
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def main() -> None:
    """Ask for samples and save them."""
    parser = argparse.ArgumentParser(description="Draw samples and save them as one PNG.")
    parser.add_argument("--n", type=int, default=16, help="number of images (default: 16)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same images")
    parser.add_argument("--temperature", type=float, help="0 is the mean image, 1 the prior")
    parser.add_argument("--model", help="name, name@version or name@alias")
    parser.add_argument("--out", type=Path, default=Path("samples.png"), help="file to write")
    parser.add_argument("--url", default=URL, help=f"the service (default: {URL})")
    options = parser.parse_args()

    wanted = {name: getattr(options, name) for name in ("n", "seed", "temperature", "model")}
    params = {name: value for name, value in wanted.items() if value is not None}
    answer = call("GET", f"{options.url}/generate", params=params)

    options.out.write_bytes(answer.content)
    headers = answer.headers
    print(f"{options.out}: {options.n} images of {headers['X-Model']}, seed {headers['X-Seed']}")


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


if __name__ == "__main__":
    main()
