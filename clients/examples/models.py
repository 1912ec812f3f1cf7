"""List the models that are served, and save the samples of one.

python clients/examples/models.py --figure samples --out figure.png
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def main() -> None:
    """Print a line for each model; save a figure of the default one where asked."""
    parser = argparse.ArgumentParser(description="List the models that are served.")
    parser.add_argument("--figure", help="save this figure of the default model, such as samples")
    parser.add_argument("--out", type=Path, default=Path("figure.png"))
    parser.add_argument("--url", default=URL, help=f"the service (default: {URL})")
    options = parser.parse_args()

    for model in call("GET", f"{options.url}/models").json()["models"]:
        channels, height, width = model["image"]
        numbers = [f"{name} {m['value']:.2f} {m['unit']}" for name, m in model["metrics"].items()]
        print(
            f"{model['name']}@{model['version']}{' (default)' if model['default'] else ''}: "
            f"{width}x{height}x{channels}, {model['latent']} dimensions, {', '.join(numbers)}"
        )
        if options.figure and model["default"]:
            page = f"{options.url}/models/{model['name']}/{model['version']}"
            answer = call("GET", f"{page}/figures/{options.figure}.png")
            options.out.write_bytes(answer.content)
            print(f"{options.out}: {options.figure} of {model['name']}@{model['version']}")


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
