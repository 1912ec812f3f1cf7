"""Run scenarios by name: `make chaos ARGS="stops-1 kills --times 10"`."""

import argparse
import asyncio
import sys

from benchmarks.chaos.scenarios import SCENARIOS, Result


def main() -> int:
    """Run the scenarios, print one line for each, and return 1 if the service did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    names = ", ".join(SCENARIOS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"scenarios (all): {names}")
    parser.add_argument("--times", type=int, help="repetitions (default: those of --list)")
    parser.add_argument("--list", action="store_true", help="list the scenarios, and run none")
    options = parser.parse_args()
    unknown = set(options.names) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}; there are {names}")
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:18} x{scenario.times:<4} {scenario.summary}")
        return 0
    held = True
    for name in options.names or SCENARIOS:
        times = options.times or SCENARIOS[name].times
        result = asyncio.run(SCENARIOS[name].run(times))
        print(_line(name, times, result), flush=True)
        held = held and not result.faults
    return 0 if held else 1


def _line(name: str, times: int, result: Result) -> str:
    """Return the findings of a scenario, and one further line for each fault."""
    outcome = result.outcome
    answers = ", ".join(f"{n} x {kind}" for kind, n in sorted(outcome.answers.items()))
    figures = "".join(f"; {key} {value:.2f}" for key, value in result.figures.items())
    line = f"{name} x{times}: {answers}; {len(outcome.lost)} lost{figures}"
    return "\n".join([line, *(f"  FAULT {fault}" for fault in result.faults)])


if __name__ == "__main__":
    sys.exit(main())
