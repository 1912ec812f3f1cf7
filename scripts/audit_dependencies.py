"""Look for known vulnerabilities of the pinned requirements, by pip-audit.

    python -m scripts.audit_dependencies        (make audit)

The exit status is 0 if each requirement was looked up and none has a known vulnerability, 1 if one
has, and 3 if the database could not be reached, or does not know a requirement: then nothing is
known about it, which is not the same as good.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
AUDITOR = "pip-audit>=2.10,<3"
SERVICES = ("pypi", "osv")
"""Databases, the first choice first."""
REQUIREMENTS = ("serve", "clients", "train", "dev", "docs", "uv")
"""Files of requirements/ whose packages are pinned with hashes; torch and its CUDA have none."""
FINE, VULNERABLE, UNKNOWN = 0, 1, 3


@dataclass(frozen=True)
class Report:
    """What a database knows.

    Attributes:
        audited: Number of packages that were looked up.
        vulnerable: A line for each known vulnerability.
        skipped: Names of packages that the database does not have.
    """

    audited: int
    vulnerable: tuple[str, ...]
    skipped: tuple[str, ...]


def parse(text: str) -> Report:
    """Return what the JSON of pip-audit says; raises ValueError if it is none."""
    packages = json.loads(text)["dependencies"]
    skipped = tuple(each["name"] for each in packages if "skip_reason" in each)
    lines = tuple(
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in "
        f"{', '.join(flaw['fix_versions']) or 'no version'}"
        for each in packages
        for flaw in each.get("vulns", ())
    )
    return Report(len(packages) - len(skipped), lines, skipped)


def audit(service: str) -> Report | str:
    """Return the report of a database, or in one line why there is none."""
    files = [
        option
        for name in REQUIREMENTS
        for option in ("--requirement", str(ROOT / "requirements" / f"{name}.txt"))
    ]
    command = [str(UV), "tool", "run", "--quiet", "--from", AUDITOR, "pip-audit", *files]
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, *options, "--vulnerability-service", service],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return parse(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["no output"]
        return lines[-1][:300]


def judge(reports: Sequence[tuple[str, Report | str]]) -> tuple[int, list[str]]:
    """Return the exit status and what to print, by the database that knows most packages."""
    lines = [f"{service} cannot be used: {why}" for service, why in reports if isinstance(why, str)]
    best = max(
        ((service, report) for service, report in reports if isinstance(report, Report)),
        key=lambda pair: pair[1].audited,
        default=None,
    )
    if best is None or best[1].audited == 0:
        return UNKNOWN, [
            *lines,
            "no database of vulnerabilities can be reached: nothing was audited",
        ]
    service, report = best
    lines += [f"{report.audited} packages were looked up in {service}", *report.vulnerable]
    if report.skipped:
        lines.append(f"{service} does not know {', '.join(report.skipped)}")
    if report.vulnerable:
        return VULNERABLE, lines
    return (UNKNOWN if report.skipped else FINE), lines


def main() -> int:
    """Print what is known; return the exit status."""
    reports: list[tuple[str, Report | str]] = []
    for service in SERVICES:
        reports.append((service, audit(service)))
        answer = reports[-1][1]
        if isinstance(answer, Report) and not answer.skipped:
            break
    status, lines = judge(reports)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
