"""List the models of the service, and save a figure of the default model.

python clients/examples/models.py --figure samples --out figure.png
"""

import argparse
from pathlib import Path

from _http import URL, call


def main() -> None:
    """Print one line for each model, and save a figure of the default model if one is named."""
    parser = argparse.ArgumentParser(description="List the models of the service.")
    parser.add_argument("--figure", help="save a figure of the default model, such as samples")
    parser.add_argument("--out", type=Path, default=Path("figure.png"), help="file of the figure")
    parser.add_argument("--url", default=URL, help=f"address of the service (default: {URL})")
    options = parser.parse_args()

    for model in call("GET", f"{options.url}/models").json()["models"]:
        channels, height, width = model["image"]
        metrics = [f"{name} {m['value']:.2f} {m['unit']}" for name, m in model["metrics"].items()]
        print(
            f"{model['name']}@{model['version']}{' (default)' if model['default'] else ''}: "
            f"{width}x{height}x{channels}, {model['latent']} dimensions, {', '.join(metrics)}"
        )
        if options.figure and model["default"]:
            version = f"{options.url}/models/{model['name']}/{model['version']}"
            figure = call("GET", f"{version}/figures/{options.figure}.png")
            options.out.write_bytes(figure.content)
            print(f"{options.out}: {options.figure} of {model['name']}@{model['version']}")


if __name__ == "__main__":
    main()
