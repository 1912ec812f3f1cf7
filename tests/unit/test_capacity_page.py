"""The numbers of docs/capacity.md follow from one another."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.queue_model import BatchTime, latencies

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text()
SECONDS_A_DAY = 86_400


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose heading begins with these words."""
    lines = PAGE[PAGE.index(f"| {heading}") :].splitlines()
    table = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def number(pattern: str) -> float:
    """Return the number in the parentheses of a pattern that the page has once."""
    (value,) = re.findall(pattern, PAGE)
    return float(value.replace(",", ""))


def test_dollars_follow_from_rates_bytes_and_prices():
    core, busy, traffic, logs = 0.04, 0.7, 0.09, 0.50
    line_bytes = number(r"log line is (\d+) bytes")
    table = rows("model | images in a request | images/s | bytes")
    assert len(table) == 3
    for _, images, rate, size, computing, sent, logged in table:
        seconds = 1e6 / (float(rate.replace(",", "")) * busy)
        assert float(computing[1:]) == pytest.approx(seconds / 3600 * core, abs=6e-5)
        assert float(sent[1:]) == pytest.approx(1e6 * float(size) / 1e9 * traffic, abs=6e-5)
        assert float(logged[1:]) == pytest.approx(
            1e6 / int(images) * line_bytes / 1e9 * logs, abs=6e-5
        )


def test_images_follow_from_requests():
    table = rows("model | images in a request | requests/s")
    assert len(table) == 4
    for _, images, requests, rate, _ in table:
        assert float(rate.replace(",", "")) == int(images) * float(requests.replace(",", ""))


def test_the_table_of_the_queue_is_what_the_model_gives():
    batch_time = BatchTime(0.0001, 0.0038, 4)
    table = rows("load | p50 ms")
    assert len(table) == 5
    for load, p50, p99, waiting in table:
        rate = float(load) * batch_time.capacity_per_s
        seconds = latencies(rate, batch_time)
        assert np.percentile(seconds, [50, 99]) * 1e3 == pytest.approx(
            [float(p50), float(p99)], abs=0.1
        )
        assert rate * (np.mean(seconds) - batch_time(1)) == pytest.approx(float(waiting), abs=0.06)


def test_a_billion_images_a_day():
    peak = 3e9 / SECONDS_A_DAY
    assert number(r"\| mean \| ([\d,]+) images/s") == round(1e9 / SECONDS_A_DAY)
    assert number(r"three times the mean \| ([\d,]+) images/s") == round(peak)
    assert number(r"70 % busy \| ([\d.]+) \|") == round(peak / 4112 / 0.7, 1)
    assert number(r"at 2,219 images/s \| ([\d.]+) \|") == round(peak / 2219 / 0.7, 1)
    assert number(r"298 bytes for an image \| (\d+) Mbit/s") == round(peak * 298 * 8 / 1e6)
    assert number(r"for \$(\d+) a day at the assumed price") == round(24 * 24 * 0.04)
    drawn = 1e9 / 2**32
    repeated = 1 - (1 - math.exp(-drawn)) / drawn
    assert number(r"repeats ([\d.]+) % of its images") == round(100 * repeated, 1)
    assert number(r"is (\d+) GB a day with 16 images") == round(1e9 / 16 * 350 / 1e9)
