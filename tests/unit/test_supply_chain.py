"""The bill of materials, and the audit of the requirements."""

import json

import pytest

from scripts.audit_dependencies import FINE, UNKNOWN, VULNERABLE, Report, judge, parse
from scripts.write_sbom import VENDORED, complete, vendored_components


def bill() -> dict[str, object]:
    local = {"type": "distribution", "url": "file:///home/me/zserve/clients"}
    public = {"type": "website", "url": "https://example.org"}
    return {
        "metadata": {"component": {"bom-ref": "root", "name": "zserve", "version": "1"}},
        "components": [
            {"bom-ref": "a==1", "name": "a", "externalReferences": [public]},
            {"bom-ref": "pip==1", "name": "pip"},
            {"bom-ref": "zserve-client==1", "name": "zserve-client", "externalReferences": [local]},
        ],
        "dependencies": [
            {"ref": "root", "dependsOn": ["a==1", "pip==1"]},
            {"ref": "pip==1"},
            {"ref": "a==1"},
            {"ref": "zserve-client==1", "dependsOn": ["a==1"]},
        ],
    }


def test_the_vendored_files_are_components_with_version_and_licence() -> None:
    (component,) = vendored_components(VENDORED.read_text())
    assert component["name"] == "swagger-ui-dist"
    assert component["purl"] == f"pkg:npm/swagger-ui-dist@{component['version']}"
    assert component["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_a_bill_has_no_installers_and_no_addresses_of_this_machine() -> None:
    done = complete(bill(), [])
    assert [each["name"] for each in done["components"]] == ["a", "zserve-client"]
    assert "file:" not in json.dumps(done)
    assert "https://example.org" in json.dumps(done)
    assert "pip==1" not in json.dumps(done)


def test_every_reference_of_a_bill_is_a_component_of_it() -> None:
    vendored = vendored_components("`x/`: x 1.0 (MIT)\n")
    done = complete(bill(), vendored)
    known = {"root", *(each["bom-ref"] for each in done["components"])}
    for each in done["dependencies"]:
        assert {each["ref"], *each.get("dependsOn", [])} <= known
    assert done["dependencies"][0]["dependsOn"] == ["a==1", "x@1.0"]


CLEAN = Report(12, (), ())


@pytest.mark.parametrize(
    ("reports", "status", "words"),
    [
        ([("pypi", CLEAN)], FINE, "12 packages were looked up in pypi"),
        ([("pypi", Report(9, ("a 1: X",), ()))], VULNERABLE, "a 1: X"),
        ([("pypi", "no route"), ("osv", CLEAN)], FINE, "pypi cannot be used: no route"),
        ([("pypi", "no route"), ("osv", "no name")], UNKNOWN, "nothing was audited"),
        ([("pypi", Report(0, (), ("a", "b")))], UNKNOWN, "nothing was audited"),
        ([("pypi", Report(5, (), ("a",))), ("osv", "no name")], UNKNOWN, "does not know a"),
        ([("pypi", Report(5, ("b 1: X",), ("a",)))], VULNERABLE, "b 1: X"),
    ],
)
def test_what_was_not_looked_up_does_not_count_as_good(
    reports: list[tuple[str, Report | str]], status: int, words: str
) -> None:
    actual, lines = judge(reports)
    assert actual == status
    assert words in "\n".join(lines)


def test_the_json_of_pip_audit_is_read() -> None:
    text = json.dumps(
        {
            "dependencies": [
                {"name": "a", "version": "1", "vulns": []},
                {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]},
                {"name": "c", "version": "4", "vulns": [{"id": "CVE-2", "fix_versions": []}]},
                {"name": "d", "skip_reason": "not found"},
            ]
        }
    )
    assert parse(text) == Report(
        3, ("b 2: CVE-1, fixed in 3", "c 4: CVE-2, fixed in no version"), ("d",)
    )


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):"])
def test_output_that_is_no_json_is_no_report(text: str) -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        parse(text)
