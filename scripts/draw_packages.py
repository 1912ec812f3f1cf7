"""Draw the packages and their permitted imports in CONTRIBUTING.md, from import-linter's contracts.

    python -m scripts.draw_packages            # rewrite what stands between the markers
    python -m scripts.draw_packages --check    # exit 1 if the figure is not up to date

The figure is made from the contracts in pyproject.toml, which `make check` enforces, so it always
agrees with the code.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN = "<!-- packages: written by `make docs` from the contracts in pyproject.toml -->\n"
END = "<!-- end of packages -->\n"

Contract = Mapping[str, Any]
Layer = tuple[str, ...]
"""Packages of one layer; they are independent of one another."""


def layers_by_package(contracts: Sequence[Contract]) -> dict[str, list[Layer]]:
    """Return package -> the layers inside it, the highest first, from all `layers` contracts."""
    stacks: dict[str, list[Layer]] = {}
    for contract in contracts:
        if contract["type"] == "layers":
            for container in contract.get("containers") or [""]:
                layers = [_layer(line, container) for line in contract["layers"]]
                stacks.setdefault(layers[0][0].rpartition(".")[0], []).extend(layers)
    return stacks


def permitted_arrows(roots: Sequence[str], contracts: Sequence[Contract]) -> list[tuple[str, str]]:
    """Return the pairs (importer, imported) of top-level packages that no contract forbids."""
    refused: set[tuple[str, str]] = set()
    for contract in contracts:
        if contract["type"] == "independence":
            modules = contract["modules"]
            refused |= {(one, other) for one in modules for other in modules}
        if contract["type"] == "forbidden":
            refused |= {
                (one, other)
                for one in contract["source_modules"]
                for other in contract["forbidden_modules"]
            }
    pairs = ((one, other) for one in roots for other in roots if one != other)
    return [pair for pair in pairs if pair not in refused]


def draw(linter: Mapping[str, Any]) -> str:
    """Return the Markdown of the figure and of the rules that it cannot show."""
    roots, contracts = linter["root_packages"], linter["contracts"]
    stacks = layers_by_package(contracts)
    lines = ["```mermaid", "flowchart TD"]
    for root in roots:
        lines += _subgraph(root, stacks.get(root, []))
    lines += [f"    {one} --> {other}" for one, other in permitted_arrows(roots, contracts)]
    lines += ["```", "", 'An arrow means "may import". ']
    lines[-1] += "A layer may import every layer below it in its own package."
    lines += ["", *_nested(roots, stacks), *_rules(contracts)]
    return "\n".join(lines) + "\n"


def insert(page: str, figure: str) -> str:
    """Return the page with the figure between its two markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page needs the markers {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{figure}{END}{after}"


def _layer(line: str, container: str) -> Layer:
    """Split `a | b`, `a : b` and `(a)` as import-linter does, and prefix the container."""
    names = [name.strip().strip("()") for name in re.split(r"[|:]", line)]
    return tuple(f"{container}.{name}" if container else name for name in names)


def _subgraph(root: str, layers: Sequence[Layer]) -> Iterator[str]:
    if not layers:
        yield f"    {root}"
        return
    yield f"    subgraph {root}"
    for layer in layers:
        yield f'        {_node(layer)}["{" | ".join(_short(name, root) for name in layer)}"]'
    for above, below in pairwise(layers):
        yield f"        {_node(above)} --> {_node(below)}"
    yield "    end"


def _node(layer: Layer) -> str:
    """Return an identifier for Mermaid, in which `end` alone and dots would be syntax."""
    return re.sub(r"\W", "_", layer[0]) + "_layer"


def _short(name: str, root: str) -> str:
    return name.removeprefix(f"{root}.")


def _nested(roots: Sequence[str], stacks: Mapping[str, Sequence[Layer]]) -> Iterator[str]:
    """Yield a line for each package whose layers are too deep for the figure."""
    for package, layers in stacks.items():
        if package not in roots:
            names = (" | ".join(f"`{_short(n, package)}`" for n in layer) for layer in layers)
            yield f"- Inside `{package}`, the highest layer first: {', '.join(names)}."


def _rules(contracts: Sequence[Contract]) -> Iterator[str]:
    """Yield a line for each contract that the figure cannot show."""
    for contract in contracts:
        if contract["type"] == "forbidden":
            sources, targets = (
                ", ".join(f"`{name}`" for name in contract[key])
                for key in ("source_modules", "forbidden_modules")
            )
            yield f"- {contract['name']}: {sources} must not import {targets}."
        if contract["type"] == "independence":
            modules = " and ".join(f"`{name}`" for name in contract["modules"])
            yield f"- {modules} must not import each other."


def main() -> int:
    """Write the figure, or with --check compare it; 1 if it is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is old")
    check = parser.parse_args().check
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    page = PAGE.read_text()
    wanted = insert(page, draw(linter))
    if check and page != wanted:
        print(f"{PAGE.name}: the figure of the packages is out of date; run `make docs`")
        return 1
    if not check:
        PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
