"""Check that every third-party import is declared as a dependency of the code that imports it.

    python -m scripts.check_dependencies

A package that is installed only because another one requires it may be missing after an upgrade of
that other package. Run this in the development environment, which has all of them: the names of
installed distributions translate `PIL` into `pillow`.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = {"app", "zserve", "benchmarks", "docker", "model_store", "scripts", "tests", "training"}
OWN |= {"zserve_client"}


@dataclass(frozen=True)
class Area:
    """Folders, and the tables of a pyproject.toml that declare what they may import."""

    folders: tuple[str, ...]
    pyproject: str = "pyproject.toml"
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


AREAS = (
    Area(
        ("app", "model_store"),
        extras=("hub", "mcp", "object-store", "ray", "redis", "sign", "torch"),
    ),
    Area(("zserve",), extras=("parquet", "torch")),
    Area(("training",), groups=("data", "ray", "train")),
    Area(
        ("clients/zserve_client",),
        "clients/pyproject.toml",
        extras=("completion", "images", "object-store"),
    ),
    Area(
        ("docker", "scripts", "tests"),
        groups=("dev", "fuzz", "keras", "kubernetes", "ray"),
        extras=("otel", "ray"),
    ),
)
"""The other systems that benchmarks compare with have environments of their own."""


def imported_modules(source: str) -> set[str]:
    """Return the top-level names that a source file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def declared_distributions(
    pyproject: Mapping[str, object], groups: tuple[str, ...] = (), extras: tuple[str, ...] = ()
) -> set[str]:
    """Return the normalised names that a pyproject.toml declares, groups and extras included."""
    project: Mapping[str, list[str]] = pyproject["project"]  # type: ignore[assignment]
    requirements: list[str] = [*project.get("dependencies", [])]
    optional: Mapping[str, list[str]] = project.get("optional-dependencies", {})  # type: ignore[assignment]
    for extra in extras:
        requirements += optional.get(extra, [])
    for group in groups:
        requirements += _requirements_of_group(pyproject, group)
    return {
        _normalise(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]) for requirement in requirements
    }


def undeclared(
    modules: set[str], declared: set[str], distributions: Mapping[str, list[str]]
) -> set[str]:
    """Return the third-party modules that none of the declared distributions provides."""
    return {
        module
        for module in modules - OWN - sys.stdlib_module_names
        if not declared & {_normalise(name) for name in distributions.get(module, [module])}
    }


def _requirements_of_group(pyproject: Mapping[str, object], group: str) -> Iterator[str]:
    groups: Mapping[str, list[object]] = pyproject["dependency-groups"]  # type: ignore[assignment]
    for entry in groups[group]:
        if isinstance(entry, dict):
            yield from _requirements_of_group(pyproject, entry["include-group"])
        else:
            yield str(entry)


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _problems(area: Area, distributions: Mapping[str, list[str]]) -> Iterator[str]:
    pyproject = tomllib.loads((ROOT / area.pyproject).read_text())
    declared = declared_distributions(pyproject, area.groups, area.extras)
    for folder in area.folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            modules = imported_modules(file.read_text())
            local = {other.stem for other in file.parent.glob("*.py")}
            for module in sorted(undeclared(modules - local, declared, distributions)):
                yield (
                    f"{file.relative_to(ROOT)} imports {module}, which {area.pyproject} does not "
                    f"declare for it; declare the distribution {distributions.get(module, [module])[0]}"
                )


def main() -> int:
    """Print each import that is not declared; 1 if there is one."""
    distributions = packages_distributions()
    problems = [line for area in AREAS for line in _problems(area, distributions)]
    print("\n".join(problems) or "every third-party import is declared")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
