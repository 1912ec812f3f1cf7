"""Print the requests that hold the event loop longest and that cost the most CPU.

    make measure-loop

The same requests as in test_event_loop.py, sent to the shipped models.
"""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from app.asgi import create_app
from app.settings import Settings
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.api.heartbeat import Watched, watched
from tests.api.test_event_loop import OPERATIONS, attacks, large_answers, measured

SHOWN = 8


class Row(NamedTuple):
    """One request and its cost."""

    hold_s: float
    cpu_s: float
    title: str


def measure(service: Watched, latent: int) -> Iterator[Row]:
    """Send every request once."""
    for method, path in OPERATIONS:
        for attack in attacks(method, path):
            headers = {"Content-Type": attack.content_type} | attack.headers
            url = f"{path}?{attack.query}"
            _, hold_s, cpu_s = measured(
                service, method, url, content=attack.content, headers=headers
            )
            yield Row(hold_s, cpu_s, f"{method} {path}, {attack.title}")
    for path, options in large_answers(latent, "mnist"):
        _, hold_s, cpu_s = measured(service, "POST", path, **options)
        yield Row(hold_s, cpu_s, f"POST {path}, a large answer")


def table(rows: list[Row]) -> str:
    """Return the first rows as a Markdown table."""
    lines = ["| hold (ms) | CPU (ms) | request |", "|---|---|---|"]
    lines += [f"| {r.hold_s * 1e3:.1f} | {r.cpu_s * 1e3:.0f} | {r.title} |" for r in rows[:SHOWN]]
    return "\n".join(lines)


def main() -> None:
    """Send every request once, and print two tables."""
    store = Store(SHIPPED)
    latent = store.manifest(store.resolve(ModelRef(name="mnist"))).spec.latent
    with watched(create_app(Settings(device="cpu", log_requests=False))) as service:
        rows = list(measure(service, latent))
    by_hold = table(sorted(rows, key=lambda row: -row.hold_s))
    by_cpu = table(sorted(rows, key=lambda row: -row.cpu_s))
    head = f"{len(rows)} requests; CPU time includes the client's"
    sys.stdout.write(f"{head}\n\n{by_hold}\n\n{by_cpu}\n")


if __name__ == "__main__":
    main()
