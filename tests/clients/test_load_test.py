"""The load test counts requests that were sent after the warm-up, on a clock of its own."""

import asyncio

import pytest

from tests.clients.conftest import Script
from zserve_client import ProblemError, UnavailableError
from zserve_client._load_test import Load, Measurement, percentile, run_load

BUSY = ProblemError({"type": "/problems/queue-full"}, 503)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_that_were_sent_during_the_warm_up_are_not_counted():
    clock = Clock()
    measurement = Measurement(Load(n=4, warm_up_s=1, duration_s=2), clock)
    clock.now = 101.5
    measurement.add_answer(100.9, queue_ms=1, inference_ms=1)
    measurement.add_refusal(100.9, BUSY)
    assert measurement.report("m@1").answers == 0
    measurement.add_answer(101.0, queue_ms=2, inference_ms=3)
    clock.now = 102.0
    measurement.add_refusal(101.6, BUSY)
    measurement.add_answer(101.9, queue_ms=None, inference_ms=None)
    report = measurement.report("m@1")
    assert (report.answers, report.refused) == (2, {"queue-full": 1})
    assert (report.duration_s, report.answers_per_s, report.images_per_s) == (1, 2, 8)
    assert [report.p50_ms, report.worst_ms] == pytest.approx([100, 500])
    assert (report.queue_p50_ms, report.inference_p50_ms) == (2, 3)
    assert not measurement.is_over
    clock.now = 103.0
    assert measurement.is_over


def test_the_first_problem_is_raised_if_nothing_was_answered(scripted: Script):
    image = (200, {"X-Model": "mnist@1"}, b"")
    scripted.answers = [image, (503, {}, b'{"type": "/problems/queue-full"}')]
    load = Load(concurrency=1, duration_s=0.02, warm_up_s=0)
    with pytest.raises(UnavailableError):
        asyncio.run(run_load(scripted.url, load))


def test_a_percentile_is_a_value_that_was_measured():
    values = [float(i) for i in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.5) == 1.0
