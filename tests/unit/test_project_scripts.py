"""The scripts that check the project: each refuses what it is there to refuse."""

import pytest

from scripts.check_dependencies import declared_distributions, imported_modules, undeclared
from scripts.check_release import ReleaseError, notes_of, version_of_tag
from scripts.check_wheels import problems_of_wheel, tracked_files
from scripts.draw_packages import draw, insert, layers_by_package, permitted_arrows

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-30

### Added
- Something.

## [1.1.0] - 2026-11-01

## [1.0.0] - 2026-10-01
- The first.

[1.0.0]: elsewhere
"""

CONTRACTS = [
    {"type": "layers", "name": "a", "layers": ["a.high", "a.left | a.right", "(a.low)"]},
    {"type": "layers", "name": "b", "containers": ["b.inner"], "layers": ["one : two", "three"]},
    {
        "type": "forbidden",
        "name": "b stands alone",
        "source_modules": ["b"],
        "forbidden_modules": ["a", "fastapi"],
    },
    {"type": "independence", "name": "a and c are apart", "modules": ["a", "c"]},
]


# --- dependencies ---


def test_imports_are_found_wherever_they_stand_in_a_file():
    source = "import os.path\nfrom a.b import c\ndef f():\n    import d as e, g\n"
    assert imported_modules(source) == {"os", "a", "d", "g"}


def test_an_import_of_what_another_package_brings_is_undeclared():
    installed = {"PIL": ["pillow"], "starlette": ["starlette"], "ns": ["ns-api", "ns_sdk"]}
    declared = {"pillow", "fastapi", "ns-sdk"}
    modules = {"PIL", "starlette", "ns", "os", "app", "nowhere"}
    assert undeclared(modules, declared, installed) == {"starlette", "nowhere"}


def test_groups_extras_and_groups_inside_groups_are_declared():
    pyproject = {
        "project": {
            "dependencies": ["One_Two>=1; sys_platform != 'win32'"],
            "optional-dependencies": {"more": ["three[extra]>=2"], "other": ["four"]},
        },
        "dependency-groups": {"inner": ["five==5"], "outer": [{"include-group": "inner"}, "six"]},
    }
    assert declared_distributions(pyproject) == {"one-two"}
    everything = declared_distributions(pyproject, groups=("outer",), extras=("more",))
    assert everything == {"one-two", "three", "five", "six"}


# --- the figure of the packages ---


def test_layers_are_read_from_each_notation_of_import_linter():
    assert layers_by_package(CONTRACTS) == {
        "a": [("a.high",), ("a.left", "a.right"), ("a.low",)],
        "b.inner": [("b.inner.one", "b.inner.two"), ("b.inner.three",)],
    }


def test_an_arrow_is_drawn_exactly_where_no_contract_forbids_it():
    arrows = permitted_arrows(["a", "b", "c"], CONTRACTS)
    assert arrows == [("a", "b"), ("b", "c"), ("c", "b")]


def test_the_figure_follows_the_contracts_and_fills_the_page_between_its_markers():
    figure = draw({"root_packages": ["a", "b", "c"], "contracts": CONTRACTS})
    assert '["left | right"]' in figure
    assert "    a --> b\n" in figure
    assert "    b --> a\n" not in figure
    assert "`b` must not import `a`, `fastapi`" in figure
    begin = "<!-- packages: written by `make docs` from the contracts in pyproject.toml -->\n"
    page = f"before\n{begin}old\n<!-- end of packages -->\nafter\n"
    filled = insert(page, figure)
    assert filled == page.replace("old\n", figure)
    assert insert(filled, figure) == filled
    with pytest.raises(ValueError, match="markers"):
        insert("no markers", figure)


# --- releases ---


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.2.0-beta", "v1.2.0\n", "vx"])
def test_a_tag_of_another_form_is_not_released(tag: str):
    with pytest.raises(ReleaseError, match="expected"):
        version_of_tag(tag)


def test_the_notes_are_the_dated_section_of_the_version():
    assert version_of_tag("v1.2.0rc1") == "1.2.0rc1"
    assert notes_of("1.2.0", CHANGELOG) == "### Added\n- Something."
    assert notes_of("1.0.0", CHANGELOG) == "- The first."


@pytest.mark.parametrize(("version", "reason"), [("1.1.0", "empty"), ("2.0.0", "no section")])
def test_a_version_without_notes_is_not_released(version: str, reason: str):
    with pytest.raises(ReleaseError, match=reason):
        notes_of(version, CHANGELOG)


# --- wheels ---


def test_a_wheel_without_a_file_of_its_package_is_refused():
    complete = tracked_files("zserve")
    names = ("zserve/py.typed", "zserve/training/presets/lab.toml", "zserve/weights/README.md")
    assert set(names) <= complete
    assert list(problems_of_wheel([*complete], ["zserve"])) == []
    for name in names:
        problems = list(problems_of_wheel([*complete - {name}], ["zserve"]))
        assert problems
        assert all("py.typed" in each or name in each for each in problems)


def test_a_wheel_with_a_package_beside_zserve_is_refused():
    held = [*tracked_files("zserve"), "zserve-1.dist-info/METADATA", "app/settings.py"]
    (problem,) = problems_of_wheel(held, ["zserve"])
    assert problem == "app/settings.py would land beside the packages of other projects"
